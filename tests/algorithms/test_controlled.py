"""NASNet's and NAS-RL's controllers: their losses, baselines and rewards, computed by hand."""

import copy

import numpy as np
import pytest
import torch
from composed import trace
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.nas_rl import NASRL
from nasrun.algorithms.ppo import PPO
from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.spec import Measured

SPACE = ToySpace((2, 3, 4))


class ShareOfOnes(ToyEvaluator):
    """In percent."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        return Measured.scored(archs, epochs, 100.0 * archs.mean(axis=1), epochs.astype(float))


class Told:
    """An algorithm that has begun, told of rewards; ``before`` is a copy of its controller."""

    def __init__(self, algorithm):
        experiment = toy_experiment(algorithm, space=SPACE)
        trace(experiment, seeds=[3], budget=Budget(evaluations=1))
        algorithm.start(algorithm.problem, algorithm.streams, algorithm.phase)
        self.algorithm = algorithm
        [self.policies] = algorithm._policies
        self.before = copy.deepcopy(self.policies._controller)

    def batch(self, *rewards):
        """The architectures that were asked for, after their rewards were told."""
        asked = []
        for reward in rewards:
            arch = self.algorithm.ask()
            np.testing.assert_array_equal(arch, self.algorithm.ask())
            epochs = np.array([12])
            measured = Measured.scored(arch, epochs, np.array([reward]), np.ones(1))
            measured.reward[:] = reward
            self.algorithm.tell(measured)
            asked.append(arch[0])
        return torch.from_numpy(np.array(asked)).expand(2, -1, -1)  # a lone trial stands twice

    def weights(self):
        return torch.nn.utils.parameters_to_vector(self.policies._controller.parameters())


def all_legal(prefix):
    return SPACE.legal(prefix)


def test_ppo_takes_the_steps_of_the_clipped_surrogate():
    told = Told(PPO(hidden=5, batch=3, learning_rate=0.3, entropy=0.2, clip=0.1, epochs_a_batch=3))
    archs = told.batch(10.0, 40.0, 70.0)
    net, advantage = told.before, torch.tensor([-30.0, 0.0, 30.0])  # from their mean, at first
    optimizer = torch.optim.Adam(net.parameters(), 0.3)
    old = net.judge(archs, all_legal).log_p.detach()
    clipped = False
    for _ in range(3):
        now = net.judge(archs, all_legal)
        ratio = (now.log_p - old).exp()
        bounded = torch.clip(ratio, 0.9, 1.1)
        clipped |= bool((ratio != bounded).any())
        columns = zip(ratio.T, bounded.T, advantage, strict=True)
        gains = [min(r * a, b * a) for rs, bs, a in columns for r, b in zip(rs, bs, strict=True)]
        loss = -sum(gains) / 3 - 0.2 * now.entropy.mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert clipped
    wanted = torch.nn.utils.parameters_to_vector(net.parameters())
    torch.testing.assert_close(told.weights(), wanted, rtol=1e-5, atol=1e-6)


def test_nas_rl_follows_the_gradient_of_the_cubes_distance_from_those_before():
    told = Told(NASRL(hidden=5, learning_rate=0.1, baseline_decay=0.9))
    first, *others = (0.5, 0.8, 0.6)
    baseline, net = first**3, told.before
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    for share in (first, *others):
        archs = told.batch(100 * share)
        optimizer.zero_grad()
        (-net.judge(archs, all_legal).log_p.sum() * (share**3 - baseline)).backward()
        optimizer.step()
        baseline = 0.9 * baseline + 0.1 * share**3
    wanted = torch.nn.utils.parameters_to_vector(net.parameters())
    torch.testing.assert_close(told.weights(), wanted, rtol=1e-5, atol=1e-6)
    assert told.algorithm._baseline[0] == pytest.approx(baseline)


def test_the_worth_of_a_reward_keeps_its_sign_and_what_is_unknown():
    found = NASRL().worth(np.array([90.0, -50.0, np.nan]))
    np.testing.assert_allclose(found, [0.729, -0.125, np.nan])


@pytest.mark.parametrize("algorithm", [PPO(hidden=5, batch=2), NASRL(hidden=5)])
def test_a_failed_measurement_teaches_nothing(algorithm):
    told = Told(algorithm)
    before = told.weights().clone()
    told.batch(*[np.nan] * algorithm.batch)
    assert torch.equal(told.weights(), before)
    assert np.isnan(algorithm._baseline).all()


def test_what_is_known_of_a_batch_teaches_alone():
    """Of its first batch, which sets the baseline, and of the next, by NAS-RL's gradient."""
    told = Told(NASRL(hidden=5, batch=2, learning_rate=0.1, baseline_decay=0.9, power=1.0))
    told.batch(np.nan, 40.0)
    assert told.algorithm._baseline[0] == pytest.approx(0.4)
    net = copy.deepcopy(told.policies._controller)
    archs = told.batch(90.0, np.nan)
    assert told.algorithm._baseline[0] == pytest.approx(0.9 * 0.4 + 0.1 * 0.9)
    (-net.judge(archs, all_legal).log_p[:, 0].sum() * (0.9 - 0.4)).backward()
    slopes = torch.nn.utils.parameters_to_vector(each.grad for each in net.parameters())
    before = torch.nn.utils.parameters_to_vector(net.parameters())
    torch.testing.assert_close(
        told.weights(), before - second_step(0.1, slopes), rtol=1e-4, atol=1e-5
    )


