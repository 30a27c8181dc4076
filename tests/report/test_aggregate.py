import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nasrun.report.aggregate import interquartile_means, interval, means, profiles, resamples

SIZES = (30, 50)


def figures(sizes=SIZES, algorithms=3, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(0, 1 + task, (algorithms, n)) for task, n in enumerate(sizes)]


def seeds(*sizes):
    return [np.arange(size) for size in sizes]


def all_counts(units):
    """``(2000, N)`` counts of the trials of all tasks."""
    return np.concatenate([np.concatenate(counts, axis=1) for counts in resamples(units)])


def test_a_resample_draws_units_the_same_on_all_tasks():
    units = [np.array([0, 1, 2, 0]), np.array([2, 1, 0])]
    counts = all_counts(units)
    assert counts.shape == (2000, 7)
    np.testing.assert_array_equal(counts[:, 0], counts[:, 3])
    np.testing.assert_array_equal(counts[:, :3], counts[:, 6:3:-1])
    assert (counts[:, :3].sum(axis=1) == 3).all()


def test_every_task_keeps_its_size_where_all_have_the_same_seeds():
    for counts in resamples(seeds(40, 40)):
        assert all((task.sum(axis=1) == 40).all() for task in counts)


def test_tasks_weigh_the_same_in_the_mean():
    tasks = figures()
    for found, a, b in zip(means(tasks, seeds(*SIZES)), *tasks, strict=True):
        assert found.value == pytest.approx((a.mean() + b.mean()) / 2)
        assert found.low < found.value < found.high


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_the_interquartile_mean_is_scipys_trimmed_mean_of_all_trials(n, m, seed):
    tasks = figures((n, m), seed=seed)
    for found, *own in zip(interquartile_means(tasks, seeds(n, m)), *tasks, strict=True):
        assert found.value == pytest.approx(scipy.stats.trim_mean(np.concatenate(own), 0.25))


@pytest.mark.parametrize("units", [seeds(7, 9), [np.arange(7) % 3, np.arange(9) % 3]])
def test_its_interval_is_that_of_resamples_written_out(units):
    tasks = figures((7, 9), algorithms=2)
    pooled = np.concatenate(tasks, axis=1)
    counts = all_counts(units).astype(int)
    for found, values in zip(interquartile_means(tasks, units), pooled, strict=True):
        drawn = [scipy.stats.trim_mean(np.repeat(values, count), 0.25) for count in counts]
        low, high = interval(np.array(drawn))
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_mean_of_one_task_has_scipys_percentile_interval():
    (task,) = figures((200,), algorithms=1)
    (found,) = means([task], seeds(200))
    theirs = scipy.stats.bootstrap(
        (task[0],), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    # Two bootstraps of 2,000 and 5,000 resamples: their ends differ by a few percent of the width.
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def coverage(tasks, units):
    return sum(found.low < 0 < found.high for found in interquartile_means(tasks, units))


def test_the_interval_of_the_interquartile_mean_covers_the_truth_about_as_often_as_it_says():
    # 300 algorithms on two tasks of symmetric figures about 0 stand for 300 experiments.
    tasks = [np.random.default_rng(seed).normal(0, 1, (300, 40)) for seed in (1, 2)]
    covered = coverage(tasks, seeds(40, 40))
    # Binomial(300, 0.95) lies in [273, 296] but for a chance of 0.001; percentile intervals of 80
    # figures are a little short, hence the lower edge.
    assert 268 <= covered <= 296, f"{covered} of 300 intervals cover the mean"


def test_one_cell_scored_on_three_tasks_is_no_three_independent_ones():
    task = np.random.default_rng(1).normal(0, 1, (300, 40))
    together = coverage([task] * 3, seeds(40, 40, 40))
    apart = coverage([task] * 3, [np.arange(40), np.arange(40, 80), np.arange(80, 120)])
    # As above for the seeds; drawn apart, intervals are too short by the root of 3: 74% coverage.
    assert 268 <= together <= 296, f"{together} of 300 intervals cover the mean"
    assert apart < 250, f"{apart} of 300 intervals cover the mean"


def test_trials_of_one_agent_are_no_independent_ones():
    agents = np.random.default_rng(1).normal(0, 1, (300, 20))
    trials = np.repeat(agents, 10, axis=1)
    by_agent = coverage([trials], [np.repeat(np.arange(20), 10)])
    by_trial = coverage([trials], seeds(200))
    # Binomial(300, 0.95) again; 20 agents make percentile intervals shorter by about 2 points.
    assert 258 <= by_agent <= 296, f"{by_agent} of 300 intervals cover the mean"
    assert by_trial < 200, f"{by_trial} of 300 intervals cover the mean"


def test_equal_figures_have_no_spread():
    for estimate in (means, interquartile_means):
        (found,) = estimate([np.full((1, 6), 0.5)], seeds(6))
        assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_profile_is_the_share_of_trials_at_or_above_each_score():
    generator = np.random.default_rng(0)
    tasks = [generator.normal(0, 1, (2, 30)), generator.normal(0, 1, (2, 90))]
    found = profiles(tasks, [np.arange(30), np.arange(90)])
    for i in range(2):
        for t, share in zip(found.thresholds[::9], found.shares[i, ::9], strict=True):
            wanted = np.mean([np.mean(task[i] >= t) for task in tasks])
            assert abs(share - wanted) < 1e-12
    assert (np.diff(found.shares, axis=1) <= 0).all()
    assert ((found.low <= found.shares + 1e-9) & (found.shares <= found.high + 1e-9)).all()


def test_the_last_score_is_the_best_of_all():
    found = profiles([np.array([[0.0, 0.5], [0.2, 1.0]])], [np.arange(2)])
    assert found.thresholds[-1] == 1.0
    np.testing.assert_allclose(found.shares[:, -1], [0, 0.5])
