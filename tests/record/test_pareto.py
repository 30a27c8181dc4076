import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasrun.record.history import History, pareto_front
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Measured, Phase

# Few different values, so that ties are common.
POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=12)


def slow_front(accuracy, latency):
    """Points that none beats: at least as good in both figures and better in one.

    Of equal points, the first stands for all.
    """
    front = []
    for i in range(len(accuracy)):
        beaten = any(
            accuracy[j] >= accuracy[i]
            and latency[j] <= latency[i]
            and (accuracy[j] > accuracy[i] or latency[j] < latency[i] or j < i)
            for j in range(len(accuracy))
            if j != i
        )
        if not beaten:
            front.append(i)
    return sorted(front, key=lambda i: latency[i])


@given(POINTS)
def test_front_is_that_of_the_definition(points):
    accuracy = np.array([a for a, _ in points], float)
    latency = np.array([ms for _, ms in points], float)
    assert pareto_front(accuracy, latency).tolist() == slow_front(accuracy, latency)


def test_front_is_sorted_by_latency_and_rises_in_accuracy():
    rng = np.random.default_rng(0)
    accuracy, latency = rng.random(500), rng.random(500)
    front = pareto_front(accuracy, latency)
    assert (np.diff(latency[front]) > 0).all()
    assert (np.diff(accuracy[front]) > 0).all()


def measured(archs, accuracy, latency_ms):
    accuracy, latency_ms = np.array(accuracy, float), np.array(latency_ms, float)
    epochs = np.full(len(archs), 200)
    return Measured(archs, epochs, accuracy, np.ones(len(archs)), latency_ms, accuracy)


def test_rows_leave_out_what_does_not_count_or_is_unknown():
    space = NB201()
    history = History(np.array([7, 8]))
    steps = [
        # trial 7: a good point; trial 8: a point that is not counted
        ([90, 99], [5, 1], [True, False]),
        # trial 7: beaten by the first; trial 8: no latency
        ([80, 95], [6, np.nan], [True, True]),
        # trial 7: slower and better; trial 8: no accuracy
        ([92, np.nan], [9, 2], [True, True]),
        # trial 7: equal to the first; trial 8: its only point
        ([90, 70], [5, 3], [True, True]),
    ]
    for number, (accuracy, latency_ms, counted) in enumerate(steps):
        archs = space.at(np.array([number, number + 10]))
        history.add(
            Phase.SEARCH, measured(archs, accuracy, latency_ms), np.array(counted), np.ones(2)
        )
    rows = [(row[0], row[1], row[3], row[4]) for row in history.pareto_rows(space)]
    texts = [space.text(space.at(np.array(number))) for number in (0, 2, 13)]
    assert rows == [(7, texts[0], 90, 5), (7, texts[1], 92, 9), (8, texts[2], 70, 3)]
