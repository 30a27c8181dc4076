import numpy as np
import pandas as pd
import pytest
import scipy.stats

from nasrun.report.ranks import Ranking, critical_difference, rank

NAN = float("nan")


def tasks(seed=0):
    generator = np.random.default_rng(seed)
    shift = np.array([[0.0], [0.2], [0.8], [0.9]])
    return [(generator.normal(0, 1, (4, n)) + shift).round(1) for n in (20, 25)]


def test_ranks_are_scipys_over_all_trials_of_all_tasks():
    found = rank(tasks())
    blocks = np.concatenate(tasks(), axis=1)
    np.testing.assert_allclose(found.ranks, scipy.stats.rankdata(-blocks, axis=0).mean(axis=1))
    assert found.blocks == 45
    assert found.friedman_p == pytest.approx(scipy.stats.friedmanchisquare(*blocks).pvalue)


def test_the_critical_difference_is_demsars():
    # Demšar (JMLR 2006), section 3.2.3: 4 classifiers on 14 data sets, q 2.569, CD 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # The same paper's Table 5a.
    for count, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        units = critical_difference(count, 1) / np.sqrt(count * (count + 1) / 6)
        assert units == pytest.approx(q, abs=6e-4)


def test_it_says_what_scikit_posthocs_nemenyi_test_says():
    posthocs = pytest.importorskip("scikit_posthocs")
    found = rank(tasks())
    p_values = posthocs.posthoc_nemenyi_friedman(
        pd.DataFrame(np.concatenate(tasks(), axis=1).T)
    ).to_numpy()
    apart = np.abs(found.ranks[:, None] - found.ranks) >= found.critical_difference
    np.testing.assert_array_equal(apart, p_values <= 0.05)
    assert 0 < apart.sum() < apart.size - 4  # the example decides both ways


def test_groups_are_the_largest_sets_within_the_difference():
    found = Ranking(np.array([3.0, 1.0, 1.4, 1.9, 5.0]), 10, 1.0, NAN)
    assert found.groups() == [(0, 2)]  # 1.0, 1.4, 1.9
    overlapping = Ranking(np.array([1.0, 1.6, 2.2]), 10, 1.0, NAN)
    assert overlapping.groups() == [(0, 1), (1, 2)]
    assert Ranking(np.array([1.0, 3.0]), 10, 1.0, NAN).groups() == []


def test_two_algorithms_and_equal_ones_have_no_friedman_test():
    assert np.isnan(rank([np.array([[1.0, 2.0], [2.0, 1.0]])]).friedman_p)
    assert np.isnan(rank([np.ones((3, 4))]).friedman_p)
