import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasrun.report.aggregate import common_scale, complete_scores
from nasrun.report.trials import Problem, Trials
from nasrun.spec import ACCURACY

NAN = np.nan


def trials(figures, seeds=None):
    figures = np.array(figures, float)
    seeds = np.arange(figures.shape[1]) if seeds is None else np.array(seeds)
    return Trials(("a", "b", "c")[: len(figures)], seeds, ACCURACY, *[figures] * 7)


def problem(task):
    return Problem("nb201", task, task)


def test_the_weakest_mean_is_zero_and_the_best_figure_one():
    scores = common_scale(np.array([[90.0, 92.0], [95.0, 93.0]]))
    np.testing.assert_allclose(scores, [[-0.25, 0.25], [1.0, 0.5]])


def test_equal_figures_are_all_the_best():
    np.testing.assert_array_equal(common_scale(np.full((2, 3), 7.0)), np.ones((2, 3)))


@given(arrays(np.float64, (3, 5), elements=st.integers(0, 50).map(float)), st.integers(1, 9))
def test_a_scale_and_an_offset_of_a_task_change_no_score(figures, factor):
    np.testing.assert_allclose(common_scale(factor * figures + 3), common_scale(figures))


def test_only_trials_that_all_have_count():
    found = complete_scores(
        {
            problem("x"): trials([[1, NAN, 3, 4], [5, 6, 7, NAN]]),
            problem("y"): trials([[NAN, NAN], [1, 2]]),
        }
    )
    assert found is not None
    assert len(found.figures) == 1  # y has no complete trial
    np.testing.assert_array_equal(found.figures[0], [[1, 3], [5, 7]])
    np.testing.assert_array_equal(found.units[0], [0, 2])


def test_one_algorithm_or_one_trial_is_nothing_to_compare():
    assert complete_scores({problem("x"): trials([[1, 2, 3]])}) is None
    assert complete_scores({problem("x"): trials([[1], [2]])}) is None
    assert complete_scores({}) is None
    assert complete_scores({problem("x"): trials([[1, 2, 3], [4, 5, 6]])}, agents=1) is None


def test_trials_of_an_agent_are_one_unit_whose_mean_weighs_tasks_alike():
    found = complete_scores(
        {
            problem("x"): trials([[1, 2, 3, 4], [5, 6, 7, 8]], seeds=[10, 11, 12, 13]),
            problem("y"): trials([[0, 1, 5], [1, 0, 9]], seeds=[10, 11, 15]),
        },
        agents=2,
    )
    assert found is not None
    np.testing.assert_array_equal(found.units[1], [0, 1, 1])
    x, y = found.scores
    even = (x[:, [0, 2]].mean(axis=1) + y[:, 0]) / 2
    odd = (x[:, [1, 3]].mean(axis=1) + y[:, [1, 2]].mean(axis=1)) / 2
    np.testing.assert_allclose(found.unit_means(), np.stack([even, odd], axis=1))


def test_tasks_without_a_common_seed_have_no_unit_means():
    found = complete_scores(
        {
            problem("x"): trials([[1, 2], [5, 6]], seeds=[0, 1]),
            problem("y"): trials([[0, 1], [1, 0]], seeds=[2, 3]),
        }
    )
    assert found is not None
    assert found.unit_means().shape == (2, 0)
