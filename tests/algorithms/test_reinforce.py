import numpy as np
import pytest
from composed import trace
from toy_spaces import Layers
from toys import ToyEvaluator, ToySpace, toy_experiment, toy_problem

from nasrun.algorithms.reinforce import Reinforce
from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.spec import Measured, Phase
from nasrun.streams import Streams

SPACE = ToySpace((2, 3, 4))
STEPS = 40


def published_reinforce(seed, archs, rewards, learning_rate):
    """The published script's loop in torch, on given samples: the logits after each update."""
    import torch

    noise = Streams([seed]).normal(12).reshape(3, 4)
    logits = [
        torch.tensor(1e-3 * noise[i, :n], requires_grad=True) for i, n in enumerate(SPACE.arity)
    ]
    optimiser = torch.optim.Adam(logits, lr=learning_rate)
    numerator = denominator = 0.0
    history = []
    for arch, reward in zip(archs, rewards, strict=True):
        numerator = 0.9 * numerator + 0.1 * reward
        denominator = 0.9 * denominator + 0.1
        policies = [torch.distributions.Categorical(logits=row) for row in logits]
        log_p = sum(p.log_prob(torch.tensor(int(a))) for p, a in zip(policies, arch, strict=True))
        loss = -log_p * (reward - numerator / denominator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append([row.detach().numpy().copy() for row in logits])
    return history


@pytest.mark.parametrize("learning_rate", [0.5, 0.01])
def test_updates_are_those_of_the_published_script(learning_rate):
    algorithm = Reinforce(learning_rate=learning_rate)
    experiment = toy_experiment(algorithm, space=SPACE, evaluator=ToyEvaluator(noise=2.0))
    played = trace(experiment, seeds=range(5, 8), budget=Budget(evaluations=STEPS))
    for trial, seed in enumerate(range(5, 8)):
        expected = published_reinforce(
            seed, played.archs[:, trial], played.reward[:, trial], learning_rate
        )[-1]
        for place, row in enumerate(expected):
            found = algorithm._logits[trial, place, : len(row)]
            np.testing.assert_allclose(found, row, rtol=1e-6, atol=1e-9)


def test_the_baseline_is_the_mean_of_the_rewards_weighted_by_age():
    algorithm = Reinforce()
    toy_trial = toy_experiment(algorithm, space=SPACE)
    rewards = trace(toy_trial, seeds=range(1), budget=Budget(evaluations=9)).reward[:, 0]
    weights = 0.9 ** np.arange(9)[::-1]
    found = algorithm._baseline[0] / (1 - 0.9**9)
    np.testing.assert_allclose(found, (weights * rewards).sum() / weights.sum())


def test_a_failed_measurement_teaches_nothing():
    algorithm = Reinforce()
    experiment = toy_experiment(algorithm, space=SPACE, evaluator=ToyEvaluator(fails_below=10**6))
    trace(experiment, seeds=range(4), budget=Budget(evaluations=STEPS))
    np.testing.assert_array_equal(algorithm._updates, 0)
    noise = Streams(range(4)).normal(12).reshape(4, 3, 4)
    np.testing.assert_array_equal(algorithm._logits, 1e-3 * noise)


def test_what_was_measured_in_the_place_of_what_was_asked_is_learnt():
    """Where decisions depend on each other: of the options open on the way to what was measured.

    That is bcb, of three layers: all lengths and kinds, then no b after the b, no a after the c.
    Adam's first gradient is zero, since one reward is its own baseline, and the second counts.
    """
    space, answer = Layers(), np.array([[2, 1, 2, 1]])
    algorithm = Reinforce(initial_std=0.5)
    algorithm.start(toy_problem(len, 1, space), Streams([0]), Phase.SEARCH)
    algorithm._logits[0, 0] = (9.0, 0.0, 0.0)
    before = algorithm._logits[0].copy()
    asked = []
    for archs, reward in ((None, 40.0), (answer, 90.0)):
        asked.append(algorithm.ask())
        archs = asked[-1] if archs is None else archs
        told = Measured.scored(archs, np.array([12]), np.array([reward]), np.ones(1))
        told.reward[:] = reward
        algorithm.tell(told)
    assert asked[-1][0, 0] == 0  # one layer: the last two decisions had no choice
    open_options = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 1, 1]])
    chances = np.exp(before) * open_options
    score = np.eye(3)[answer[0]] - chances / chances.sum(axis=1, keepdims=True)
    gradient = -score * (90.0 - (0.9 * 0.1 * 40.0 + 0.1 * 90.0) / (1 - 0.9**2))
    step = 0.5 * (0.1 * gradient / 0.19) / (np.sqrt(0.001 * gradient**2 / 0.001999) + 1e-8)
    np.testing.assert_allclose(algorithm._logits[0], before - step, rtol=1e-9, atol=1e-9)


def test_the_policy_learns_what_pays():
    algorithm = Reinforce(learning_rate=0.1)
    experiment = toy_experiment(algorithm, space=SPACE)
    played = trace(experiment, seeds=range(100), budget=Budget(evaluations=150))
    assert played.reward[-20:].mean() > played.reward[:20].mean() + 3


@pytest.mark.parametrize(
    "fields", [{"learning_rate": 0.0}, {"baseline_decay": 1.0}, {"initial_std": -1.0}], ids=str
)
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Reinforce(**fields)
