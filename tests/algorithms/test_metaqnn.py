"""MetaQNN: its table by hand, its schedule, and the best network of an additive reward."""

from dataclasses import replace

import numpy as np
import pytest
from toys import ToySpace, toy_problem

from nasrun.algorithms.metaqnn import MetaQNN
from nasrun.errors import ConfigError
from nasrun.spaces.metaqnn import MetaQNN as Chains
from nasrun.spec import Measured, Phase
from nasrun.streams import Streams


def started(space, score=lambda archs: np.zeros(len(archs)), trials=1, **settings):
    algorithm = MetaQNN(**settings)
    problem = toy_problem(score, trials, space)
    algorithm.start(problem, Streams(range(trials)), Phase.SEARCH)
    return algorithm


def told(algorithm, archs, rewards):
    archs = np.array(archs)
    measured = Measured.scored(archs, np.full(len(archs), 12), np.array(rewards), np.ones(1))
    algorithm.tell(replace(measured, reward=measured.score))


def test_an_update_by_hand():
    """Two decisions of two options: values of 0.5, then one replay of a reward of 0.9."""
    algorithm = started(ToySpace((2, 2)), learning_rate=0.1, discount=0.9, replays=1)
    told(algorithm, [[0, 1]], [90.0])
    last = 0.5 + 0.1 * (0.9 - 0.5)
    first = 0.5 + 0.1 * (0.9 * last - 0.5)
    assert algorithm._values[0, 1, 0, :2].tolist() == pytest.approx([0.5, last])
    assert algorithm._values[0, 0, 0, :2].tolist() == pytest.approx([first, 0.5])
    assert algorithm._values[0, 1, 1].tolist() == [-np.inf, -np.inf]  # never met


def test_a_second_replay_goes_on_from_the_first():
    algorithm = started(ToySpace((2, 2)), learning_rate=0.1, replays=2)
    told(algorithm, [[1, 0]], [30.0])
    last, first = 0.5, 0.5
    for _ in range(2):
        last += 0.1 * (0.3 - last)
        first += 0.1 * (max(last, 0.5) - first)  # the other option of the last decision is at 0.5
    assert algorithm._values[0, 1, 1, :2].tolist() == pytest.approx([last, 0.5])
    assert algorithm._values[0, 0, 0, :2].tolist() == pytest.approx([0.5, first])


def test_what_ends_a_network_is_rewarded_though_decisions_are_left():
    space = Chains(depth=4, filters=[64], kernels=[3])
    algorithm = started(space, learning_rate=0.1, replays=1)
    arch = space.parse("[C(64,3,1), SM]")
    told(algorithm, arch[None], [90.0])
    [state] = space.state(arch[None, :1])
    assert algorithm._values[0, 1, state, 0] == pytest.approx(0.54)
    assert np.isneginf(algorithm._values[0, 2:]).mean() > 0.99


def test_nothing_is_learnt_of_failures_and_each_trial_learns_its_own():
    algorithm = started(ToySpace((2, 2)), trials=2, learning_rate=0.1, replays=3)
    told(algorithm, [[0, 0], [1, 1]], [np.nan, 100.0])
    assert algorithm._values[0, 0, 0, :2].tolist() == [0.5, 0.5]
    assert algorithm._values[1, 0, 0, 1] > 0.5
    assert np.isneginf(algorithm._values[0, 1, 1]).all()


def test_replays_are_uniform_over_what_succeeded():
    algorithm = started(ToySpace((4, 4)), replays=1)
    for arch, reward in (([0, 0], 1.0), ([1, 0], np.nan), ([2, 0], 2.0), ([3, 0], 3.0)):
        told(algorithm, [arch], [reward])
    uniforms = (np.arange(300) / 300)[None]
    places, counts = np.unique(algorithm._places(uniforms), return_counts=True)
    assert (places.tolist(), counts.tolist()) == ([0, 2, 3], [100] * 3)


def test_epsilon_falls_by_different_architectures():
    algorithm = started(ToySpace((4, 4)), epsilons=[1.0, 0.5, 0.1], models=[2, 1, 1], replays=1)
    seen = []
    for arch in ([0, 0], [0, 0], [1, 0], [2, 0], [3, 0], [3, 1]):
        told(algorithm, [arch], [1.0])
        seen.append(float(algorithm.epsilon()[0]))
    assert seen == [1.0, 1.0, 0.5, 0.1, 0.1, 0.1]


def test_epsilon_is_the_share_of_random_decisions():
    """One decision in ten options; 4 standard errors of 2,000 draws."""
    algorithm = started(ToySpace((10,)), trials=2000, epsilons=[0.3], models=[1], replays=1)
    told(algorithm, np.full((2000, 1), 7), np.full(2000, 100.0))
    drawn = algorithm._drawn(np.arange(2000))[:, 0]
    share = 1 - 0.3 * 0.9
    assert abs((drawn == 7).mean() - share) < 4 * np.sqrt(share * (1 - share) / 2000)


def test_ties_are_broken_at_random():
    drawn = started(ToySpace((5,)), trials=1000, epsilons=[0.0], models=[1])._drawn(np.arange(1000))
    assert np.bincount(drawn[:, 0]) == pytest.approx(np.full(5, 200), abs=4 * np.sqrt(160))


def test_the_schedule_needs_a_number_for_each_epsilon():
    with pytest.raises(ConfigError, match="2 for 1"):
        MetaQNN(epsilons=[1.0], models=[1, 2])


def test_the_greedy_policy_is_optimal_for_an_additive_reward():
    """Three layers of two convolutions or others, 300 models, repeats included, at a higher rate.

    The best of the 58 networks is found by listing them. Rewards rise as epsilon falls.
    """
    space = Chains(depth=3, filters=[64, 128], kernels=[3])
    shares = np.tile(np.linspace(0, 30, len(space.decisions[0])), (3, 1))
    worth = np.random.default_rng(1).permuted(shares, axis=1)
    worth[:, 0] = 0  # of no layer

    def score(archs):
        return worth[np.arange(3), archs].sum(axis=1)

    everything = space.at(np.arange(space.size))
    everything = everything[space.exists(everything)]
    assert len(everything) == 58
    [best] = everything[[np.argmax(score(everything))]]
    settings = {"epsilons": [1.0, 0.5, 0.1], "models": [45, 5, 1]}
    algorithm = started(space, score, 8, learning_rate=0.1, replays=30, draws=1, **settings)
    by_epsilon = {1.0: [], 0.5: [], 0.1: []}
    for _ in range(300):
        epsilon = algorithm.epsilon()
        for each, reward in zip(epsilon, algorithm.step().reward, strict=True):
            by_epsilon[each].append(reward)
    assert (algorithm.greedy() == best).all()
    means = [np.mean(rewards) for rewards in by_epsilon.values()]
    assert means[0] + 5 < means[1] < means[2] - 5
