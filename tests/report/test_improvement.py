import numpy as np
import pytest
import scipy.stats

from nasrun.report.aggregate import strata_counts
from nasrun.report.improvement import improvement_matrix, improvements, pairwise_p_values
from nasrun.report.scores import Scores
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


def test_the_interval_is_that_of_resampled_seeds_written_out():
    found = improvements(tasks((5, 6)), rival=0)
    assert found[0] is None
    counts = np.concatenate(list(strata_counts((5, 6)))).astype(int)
    parts = np.split(counts, [5], axis=1)
    chances = [
        np.mean(
            [
                chance(np.repeat(task[2], drawn), np.repeat(task[0], drawn))
                for task, drawn in zip(tasks((5, 6)), both, strict=True)
            ]
        )
        for both in zip(*parts, strict=True)
    ]
    assert found[2] is not None
    assert (found[2].low, found[2].high) == pytest.approx(np.quantile(chances, [0.025, 0.975]))
    assert found[2].value == pytest.approx(improvement_matrix(tasks((5, 6)))[2, 0])


def test_pairs_are_seeds_averaged_over_tasks_and_adjusted_by_holm():
    figures = tasks((15, 15))
    scores = Scores(("a", "b", "c"), (np.arange(15), np.arange(15)), tuple(figures))
    per_seed = np.mean(scores.scores, axis=0)
    pairs = [(1, 0), (2, 0), (2, 1)]
    raw = [
        scipy.stats.wilcoxon(per_seed[i] - per_seed[j], zero_method="pratt").pvalue
        for i, j in pairs
    ]
    found = pairwise_p_values(scores)
    assert [found[i, j] for i, j in pairs] == pytest.approx(holm(np.array(raw)))
    np.testing.assert_array_equal(found, found.T)
    assert np.isnan(np.diag(found)).all()


def test_seeds_that_some_task_lacks_are_left_out_of_the_pairs():
    first, second = tasks((6, 4))
    apart = Scores(("a", "b", "c"), (np.arange(6), np.array([1, 2, 3, 9])), (first, second))
    shared = np.mean([apart.scores[0][:, 1:4], apart.scores[1][:, :3]], axis=0)
    raw = [
        scipy.stats.wilcoxon(shared[i] - shared[j], zero_method="pratt").pvalue
        for i, j in ((1, 0), (2, 0), (2, 1))
    ]
    assert pairwise_p_values(apart)[1, 0] == pytest.approx(holm(np.array(raw))[0])


def test_tasks_without_a_common_seed_have_no_pairs():
    first, second = tasks((4, 4))
    apart = Scores(("a", "b", "c"), (np.arange(4), np.arange(10, 14)), (first, second))
    assert np.isnan(pairwise_p_values(apart)).all()
