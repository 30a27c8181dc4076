"""Ranks averaged within a space first, computed by hand."""

import numpy as np
import pytest

from nasrun.report.groups import group_ranks
from nasrun.report.overview import critical_difference
from nasrun.report.schema import Report
from nasrun.report.trials import Problem, Trials
from nasrun.spec import ACCURACY

NAN = float("nan")
METHODS = ("random", "ours", "local_search")


def problem(space, task):
    return Problem(space, task, task)


def trials(*figures, seeds=(0, 1)):
    figures = np.array(figures, float)
    empty = np.full_like(figures, np.nan)
    return Trials(METHODS, np.array(seeds), ACCURACY, figures, *(empty,) * 6)


# Means by task: 1 2 3, 3 2 1, 2 2 5 in one space, 9 1 5 in the other; more is better.
PROBLEMS = {
    problem("nb201", "a"): trials([0, 2], [2, 2], [3, 3]),
    problem("nb201", "b"): trials([3, 3], [1, 3], [1, 1]),
    problem("other", "a"): trials([9, 9], [1, 1], [5, 5]),
    problem("nb201", "c"): trials([1, 3], [3, 1], [6, 4]),
}
REPORT = Report(
    published_ranks="tutorial_ranks",
    published_names={"ours": "rea"},
    comparable={"nb101_nb201": ["nb101", "nb201"], "other_benchmarks": ["nowhere"]},
)


def test_a_space_of_three_tasks_weighs_no_more_than_one_of_one():
    found = group_ranks(PROBLEMS, Report())
    assert found.algorithms == METHODS
    assert (found.spaces, found.tasks.tolist()) == (("nb201", "other"), [3, 1])
    by_space = [[(3 + 1 + 2.5) / 3, 1], [(2 + 2 + 2.5) / 3, 3], [(1 + 3 + 1) / 3, 2]]
    np.testing.assert_allclose(found.by_space, by_space)
    overall = [sum(row) / 2 for row in by_space]
    assert [each.value for each in found.overall] == pytest.approx(overall)
    assert found.by_rank() == [0, 2, 1]
    assert found.critical_difference == critical_difference(3, 4)
    assert found.units == 2
    assert found.comparisons == ()


def test_intervals_draw_the_same_seeds_on_all_tasks():
    """Two seeds that disagree on which of two methods is better, on both tasks alike."""
    figures = ([1, 4], [2, 3], [0, 0])
    found = group_ranks(
        {problem("x", "a"): trials(*figures), problem("y", "a"): trials(*figures)}, Report()
    )
    # Seed 0 alone gives rank 2, seed 1 alone 1, both 1.5: never anything in between.
    assert [(e.value, e.low, e.high) for e in found.overall] == [
        (1.5, 1, 2),
        (1.5, 1, 2),
        (3, 3, 3),
    ]


def test_published_ranks_are_compared_as_orders_of_what_both_have():
    [found] = group_ranks(PROBLEMS, REPORT).comparisons
    assert (found.name, found.spaces) == ("nb101_nb201", ("nb201",))
    assert found.printed == {"random": 4.5, "ours": 3.0, "local_search": 1.5}
    assert found.theirs == {"random": 3.0, "ours": 2.0, "local_search": 1.0}
    ours = {"random": 6.5 / 3, "ours": 6.5 / 3, "local_search": 5 / 3}
    assert found.ours == pytest.approx(ours)


def test_one_method_has_no_ranks():
    single = Trials(("random",), np.arange(2), ACCURACY, np.ones((1, 2)), *(np.ones((1, 2)),) * 6)
    assert group_ranks({problem("nb201", "a"): single}, Report()) is None


def test_a_task_without_complete_trials_is_left_out():
    lacking = trials([1, 2], [3, NAN], [NAN, 5])
    found = group_ranks({**PROBLEMS, problem("third", "a"): lacking}, Report())
    assert found.spaces == ("nb201", "other")
