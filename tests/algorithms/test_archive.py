import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasrun.algorithms.archive import ROOM, Archive
from nasrun.report.pareto import pareto_front

VALUE = st.one_of(st.integers(0, 3), st.just(np.nan))


@given(st.integers(1, 3), st.data())
def test_it_keeps_the_front_of_all_that_each_trial_measured(objectives, data):
    row = st.lists(VALUE, min_size=objectives, max_size=objectives)
    steps = data.draw(st.lists(st.lists(row, min_size=2, max_size=2), min_size=1, max_size=15))
    values = np.array(steps, float)  # (steps, trials, objectives)
    archive = Archive(2, 1, objectives)
    for step, own in enumerate(values):
        archive.add(np.full((2, 1), step), own)
    for trial, front in enumerate(archive.fronts()):
        known = np.flatnonzero(~np.isnan(values[:, trial]).any(axis=1))
        expected = known[pareto_front(values[known, trial])]
        assert sorted(front[:, 0].tolist()) == sorted(expected.tolist())


def test_it_grows_with_the_front():
    archive = Archive(2, 1, 2)
    for step in range(5 * ROOM):
        archive.add(np.full((2, 1), step), np.array([[step, -step], [1.0, 1.0]]))
    many, one = archive.fronts()
    assert sorted(many[:, 0].tolist()) == list(range(5 * ROOM))
    assert one.tolist() == [[0]]
