import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toys import Latency, Scoring, ToySpace, toy_problem

from nasrun.algorithms.nsga2 import NSGA2, crowding_distance, non_dominated_rank
from nasrun.errors import ConfigError
from nasrun.hardware.base import KnownDevice
from nasrun.report.pareto import pareto_front
from nasrun.spec import Phase
from nasrun.streams import Streams

FEW = st.integers(0, 4).map(float)  # so that ties are common
MEMBERS = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))
VALUES = MEMBERS.flatmap(lambda shape: arrays(float, shape, elements=FEW))
SPACE = ToySpace((4, 4, 4))


def slow_rank(values):
    """Fronts peeled off one by one: (n, K) to n numbers."""
    rank, left, front = {}, set(range(len(values))), 0
    while left:
        best = {
            i for i in left
            if not any((values[j] >= values[i]).all() and (values[j] > values[i]).any()
                       for j in left)
        }  # fmt: skip
        rank.update(dict.fromkeys(best, front))
        left -= best
        front += 1
    return [rank[i] for i in range(len(values))]


def slow_crowding(values, rank):
    """The procedure of section III-B, front by front."""
    distance = [0.0] * len(values)
    for front in set(rank):
        members = [i for i, own in enumerate(rank) if own == front]
        for k in range(values.shape[1]):
            ordered = sorted(members, key=lambda i: values[i, k])
            span = values[ordered[-1], k] - values[ordered[0], k]
            for before, i, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
                if span:
                    distance[i] += (values[after, k] - values[before, k]) / span
            distance[ordered[0]] = distance[ordered[-1]] = np.inf
    return distance


def started(trials=4, device=None, **settings):
    """An NSGA-II on a toy whose scores rise with every decision, and latencies do not."""
    algorithm = NSGA2(**settings)
    problem = toy_problem(Scoring(SPACE), trials, SPACE, device or Latency().opened(SPACE, None))
    algorithm.start(problem, Streams(range(trials)), Phase.SEARCH)
    return algorithm


@given(VALUES)
def test_ranks_are_those_of_the_definition(values):
    assert non_dominated_rank(values).tolist() == [slow_rank(own) for own in values]


@given(VALUES)
def test_crowding_is_that_of_the_paper(values):
    rank = non_dominated_rank(values)
    expected = [slow_crowding(own, of.tolist()) for own, of in zip(values, rank, strict=True)]
    np.testing.assert_allclose(crowding_distance(values, rank), expected)


def test_crowding_by_hand():
    """Of (0, 10), (2, 6), (6, 4), (10, 0): 6/10 + 6/10, and 8/10 + 6/10."""
    values = np.array([[[0.0, 10.0], [2.0, 6.0], [6.0, 4.0], [10.0, 0.0]]])
    distance = crowding_distance(values, np.zeros((1, 4), int))
    np.testing.assert_allclose(distance, [[np.inf, 1.2, 1.4, np.inf]])


def test_what_failed_ranks_last_and_is_not_far_from_anybody():
    values = np.array([[[-np.inf] * 2, [1.0, 2.0], [-np.inf] * 2, [0.0, 0.0], [-np.inf] * 2]])
    rank = non_dominated_rank(values)
    assert rank.tolist() == [[2, 0, 2, 1, 2]]
    assert crowding_distance(values, rank)[0, 2] == 0


def test_what_failed_survives_only_while_too_little_has_not():
    score = lambda archs: np.where(archs[:, 0] == 0, np.nan, 1 + archs.sum(axis=1))  # noqa: E731
    problem = toy_problem(score, 4, SPACE, Latency().opened(SPACE, None))
    algorithm = NSGA2(population=10)
    algorithm.start(problem, Streams(range(4)), Phase.SEARCH)
    known = []
    for _ in range(4):
        known.extend(~np.isnan(algorithm.step().score) for _ in range(10))
        alive = np.isfinite(algorithm._values[:, :10]).all(axis=-1).sum(axis=1)
        assert alive.tolist() == np.minimum(np.sum(known, axis=0), 10).tolist()
    assert 0 < np.sum(known) < 160


def test_the_best_of_parents_and_children_survive():
    """By hand: which of 40 members stand first by (rank, crowding), in every trial."""
    algorithm = started()
    for _ in range(40):
        algorithm.step()
    before = algorithm._archs.copy(), algorithm._values.copy()
    for _ in range(19):
        algorithm.step()
    children, theirs = algorithm._archs[:, 20:39].copy(), algorithm._values[:, 20:39].copy()
    last = algorithm.step()
    for trial in range(4):
        archs = [*before[0][trial, :20], *children[trial], last.archs[trial]]
        last_values = algorithm.problem.objectives(last)[trial]
        values = np.array([*before[1][trial, :20], *theirs[trial], last_values])
        rank = slow_rank(values)
        distance = slow_crowding(values, rank)
        best = sorted(range(40), key=lambda i: (rank[i], -distance[i]))[:20]
        assert algorithm._archs[trial, :20].tolist() == [archs[i].tolist() for i in best]
        keys = [(rank[i], -distance[i]) for i in best]
        order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        assert algorithm._standing[trial].tolist() == [order[key] for key in keys]


