import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.report.pareto import covered, hypervolume, pareto_front, volumes


def points(objectives):
    """Few different values, so that ties and equal rows are common."""
    row = st.tuples(*[st.integers(0, 4)] * objectives)
    rows = st.lists(row, max_size=12)
    return rows.map(lambda found: np.array(found, float).reshape(len(found), objectives))


POINTS = st.one_of(points(1), points(2), points(3), points(4))


def slow_front(values):
    """Rows that none beats: as good in all objectives and better in one, or equal and earlier."""
    front = []
    for i, mine in enumerate(values):
        beaten = any(
            all(other >= own for other, own in zip(theirs, mine, strict=True))
            and (any(other > own for other, own in zip(theirs, mine, strict=True)) or j < i)
            for j, theirs in enumerate(values)
            if j != i
        )
        if not beaten:
            front.append(i)
    return front


def slow_hypervolume(values, reference):
    """Unit cubes of the grid that some row covers; for whole numbers."""
    corners = np.stack(np.meshgrid(*[np.arange(-2, 5)] * len(reference)), -1)
    corners = corners.reshape(-1, len(reference))
    covered = ((corners[:, None] + 1 <= values) & (corners[:, None] >= reference)).all(-1).any(1)
    return float(covered.sum())


@given(POINTS)
def test_the_front_is_that_of_the_definition(values):
    front = pareto_front(values)
    assert sorted(front.tolist()) == slow_front(values)
    assert (np.diff(values[front, -1]) <= 0).all()


def test_a_front_of_accuracy_and_latency_stands_fastest_first():
    rng = np.random.default_rng(0)
    accuracy, latency_ms = rng.random(500), rng.random(500)
    front = pareto_front(np.stack([accuracy, -latency_ms], axis=1))
    assert len(front) > 3
    assert (np.diff(latency_ms[front]) > 0).all()
    assert (np.diff(accuracy[front]) > 0).all()


def test_ten_thousand_compromises_take_less_than_a_second():
    accuracy = np.linspace(0, 1, 10_000)
    began = time.process_time()
    assert len(pareto_front(np.stack([accuracy, -accuracy], axis=1))) == 10_000
    assert time.process_time() - began < 1


def test_hypervolume_of_two_objectives_by_hand():
    """From (0, -10): 90 % at 4 ms covers 90 * 6; 95 % at 8 ms adds 5 * 2; 80 % at 9 ms nothing."""
    values = np.array([[90.0, -4.0], [95.0, -8.0], [80.0, -9.0]])
    assert hypervolume(values, np.array([0.0, -10.0])) == 90 * 6 + 5 * 2


def test_hypervolume_of_three_objectives_by_hand():
    """Boxes 3*2*1, 1*2*3 and 2*2*2 at one corner, by inclusion and exclusion.

    6 + 6 + 8 - (1*2*1) - (2*2*1) - (1*2*2) + 1*2*1 = 12.
    """
    values = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
    assert hypervolume(values, np.zeros(3)) == 12


@pytest.mark.parametrize("objectives", [2, 3])
def test_hypervolume_is_the_share_of_random_points_that_are_covered(objectives):
    rng = np.random.default_rng(objectives)
    values, drawn = rng.random((20, objectives)), rng.random((200_000, objectives))
    share = (drawn[:, None] <= values).all(axis=-1).any(axis=1).mean()
    deviation = np.sqrt(share * (1 - share) / len(drawn))
    # Four standard deviations: one seed in 16,000 would miss.
    assert abs(hypervolume(values, np.zeros(objectives)) - share) < 4 * deviation


@given(st.one_of(points(2), points(3)), st.integers(-2, 3))
def test_hypervolume_is_that_of_the_definition(values, corner):
    reference = np.full(values.shape[1], float(corner))
    assert hypervolume(values, reference) == slow_hypervolume(values, reference)
    assert hypervolume(values[pareto_front(values)], reference) == hypervolume(values, reference)


def test_what_is_not_better_than_the_reference_covers_nothing():
    assert hypervolume(np.array([[90.0, -10.0], [0.0, -1.0]]), np.array([0.0, -10.0])) == 0
    assert hypervolume(np.empty((0, 2)), np.zeros(2)) == 0


def test_without_a_reference_there_is_no_hypervolume():
    assert np.isnan(hypervolume(np.ones((1, 2)), np.array([0.0, np.nan])))


def front_row(algorithm, seed, score, latency_ms, volume="", metric="neg_loss", **more):
    return {
        "space": "s", "search_task": "t", "task": "t", "algorithm": algorithm, "seed": str(seed),
        "arch": f"{algorithm}{seed}{score}", "metric": metric, "val_score": str(score),
        "latency_ms": str(latency_ms), "hypervolume": volume, "split": "", "fidelity": "",
        "run": "", "clock": "", "meta": "none", **more,
    }  # fmt: skip


def owner(algorithm, seed):
    return ("s", "t", algorithm, str(seed), "", "", "", "", "none")


def test_fronts_without_a_reference_are_measured_from_one_point():
    """Scores -3 to -1, latencies 2 to 6: the point is (-3.2, 6.4), a tenth of either range on."""
    rows = [
        front_row("a", 0, -1.0, 6.0), front_row("a", 0, -2.0, 2.0), front_row("b", 0, -3.0, 4.0),
    ]  # fmt: skip
    found = covered(rows)
    # a: the box of (-1, 6) and that of (-2, 2), less what they share.
    assert found[owner("a", 0)] == pytest.approx(2.2 * 0.4 + 1.2 * 4.4 - 1.2 * 0.4)
    assert found[owner("b", 0)] == pytest.approx(0.2 * 2.4)
    twice = covered([*rows, *({**row, "task": "other"} for row in rows)])  # another scored task
    assert twice == found


def test_a_metric_of_which_less_is_better_is_turned():
    rows = [front_row("a", 0, 4.0, 1.0, metric="perplexity")]
    rows += [front_row("b", 0, 8.0, 1.0, metric="perplexity")]
    found = covered(rows)
    assert found[owner("a", 0)] == pytest.approx(4.4 * 0.1)
    assert found[owner("b", 0)] == pytest.approx(0.4 * 0.1)


def test_a_known_hypervolume_stays_and_devices_do_not_mix():
    rows = [
        front_row("a", 0, 90.0, 1.0, volume="7", metric="accuracy_pct"),
        front_row("b", 0, -1.0, 100.0, device="one"), front_row("b", 1, -2.0, 100.0, device="one"),
        front_row("c", 0, -1.0, 1.0, device="two"), front_row("c", 1, -2.0, 1.0, device="two"),
    ]  # fmt: skip
    found = covered(rows)
    assert found[owner("a", 0)] == 7
    assert found[owner("b", 1)] == pytest.approx(0.1 * 10.0)
    assert found[owner("c", 1)] == pytest.approx(0.1 * 0.1)


def test_a_trial_without_a_front_covers_nothing_where_others_have_one():
    rows = [front_row("a", 0, 90.0, 1.0, volume="7"), front_row("a", 1, 90.0, 1.0, volume="9")]
    others = [front_row("a", 2, 0.0, 0.0), front_row("rea", 0, 0.0, 0.0)]
    trials = [*rows, *others]
    assert volumes(trials, rows).tolist()[:3] == [7, 9, 0]
    assert np.isnan(volumes(trials, rows)[3])
    assert np.isnan(volumes(trials, [])).all()
