import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nasrun.report.aggregate import (
    interquartile_means,
    interval,
    means,
    strata_counts,
)

SIZES = (30, 50)


def figures(sizes=SIZES, algorithms=3, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(0, 1 + task, (algorithms, n)) for task, n in enumerate(sizes)]


def test_every_resample_keeps_the_size_of_every_task():
    counts = np.concatenate(list(strata_counts(SIZES)))
    assert counts.shape == (2000, 80)
    assert (counts[:, :30].sum(axis=1) == 30).all()
    assert (counts[:, 30:].sum(axis=1) == 50).all()


def test_tasks_weigh_the_same_in_the_mean():
    tasks = figures()
    for found, a, b in zip(means(tasks), *tasks, strict=True):
        assert found.value == pytest.approx((a.mean() + b.mean()) / 2)
        assert found.low < found.value < found.high


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_the_interquartile_mean_is_scipys_trimmed_mean_of_all_trials(n, m, seed):
    tasks = figures((n, m), seed=seed)
    for found, *own in zip(interquartile_means(tasks), *tasks, strict=True):
        assert found.value == pytest.approx(scipy.stats.trim_mean(np.concatenate(own), 0.25))


def test_its_interval_is_that_of_resamples_written_out():
    tasks = figures((7, 9), algorithms=2)
    pooled = np.concatenate(tasks, axis=1)
    for found, values in zip(interquartile_means(tasks), pooled, strict=True):
        drawn = [
            scipy.stats.trim_mean(np.repeat(values, counts.astype(int)), 0.25)
            for counts in np.concatenate(list(strata_counts((7, 9))))
        ]
        low, high = interval(np.array(drawn))
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_mean_of_one_task_has_scipys_percentile_interval():
    (task,) = figures((200,), algorithms=1)
    (found,) = means([task])
    theirs = scipy.stats.bootstrap(
        (task[0],), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    # Two bootstraps of 2,000 and 5,000 resamples: their ends differ by a few percent of the width.
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def test_the_interval_of_the_interquartile_mean_covers_the_truth_about_as_often_as_it_says():
    # 300 algorithms on two tasks of symmetric figures about 0 stand for 300 experiments.
    tasks = [np.random.default_rng(seed).normal(0, 1, (300, 40)) for seed in (1, 2)]
    covered = sum(found.low < 0 < found.high for found in interquartile_means(tasks))
    # Binomial(300, 0.95) lies in [273, 296] but for a chance of 0.001; percentile intervals of 80
    # figures are a little short, hence the lower edge.
    assert 268 <= covered <= 296, f"{covered} of 300 intervals cover the mean"


def test_equal_figures_have_no_spread():
    for estimates in (means([np.full((1, 6), 0.5)]), interquartile_means([np.full((1, 6), 0.5)])):
        (found,) = estimates
        assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
