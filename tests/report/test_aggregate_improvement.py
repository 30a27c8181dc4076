import numpy as np
import pytest
import scipy.stats

from nasrun.report.aggregate import (
    Scores,
    improvement_matrix,
    improvements,
    pairwise_p_values,
    resamples,
)
from nasrun.report.stats import holm


def tasks(sizes=(12, 20), seed=0):
    generator = np.random.default_rng(seed)
    shift = np.array([[0.0], [0.4], [1.0]])
    return [(generator.normal(0, 1, (3, n)) + shift).round(1) for n in sizes]


def chance(ours, theirs):
    """By definition: over all pairs, equals counting half."""
    return np.mean([(x > y) + (x == y) / 2 for x in ours for y in theirs])


def test_the_matrix_is_the_mean_over_tasks_of_all_pairs():
    found = improvement_matrix(tasks())
    for i in range(3):
        assert np.isnan(found[i, i])
        for j in set(range(3)) - {i}:
            assert found[i, j] == pytest.approx(np.mean([chance(t[i], t[j]) for t in tasks()]))
            assert found[i, j] + found[j, i] == pytest.approx(1)


def test_on_one_task_it_is_mann_and_whitneys_u():
    (task,) = tasks((25,))
    u = scipy.stats.mannwhitneyu(task[2], task[0]).statistic
    assert improvement_matrix([task])[2, 0] == pytest.approx(u / 25**2)


def test_the_interval_is_that_of_resampled_units_written_out():
    figures = tasks((5, 6))
    units = (np.arange(5), np.array([3, 3, 4, 1, 0, 9]))
    found = improvements(Scores(("a", "b", "c"), tuple(figures), units), rival=0)
    assert found[0] is None
    chances = [
        np.mean(
            [
                chance(np.repeat(task[2], drawn), np.repeat(task[0], drawn))
                for task, drawn in zip(figures, both, strict=True)
            ]
        )
        for counts in resamples(units)
        for both in zip(*(task.astype(int) for task in counts), strict=True)
    ]
    assert found[2] is not None
    assert (found[2].low, found[2].high) == pytest.approx(np.quantile(chances, [0.025, 0.975]))
    assert found[2].value == pytest.approx(improvement_matrix(figures)[2, 0])


def test_pairs_are_tested_by_wilcoxon_and_adjusted_by_holm():
    unit_means = tasks((15,))[0]
    pairs = [(1, 0), (2, 0), (2, 1)]
    raw = [
        scipy.stats.wilcoxon(unit_means[i] - unit_means[j], zero_method="pratt").pvalue
        for i, j in pairs
    ]
    found = pairwise_p_values(unit_means, unit_means, [False] * 3)
    assert [found[i, j] for i, j in pairs] == pytest.approx(holm(np.array(raw)))
    np.testing.assert_array_equal(found, found.T)
    assert np.isnan(np.diag(found)).all()


def test_two_methods_without_agents_are_tested_seed_by_seed():
    agents, seeds = tasks((5, 40))
    found = pairwise_p_values(agents, seeds, [True, False, False])
    pairs = [(agents, 1, 0), (agents, 2, 0), (seeds, 2, 1)]
    raw = [scipy.stats.wilcoxon(m[i] - m[j], zero_method="pratt").pvalue for m, i, j in pairs]
    assert [found[i, j] for _, i, j in pairs] == pytest.approx(holm(np.array(raw)))
