from dataclasses import astuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nasrun.report import stats
from nasrun.report.stats import (
    block_means,
    bootstrap_ci,
    difference_in_errors,
    holm,
    mean_ranks,
    one_sided_p_value,
    paired_p_value,
    probability_of_improvement,
    regrets,
    resampled_counts,
    share_found,
    summarise_columns,
)

NAN = float("nan")
LEVEL = 0.001  # of the statistical checks below, whose seeds are fixed


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(70.0, 1.0, shape)


def test_a_summary_holds_the_plain_statistics():
    (summary,) = summarise_columns(np.array([[1.0], [2.0], [NAN], [6.0]]))
    assert summary is not None
    assert (summary.n, summary.mean, summary.min, summary.median, summary.max) == (3, 3, 1, 2, 6)
    assert summary.std == pytest.approx(np.sqrt(7))
    assert summary.ci_low < 3 < summary.ci_high


def test_an_empty_column_has_no_summary_and_a_single_figure_no_spread():
    empty, single = summarise_columns(np.array([[NAN, 5.0], [NAN, NAN]]))
    assert empty is None
    assert single is not None
    assert single.n == 1
    assert np.isnan([single.std, single.ci_low, single.ci_high]).all()


def test_a_constant_column_has_its_value_as_interval():
    (summary,) = summarise_columns(np.full((7, 1), 0.1))
    assert summary is not None
    assert (summary.ci_low, summary.ci_high) == (0.1, 0.1)


def test_intervals_draw_agents_with_all_of_their_trials():
    """Two agents: a quarter of the resamples holds one of them alone, a quarter the other."""
    figures = np.array([[1.0, NAN], [5.0, 5.0], [3.0, 3.0], [7.0, NAN], [NAN, 9.0], [9.0, 11.0]])
    both, second = summarise_columns(figures, np.arange(10, 16), agents=2)
    assert both is not None
    assert (both.n, both.units, both.mean) == (5, 2, 5.0)
    assert (both.ci_low, both.ci_high) == pytest.approx((2.0, 7.0))  # (1 + 3) / 2, (5 + 7 + 9) / 3
    assert second is not None
    assert (second.n, second.units) == (4, 2)
    assert (second.ci_low, second.ci_high) == pytest.approx((6.0, 8.0))
    low, high = bootstrap_ci(figures[[0, 1, 2, 3, 5], :1], blocks=np.array([4, 9, 4, 9, 9]))
    assert (low[0], high[0]) == pytest.approx((2.0, 7.0))
    (alone,) = summarise_columns(figures[:, :1], np.arange(6), agents=1)
    assert alone is not None
    assert (alone.n, alone.units) == (5, 1)
    assert np.isnan([alone.ci_low, alone.ci_high]).all()
    empty, _ = summarise_columns(np.array([[NAN, 1.0]]), np.arange(1), agents=2)
    assert empty is None


def test_intervals_that_draw_agents_hold_the_mean_of_others():
    """Of 100 meta-trainings of 20 agents; 10 trials an agent, which are more alike."""
    rng = np.random.default_rng(0)
    blocks = np.arange(200) % 20
    held = np.zeros(2)
    for _ in range(100):
        figures = rng.normal(0.0, 1.0, 20)[blocks] + rng.normal(0.0, 0.5, 200)
        for at, own in enumerate((blocks, None)):
            low, high = bootstrap_ci(figures[:, None], blocks=own)
            held[at] += low[0] <= 0.0 <= high[0]
    by_agents, by_trials = held
    # Binomial(100, 0.92), which the percentile interval of 20 has, is below 84 with p = .003.
    assert by_agents >= 84, held
    assert by_trials <= 70, held


def test_a_column_is_summarised_the_same_alone_and_among_others():
    figures = normals(40, 3)
    figures[:5, 1] = NAN
    together = summarise_columns(figures)
    for column, summary in enumerate(together):
        (alone,) = summarise_columns(figures[:, [column]])
        assert alone is not None
        assert summary is not None
        assert vars(alone) == pytest.approx(vars(summary), rel=1e-12)


def test_the_interval_is_reproducible_and_leaves_global_randomness_alone():
    figures = normals(30, 2)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = bootstrap_ci(figures), bootstrap_ci(figures)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    samples = normals(60, 400)  # 400 samples of 60 figures
    low, high = bootstrap_ci(samples)
    covered = int(((low < 70.0) & (high > 70.0)).sum())
    # Binomial(400, 0.95) lies in [365, 394] but for a chance of LEVEL; percentile intervals of 60
    # figures are about one point too short, hence the lower edge.
    assert 355 <= covered <= 394, f"{covered} of 400 intervals cover the mean"


def test_the_interval_of_many_figures_is_as_wide_as_the_normal_one():
    low, high = bootstrap_ci(normals(5000, 1))
    assert high[0] - low[0] == pytest.approx(2 * 1.96 / np.sqrt(5000), rel=0.06)