def test_tournaments_are_won_by_standing():
    """Of 2 drawn out of 3 with replacement, the best is among them in 5 of 9 cases, ..."""
    algorithm = started(trials=4000, population=3)
    algorithm._archs[:, :3, 0] = [0, 1, 2]
    algorithm._standing[:] = [1, 0, 1]
    shares = np.bincount(algorithm._winner()[:, 0]) / 4000
    # 5/9 for the best, 2/9 for each of the equal ones; four standard deviations.
    np.testing.assert_allclose(shares, [2 / 9, 5 / 9, 2 / 9], atol=4 * np.sqrt(0.25 / 4000))


@pytest.mark.parametrize(
    ("crossed", "mutated", "expected"), [(0.0, 0.0, {0}), (0.0, 1.0, {1}), (1.0, 0.0, {0, 1, 2, 3})]
)
def test_children_come_about_as_the_shares_say(crossed, mutated, expected):
    """Parents are all alike, or of two kinds that differ in every decision."""
    settings = {"crossover_share": crossed, "mutation_share": mutated}
    algorithm = started(trials=500, population=2, **settings)
    algorithm.step()
    algorithm.step()
    algorithm._archs[:, :2] = [[0, 0, 0], [1, 1, 1]]
    child = algorithm.ask()
    differs = np.minimum((child != 0).sum(axis=1), (child != 1).sum(axis=1))
    changed = (child > 0).sum(axis=1)
    assert set((changed if crossed else differs).tolist()) == expected


def test_half_of_the_children_are_mutated():
    algorithm = started(trials=4000, population=1, mutation_share=0.5)
    algorithm.step()
    parent = algorithm._archs[:, 0]
    share = (algorithm.ask() != parent).any(axis=1).mean()
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 4000)


def test_the_front_is_that_of_all_measurements():
    algorithm = started()
    measured = [algorithm.step() for _ in range(90)]
    for trial, front in enumerate(algorithm.front()):
        values = np.array([algorithm.problem.objectives(one)[trial] for one in measured])
        expected = [measured[step].archs[trial].tolist() for step in pareto_front(values)]
        assert sorted(front.tolist()) == sorted(expected)


def leading(archs, bit):
    """``(n,)`` how many decisions from the first on are ``bit``."""
    return np.cumprod(archs == bit, axis=1).sum(axis=1)


@pytest.mark.parametrize("crossed", [0.0, 0.9])
def test_it_finds_more_of_the_front_than_random_search(crossed):
    """Leading ones against trailing zeros (LOTZ): 11 of 1,024 architectures are the front."""
    space = ToySpace((2,) * 10)
    latencies_ms = 11.0 - leading(space.at(np.arange(space.size))[:, ::-1], 0)
    device = KnownDevice(Latency(), space, None, latencies_ms, {})
    found = {}
    for population in (10, 200):  # the second never gets beyond its random beginning
        algorithm = NSGA2(population=population, crossover_share=crossed)
        problem = toy_problem(lambda archs: 1 + leading(archs, 1), 50, space, device)
        algorithm.start(problem, Streams(range(50)), Phase.SEARCH)
        for _ in range(200):
            algorithm.step()
        ideal = [leading(f, 1) + leading(f[:, ::-1], 0) == 10 for f in algorithm.front()]
        found[population] = np.array([members.sum() for members in ideal])
    gain = found[10] - found[200]
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))


def test_with_one_objective_it_is_a_genetic_algorithm_and_says_so_once(caplog):
    algorithm = NSGA2(population=5)
    with caplog.at_level("INFO"):
        for _ in range(2):
            problem = toy_problem(lambda archs: archs.sum(axis=1), 3, SPACE)
            algorithm.start(problem, Streams(range(3)), Phase.SEARCH)
    assert caplog.text.count("(mu + lambda) genetic algorithm") == 1
    rewards = []
    for _ in range(5):
        rewards.append([algorithm.step().reward for _ in range(5)])
        best = np.sort(np.concatenate(rewards), axis=0)[-5:]
        assert np.sort(algorithm._values[:, :5, 0], axis=1).T.tolist() == best.tolist()
    assert algorithm.front() is None


@pytest.mark.parametrize(
    "settings", [{"population": 0}, {"crossover_share": 1.1}, {"mutation_share": -0.1}]
)
def test_senseless_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NSGA2(**settings)