def second_step(rate, slopes):
    """Adam's, after one gradient of zero: that of a batch that set the baseline."""
    return rate * (0.1 * slopes / 0.19) / ((0.001 * slopes**2 / 0.001999).sqrt() + 1e-8)


def test_what_was_measured_in_the_place_of_what_was_asked_is_learnt():
    told = Told(NASRL(hidden=5, batch=1, learning_rate=0.1, power=1.0))
    told.batch(40.0)
    net = copy.deepcopy(told.policies._controller)
    other = (told.algorithm.ask() + 1) % SPACE.arity
    measured = Measured.scored(other, np.array([12]), np.array([90.0]), np.ones(1))
    measured.reward[:] = 90.0
    told.algorithm.tell(measured)
    log_p = net.judge(torch.from_numpy(other).expand(2, 1, -1), all_legal).log_p
    (-log_p.sum() * (0.9 - 0.4)).backward()
    slopes = torch.nn.utils.parameters_to_vector(each.grad for each in net.parameters())
    before = torch.nn.utils.parameters_to_vector(net.parameters())
    torch.testing.assert_close(
        told.weights(), before - second_step(0.1, slopes), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("algorithm", [PPO(hidden=5, batch=2), NASRL(hidden=5, batch=2)])
def test_a_failed_batch_does_not_move_a_policy_on_by_its_momentum(algorithm):
    told = Told(algorithm)
    told.batch(10.0, 90.0)
    before = told.weights().clone()
    told.batch(np.nan, np.nan)
    assert torch.equal(told.weights(), before)


class Given:
    """Policies of given log-probabilities, step by step; keeps the losses and who learns."""

    def __init__(self, *log_p, entropy=0.0):
        self.log_p = [torch.tensor(each, requires_grad=True) for each in log_p]
        self.entropy = torch.full_like(self.log_p[0], entropy).requires_grad_()
        self.losses, self.learning = [], []

    def judge(self, archs):
        return self.log_p[len(self.losses)], self.entropy

    def step_on(self, loss, learning):
        self.losses.append(loss)
        self.learning.append(learning.tolist())


ADVANTAGE = torch.tensor([[2.0, -3.0, 0.0], [0.0, 0.0, 0.0]])
SHARE = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])  # a failure, and a trial of failures


