import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.record.history import History
from nasrun.record.pareto import hypervolume, pareto_front
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Measured, Phase

# Few different values, so that ties are common.
POINTS = st.integers(1, 3).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 5)] * k), min_size=1, max_size=10)
)


def slow_front(points):
    """Points that none beats: at least as good in every objective and better in one.

    Of equal points, the first stands for all.
    """

    def beats(i, j):
        no_worse = all(a >= b for a, b in zip(points[i], points[j], strict=True))
        return no_worse and (points[i] != points[j] or i < j)

    every = range(len(points))
    return [j for j in every if not any(beats(i, j) for i in every if i != j)]


@given(POINTS)
def test_front_is_that_of_the_definition(points):
    assert sorted(pareto_front(np.array(points, float)).tolist()) == slow_front(points)


def test_front_is_sorted_by_the_last_objective():
    values = np.random.default_rng(0).random((500, 2))
    front = values[pareto_front(values)]
    assert (np.diff(front[:, 1]) < 0).all()
    assert (np.diff(front[:, 0]) > 0).all()


def test_nothing_has_no_front():
    assert len(pareto_front(np.empty((0, 2)))) == 0


@given(POINTS)
def test_the_hypervolume_counts_the_unit_cubes_below_the_points(points):
    """Corners are whole numbers, so that the volume is how many unit cubes some point covers."""
    values = np.array(points, float)
    cubes = np.stack(np.meshgrid(*[np.arange(5)] * values.shape[1], indexing="ij"), -1)
    covered = (values[:, None] >= cubes.reshape(-1, values.shape[1]) + 1).all(-1).any(0).sum()
    assert hypervolume(values, np.zeros(values.shape[1])) == pytest.approx(covered)


def test_points_beyond_the_reference_cover_nothing_and_an_unknown_one_is_no_volume():
    values = np.array([[3.0, -1.0], [-1.0, 3.0], [2.0, 2.0]])
    assert hypervolume(values, np.array([1.0, 0.5])) == 1.5
    assert hypervolume(values[:2], np.zeros(2)) == 0
    assert np.isnan(hypervolume(values, np.array([0.0, np.nan])))


def test_steps_that_do_not_count_or_are_unknown_are_left_out():
    space, history = NB201(), History(np.array([7, 8]))
    steps = [  # score and latency of trials 7 and 8, and whether they count
        ([90, 99], [5, 1], [True, False]),
        ([80, 95], [6, np.nan], [True, True]),
        ([92, np.nan], [9, 2], [True, True]),
        ([90, 70], [5, 3], [True, True]),
    ]
    for number, (score, latency_ms, counted) in enumerate(steps):
        archs = space.at(np.array([number, number + 10]))
        epochs, figures = np.full(2, 200), np.array([score, latency_ms], float)
        nan = np.full(2, np.nan)
        measured = Measured(archs, epochs, figures[0], np.ones(2), figures[1], nan)
        history.add(Phase.SEARCH, measured, np.array(counted), np.ones(2))
    assert history.usable_steps(0).tolist() == [0, 1, 2, 3]
    assert history.usable_steps(1).tolist() == [3]
