"""Means over several tasks with stratified bootstrap intervals.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021), section 4 and appendix A, and its library rliable, with one difference: a resample
draws seeds of each task, the same for all algorithms, because trials with the same seed are pairs
(see ``stats``); rliable draws every algorithm's runs apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.stats import BATCH, BOOTSTRAP_SEED, LEVEL, RESAMPLES, resampled_counts
from nasrun.streams import Floats

CUT = 0.25  # of the trials that the interquartile mean leaves out at either end


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


def strata_counts(sizes: Sequence[int]) -> Iterator[Floats]:
    """Blocks ``(r, N)`` of resamples of ``N = sum(sizes)`` trials; every task keeps its size.

    A resample is kept as how often it holds each trial. The generator's seed is fixed, so every
    call gives the same resamples.
    """
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    rows = max(1, BATCH // sum(sizes))
    for start in range(0, RESAMPLES, rows):
        block = min(rows, RESAMPLES - start)
        yield np.concatenate([resampled_counts(generator, block, size) for size in sizes], axis=1)


def interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Percentile interval over the first axis."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def means(scores: Sequence[Floats]) -> list[Estimate]:
    """Mean of each algorithm over all trials of all tasks, each task weighing the same."""
    sizes = [task.shape[1] for task in scores]
    weights = np.concatenate([np.full(size, 1 / (size * len(sizes))) for size in sizes])
    pooled = np.concatenate(scores, axis=1)
    resampled = np.concatenate([counts @ (weights * pooled).T for counts in strata_counts(sizes)])
    return _estimates(pooled @ weights, resampled)


def interquartile_means(scores: Sequence[Floats]) -> list[Estimate]:
    """Mean of the middle half of each algorithm's trials of all tasks.

    As ``scipy.stats.trim_mean(..., 0.25)`` of all trials together: a quarter, rounded down, is left
    out at either end.
    """
    sizes = [task.shape[1] for task in scores]
    pooled = np.concatenate(scores, axis=1)
    order = np.argsort(pooled, axis=1, kind="stable")
    ascending = np.take_along_axis(pooled, order, axis=1)
    once = np.ones((1, pooled.shape[1]))
    values = _middle_means(ascending, order, once)[0]
    resampled = [_middle_means(ascending, order, counts) for counts in strata_counts(sizes)]
    return _estimates(values, np.concatenate(resampled))


def _middle_means(ascending: Floats, order: np.ndarray, counts: Floats) -> Floats:
    """``(r, a)`` means of the middle half, of resamples given as ``counts (r, N)``.

    A trial that was drawn k times takes k places in the order; those of them that lie in the middle
    are its weight.
    """
    total = ascending.shape[1]
    cut = int(CUT * total)
    found = np.empty((len(counts), len(ascending)))
    for i, (values, places) in enumerate(zip(ascending, order, strict=True)):
        until = np.cumsum(counts[:, places], axis=1)
        np.clip(until, cut, total - cut, out=until)
        # The sum over places of (weight x value), by parts, so that weights need no array.
        steps = np.diff(values)
        found[:, i] = (until[:, -1] * values[-1] - until[:, :-1] @ steps - cut * values[0]) / (
            total - 2 * cut
        )
    return found


def _estimates(values: Floats, resampled: Floats) -> list[Estimate]:
    low, high = interval(resampled)
    triples = zip(values, low, high, strict=True)
    return [Estimate(float(value), float(a), float(b)) for value, a, b in triples]