def test_nas_rl_minimises_the_mean_of_advantages_times_log_probabilities():
    given = Given([[-1.0, -2.0, -4.0], [-1.0, -1.0, -1.0]])
    NASRL().improve(given, torch.zeros(0), ADVANTAGE, SHARE)
    [loss] = given.losses
    assert loss.tolist() == [-(2.0 * -1.0 + -3.0 * -2.0) / 2, 0.0]
    assert given.learning == [[True, False]]
    (slope,) = torch.autograd.grad(loss.sum(), given.log_p)
    assert slope.tolist() == [[-1.0, 1.5, 0.0], [0.0, 0.0, 0.0]]


def test_ppo_minimises_the_mean_of_clipped_gains_and_entropies():
    """Ratios of 1, then of 1.05 and 1.15 within and beyond the bound of a tenth, then of 0.85."""
    first = np.array([[-1.0, -2.0, -4.0], [-1.0, -1.0, -1.0]], np.float32)
    ratios = np.array([[1.0, 1.0], [1.05, 1.15], [1.15, 0.85], [0.85, 1.05]], np.float32)
    log_p = []
    for one, two in ratios:
        log_p.append(first.copy())
        log_p[-1][0, :2] += np.log([one, two])
    given = Given(*log_p, entropy=0.5)
    PPO(clip=0.1, entropy=0.4, epochs_a_batch=4).improve(given, torch.zeros(0), ADVANTAGE, SHARE)
    assert given.learning == [[True, False]] * 4
    # min(r a, clip(r) a): 1.15 is bounded by 1.1 for a gain, 0.85 by 0.9 for a loss.
    gains = [2.0 - 3.0, 2.0 * 1.05 - 3.0 * 1.15, 2.0 * 1.1 - 3.0 * 0.9, 2.0 * 0.85 - 3.0 * 1.05]
    slopes = [[2.0, -3.0], [2.0 * 1.05, -3.0 * 1.15], [0.0, 0.0], [2.0 * 0.85, -3.0 * 1.05]]
    for loss, gain, slope, leaf in zip(given.losses, gains, slopes, given.log_p, strict=True):
        assert loss.tolist() == pytest.approx([-gain / 2 - 0.4 * 0.5, 0.0], rel=1e-5)
        by_log_p, by_entropy = torch.autograd.grad(loss.sum(), [leaf, given.entropy])
        wanted = torch.tensor([[-each / 2 for each in slope] + [0.0], [0.0] * 3])
        torch.testing.assert_close(by_log_p, wanted)
        torch.testing.assert_close(by_entropy, -0.4 * SHARE)


@pytest.mark.parametrize(
    "algorithm",
    [PPO(learning_rate=0.02, batch=10), NASRL(learning_rate=0.01, layers=1)],
    ids=["ppo", "nas_rl"],
)
def test_the_controller_learns_what_pays(algorithm):
    """Eight bits, rewarded by the share of ones: over 0.9 within 200 evaluations."""
    experiment = toy_experiment(algorithm, space=ToySpace((2,) * 8), evaluator=ShareOfOnes())
    played = trace(experiment, seeds=[1], budget=Budget(evaluations=200))
    assert played.reward[:10].mean() < 65
    assert played.reward[-30:].mean() > 90


@pytest.mark.parametrize(
    ("algorithm", "fields"),
    [
        (PPO, {"hidden": 0}), (PPO, {"layers": 0}), (PPO, {"batch": 0}), (PPO, {"spread": 0.0}),
        (PPO, {"baseline_decay": 1.0}), (PPO, {"clip": 0.0}), (PPO, {"entropy": -1.0}),
        (PPO, {"epochs_a_batch": 0}), (PPO, {"learning_rate": 0.0}), (NASRL, {"power": 0.0}),
    ],
    ids=str,
)  # fmt: skip
def test_senseless_fields_are_refused(algorithm, fields):
    with pytest.raises(ConfigError, match=rf"algorithm\.{next(iter(fields))}"):
        algorithm(**fields)
