import numpy as np
import pytest

from nasrun.algorithms.kde import Kernel
from nasrun.algorithms.ranked_model import (
    CountedSplit,
    Ranking,
    Rule,
    Split,
    close_calls,
    split,
)

ARITY = np.array([4, 3, 1, 2])


def measured(steps=150, trials=3, seed=0):
    generator = np.random.default_rng(seed)
    archs = generator.integers(0, ARITY, size=(trials, steps, 4))
    rewards = generator.integers(9, size=(trials, steps))
    return archs, np.where(rewards == 0, -np.inf, rewards)


def rule(kernel=Kernel.capped, enough=3):
    return Rule(15.0, enough, ARITY, 0.3, kernel)


def test_what_is_measured_is_filed_as_a_stable_sort_would():
    archs, rewards = measured()
    ranking = Ranking(3, 4)
    for step in range(150):
        ranks = ranking.insert(archs[:, step], rewards[:, step])
        order = np.argsort(-rewards[:, : step + 1], axis=1, kind="stable")
        expected = np.take_along_axis(archs[:, : step + 1], order[:, :, None], axis=1)
        np.testing.assert_array_equal(ranking.of(np.arange(3)), expected)
        np.testing.assert_array_equal(ranks, (order == step).argmax(axis=1))
    some = np.array([[0, 7], [149, 3], [5, 5]])
    np.testing.assert_array_equal(
        ranking.at(some), np.take_along_axis(expected, some[:, :, None], axis=1)
    )


@pytest.mark.parametrize("kernel", Kernel)
def test_counts_give_the_densities_of_the_points(kernel):
    """At every step, after the border has passed measurements in either direction."""
    archs, rewards = measured()
    rankings = Ranking(3, 4), Ranking(3, 4)
    for ranking in rankings:
        for step in range(6):
            ranking.insert(archs[:, step], rewards[:, step])
    summed, counted = Split(rankings[0], rule(kernel)), CountedSplit(rankings[1], rule(kernel))
    asked = measured(steps=5, seed=1)[0]
    for step in range(6, 150):
        for own in (summed, counted):
            own.insert(archs[:, step], rewards[:, step])
        np.testing.assert_allclose(counted.fit(), summed.fit(), rtol=1e-12)
        for found, expected in zip(counted.densities(asked), summed.densities(asked), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert counted.n_good == 22


def test_large_spaces_are_not_counted():
    ranking = Ranking(1, 28)
    for _ in range(4):
        ranking.insert(np.zeros((1, 28), np.int64), np.zeros(1))
    darts = Rule(15.0, 2, np.full(28, 7), 0.3, Kernel.capped)
    assert type(split(ranking, darts)) is Split
    assert type(split(Ranking(1, 4), rule())) is CountedSplit


def test_a_close_call_is_one_between_different_candidates():
    good = np.array([[0.2, 0.2 * (1 + 1e-15), 0.1]] * 4)
    bad = np.full((4, 3), 0.1)
    archs = np.array([[[0], [1], [2]], [[1], [1], [2]], [[0], [1], [2]], [[0], [1], [2]]])
    good[2] = 0.2, 0.2001, 0.1  # a clear difference
    good[3] = np.inf, np.inf, 0.1  # zeros are equal in any order
    assert close_calls(good, bad, archs).tolist() == [True, False, False, False]