def test_the_interval_of_two_figures_is_from_one_to_the_other():
    low, high = bootstrap_ci(np.array([[1.0], [3.0]]))  # a quarter of the resamples holds one alone
    assert (low[0], high[0]) == (1.0, 3.0)


def test_an_interval_of_a_lower_level_has_its_own_quantiles():
    figures = np.arange(100.0)[:, None]
    low, high = bootstrap_ci(figures, 0.5)
    # The mean's standard error is 28.87 / 10; half of a normal law lies within 0.6745 of them.
    assert (low[0], high[0]) == pytest.approx((49.5 - 1.947, 49.5 + 1.947), abs=0.15)


@pytest.mark.parametrize("batch", [1, 999, 10**9])
def test_how_much_is_resampled_at_a_time_changes_nothing(monkeypatch, batch):
    figures, differences = normals(20, 2), normals(20) - 69.8
    interval, p_value = bootstrap_ci(figures), one_sided_p_value(differences)
    resamples = []
    counts = stats.resampled_counts
    seen = lambda *given: resamples.append(given[1]) or counts(*given)  # noqa: E731
    monkeypatch.setattr(stats, "resampled_counts", seen)
    monkeypatch.setattr(stats, "BATCH", batch)
    np.testing.assert_allclose(bootstrap_ci(figures), interval, rtol=1e-12)
    assert one_sided_p_value(differences) == p_value
    assert sum(resamples) == 2000
    assert max(resamples) <= max(1, batch // 20)


def test_resampled_rows_are_counted():
    found = resampled_counts(np.random.default_rng(3), 500, 7)
    drawn = np.random.default_rng(3).integers(7, size=(500, 7))
    np.testing.assert_array_equal(found, [np.bincount(row, minlength=7) for row in drawn])


def test_mean_ranks_share_ties_and_skip_incomplete_trials():
    figures = np.array([[3.0, 2.0, NAN], [3.0, 1.0, 9.0], [1.0, 3.0, 9.0]])
    np.testing.assert_allclose(mean_ranks(figures), [1.75, 2.25, 2.0])
    assert np.isnan(mean_ranks(np.full((2, 3), NAN))).all()


def test_regret_runs_from_the_best_figure_to_the_weakest_mean():
    figures = np.array([[1.0, 3.0, NAN], [6.0, 4.0, 5.0], [NAN, NAN, NAN]])  # means 2, 5, none
    np.testing.assert_allclose(regrets(figures), [1.0, 0.25, NAN])
    assert regrets(np.full((2, 3), 7.0)).tolist() == [0.0, 0.0]
    assert np.isnan(regrets(np.full((2, 2), NAN))).all()


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=8))
def test_mean_ranks_always_sum_to_the_same(rows):
    assert mean_ranks(np.array(rows, float).T).sum() == pytest.approx(6.0)


def test_pairs_see_what_a_shared_seed_hides():
    noise = normals(40, seed=1)
    assert paired_p_value(noise + 0.1, noise + normals(40, seed=2) * 0.01 - 0.7) < LEVEL


def test_the_paired_test_is_symmetric_and_quiet_on_equals():
    first, second = normals(50), normals(50, seed=3)
    assert paired_p_value(first, second) == pytest.approx(paired_p_value(second, first))
    assert paired_p_value(first, first) == 1.0
    assert np.isnan(paired_p_value(np.array([NAN, 1.0]), np.array([1.0, NAN])))


def test_the_paired_test_rejects_true_hypotheses_as_often_as_it_says():
    shared = normals(200, 40)
    first, second = shared + normals(200, 40, seed=1), shared + normals(200, 40, seed=2)
    rejected = sum(paired_p_value(a, b) < 0.05 for a, b in zip(first, second, strict=True))
    assert rejected <= 22, f"{rejected} of 200"  # Binomial(200, 0.05) exceeds 22 with chance LEVEL


def test_the_paired_test_of_few_pairs_counts_all_signs():
    for pairs, p in ((2, 2 / 4), (3, 2 / 8), (4, 2 / 16)):
        assert paired_p_value(np.arange(1.0, pairs + 1), np.zeros(pairs)) == pytest.approx(p)
    assert np.isnan(paired_p_value(np.ones(1), np.zeros(1)))


def test_draws_add_no_evidence():
    first = np.zeros(500)
    first[:6] = 1.0  # six wins and 494 draws: a sign test's two-sided p is 2 / 2**6 = 0.03
    assert 0.01 < paired_p_value(first, np.zeros(500)) < 0.05


