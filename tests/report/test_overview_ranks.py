import numpy as np
import pandas as pd
import pytest
import scipy.stats

from nasrun.report.overview import Ranking, critical_difference, rank

NAN = float("nan")


def tasks(seed=0):
    generator = np.random.default_rng(seed)
    shift = np.array([[0.0], [0.2], [0.8], [0.9]])
    return [(generator.normal(0, 1, (4, n)) + shift).round(1) for n in (20, 25)]


def blocks(seed=0):
    return np.concatenate(tasks(seed), axis=1)


def test_ranks_are_scipys_over_all_trials_and_the_tests_count_units():
    units = tasks()[0]
    found = rank(tasks(), units)
    np.testing.assert_allclose(found.ranks, scipy.stats.rankdata(-blocks(), axis=0).mean(axis=1))
    assert found.blocks == 20
    assert found.critical_difference == critical_difference(4, 20)
    assert found.friedman_p == pytest.approx(scipy.stats.friedmanchisquare(*units).pvalue)


def test_the_critical_difference_is_demsars():
    # Demšar (JMLR 2006), section 3.2.3: 4 classifiers on 14 data sets, q 2.569, CD 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # The same paper's Table 5a.
    for count, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        units = critical_difference(count, 1) / np.sqrt(count * (count + 1) / 6)
        assert units == pytest.approx(q, abs=6e-4)


def test_it_says_what_scikit_posthocs_nemenyi_test_says():
    posthocs = pytest.importorskip("scikit_posthocs")
    found = rank(tasks(), blocks())
    p_values = posthocs.posthoc_nemenyi_friedman(pd.DataFrame(blocks().T)).to_numpy()
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
    two, equal = np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones((3, 4))
    assert np.isnan(rank([two], two).friedman_p)
    assert np.isnan(rank([equal], equal).friedman_p)