def test_holm_by_hand():
    adjusted = holm(np.array([0.01, NAN, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, NAN, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_raises_p_values_and_keeps_their_order(values):
    p_values = np.array(values)
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


def test_probability_of_improvement_by_hand():
    first, second = np.array([3.0, 1.0, NAN]), np.array([2.0, 1.0])
    assert probability_of_improvement(first, second) == pytest.approx((2 + 0.5) / 4)
    assert np.isnan(probability_of_improvement(first, np.array([NAN])))


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
)
def test_improvements_of_two_samples_on_each_other_sum_to_one(first, second):
    a, b = np.array(first, float), np.array(second, float)
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1)


def test_difference_in_standard_errors():
    assert difference_in_errors(72.0, 3.0, 9, 70.0, 4.0, 16) == pytest.approx(2 / np.sqrt(2))
    assert np.isnan(difference_in_errors(72.0, NAN, 1, 70.0, 4.0, 16))
    assert np.isnan(difference_in_errors(72.0, 0.0, 2, 70.0, 0.0, 2))


def test_the_sign_flip_test_counts_all_signs():
    assert one_sided_p_value(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert one_sided_p_value(np.array([-1.0, 2.0, 3.0])) == 2 / 8  # 4 and 6 are as high
    assert one_sided_p_value(np.ones(10)) == 1 / 1024
    assert one_sided_p_value(-np.ones(10)) == 1.0
    assert one_sided_p_value(np.zeros(4)) == 1.0


@pytest.mark.parametrize("unit", [1e-10, 1.0, 1e10])
def test_the_sign_flip_test_counts_sums_that_only_rounding_parts(unit):
    """Of 0.1, 0.2 and -0.3: 0.6, 0.4, 0.2 and twice 0 are as high as their sum."""
    assert one_sided_p_value(unit * np.array([0.1, 0.2, -0.3])) == 5 / 8


def test_draws_of_signs_count_equal_sums_too():
    assert one_sided_p_value(np.zeros(20)) == 1.0


def test_drawn_and_counted_signs_agree():
    """Seventeen differences are drawn; the seventeenth is nothing, so that sixteen are the same."""
    differences = normals(16, seed=4) - 69.5
    counted = one_sided_p_value(differences)
    assert 0.01 < counted < 0.2
    drawn = one_sided_p_value(np.append(differences, 0.0))
    error = np.sqrt(counted * (1 - counted) / 2**16)
    assert abs(drawn - counted) < 3.3 * error  # two-sided chance of LEVEL


def test_the_sign_flip_test_leaves_missing_differences_out():
    assert one_sided_p_value(np.array([1.0, NAN, 2.0])) == 1 / 4
    assert np.isnan(one_sided_p_value(np.array([NAN])))


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=12))
def test_the_sign_flip_test_agrees_with_scipy(values):
    differences = np.array(values, float)
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="greater",
        n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert one_sided_p_value(differences) == pytest.approx(expected)


def test_many_differences_are_drawn_and_keep_the_level():
    generator = np.random.default_rng(1)
    p_values = np.array([one_sided_p_value(generator.normal(size=30)) for _ in range(60)])
    # Under the null 5% fall below 0.05: ten or more of 60 have a chance below LEVEL.
    assert (p_values < 0.05).sum() < 10, p_values
    assert one_sided_p_value(generator.normal(1, 1, 30)) < 0.001


def test_the_share_and_its_spread_over_agents():
    rank = np.array([1, 1, 2, 9, 1, 4], float)  # agent 0: 1, 2, 1; agent 1: 1, 9, 4
    best, top3 = (share_found(rank, np.arange(6), top, agents=2) for top in (1, 3))
    assert best.share == 0.5
    assert (best.agent_min, best.agent_max) == pytest.approx((1 / 3, 2 / 3))
    assert best.agent_std == pytest.approx(np.std([1 / 3, 2 / 3], ddof=1))
    assert (top3.agent_min, top3.agent_max) == pytest.approx((1 / 3, 1.0))


@pytest.mark.parametrize("agents", [0, 1])
def test_no_agents_or_a_single_one_have_no_spread(agents):
    share = share_found(np.array([1.0, 2.0]), np.arange(2), 1, agents)
    assert share.share == 0.5
    assert np.isnan([share.agent_min, share.agent_max, share.agent_std]).all()


def test_an_unknown_rank_counts_neither_way():
    assert share_found(np.array([1.0, NAN]), np.arange(2), 1, 0).share == 1.0
    unknown = share_found(np.array([NAN, NAN]), np.arange(2), 1, 2)
    assert np.isnan(astuple(unknown)).all()


def test_blocks_follow_the_absolute_seed():
    figures, seeds = np.array([1.0, 2.0, 3.0, 4.0]), np.array([7, 8, 9, 10])
    np.testing.assert_allclose(block_means(figures, seeds, 2), [3.0, 2.0])


def test_a_block_without_figures_is_left_out():
    np.testing.assert_allclose(block_means(np.array([1.0, NAN]), np.arange(2), 5), [1.0])
