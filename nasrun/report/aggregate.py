"""Means over several tasks with stratified bootstrap intervals.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021), section 4 and appendix A, and its library rliable, with one difference. A resample
draws units (see ``Scores``), the same for all algorithms and tasks, so that a task keeps its share
of it; rliable draws the runs of every algorithm and task apart. That would take the scores of one
found cell on three tasks, or those of one meta-trained agent, for independent ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.stats import BATCH, BOOTSTRAP_SEED, LEVEL, RESAMPLES, resampled_counts
from nasrun.streams import Floats, Ints

CUT = 0.25  # of the trials that the interquartile mean leaves out at either end


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


def resamples(units: Sequence[Ints]) -> Iterator[list[Floats]]:
    """Resamples as how often they hold each trial: ``(r, n)`` counts of each task, in batches.

    The generator's seed is fixed, so every call gives the same resamples.
    """
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    known, numbers = np.unique(np.concatenate(units), return_inverse=True)
    parts = np.split(numbers, np.cumsum([len(task) for task in units])[:-1])
    rows = max(1, BATCH // len(numbers))
    for start in range(0, RESAMPLES, rows):
        drawn = resampled_counts(generator, min(rows, RESAMPLES - start), len(known))
        yield [drawn[:, part] for part in parts]


def interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Percentile interval over the first axis."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def means(scores: Sequence[Floats], units: Sequence[Ints]) -> list[Estimate]:
    """Mean of each algorithm over all trials of all tasks, each task weighing the same."""
    values = np.mean([task.mean(axis=1) for task in scores], axis=0)
    resampled = [weighted_means(scores, counts) for counts in resamples(units)]
    return _estimates(values, np.concatenate(resampled))


def weighted_means(scores: Sequence[Floats], counts: Sequence[Floats]) -> Floats:
    """``(r, a)`` means of resamples, each task weighing the same."""
    by_task = [
        drawn @ task.T / drawn.sum(axis=1, keepdims=True)
        for task, drawn in zip(scores, counts, strict=True)
    ]
    return np.mean(by_task, axis=0)


def interquartile_means(scores: Sequence[Floats], units: Sequence[Ints]) -> list[Estimate]:
    """Mean of the middle half of each algorithm's trials of all tasks.

    As ``scipy.stats.trim_mean(..., 0.25)`` of all trials together: a quarter, rounded down, is left
    out at either end.
    """
    pooled = np.concatenate(scores, axis=1)
    order = np.argsort(pooled, axis=1, kind="stable")
    ascending = np.take_along_axis(pooled, order, axis=1)
    values = _middle_means(ascending, order, np.ones((1, pooled.shape[1])))[0]
    resampled = [
        _middle_means(ascending, order, np.concatenate(counts, axis=1))
        for counts in resamples(units)
    ]
    return _estimates(values, np.concatenate(resampled))


def _middle_means(ascending: Floats, order: Ints, counts: Floats) -> Floats:
    """``(r, a)`` means of the middle half, of resamples given as ``counts (r, N)``.

    A trial that was drawn k times takes k places in the order; those of them that lie in the middle
    are its weight.
    """
    total = counts.sum(axis=1, keepdims=True)
    low = np.floor(CUT * total)
    high = total - low
    found = np.empty((len(counts), len(ascending)))
    for i, (values, places) in enumerate(zip(ascending, order, strict=True)):
        until = np.cumsum(counts[:, places], axis=1)
        np.clip(until, low, high, out=until)
        # The sum over places of (weight x value), by parts, so that weights need no array.
        above = high[:, 0] * values[-1] - until[:, :-1] @ np.diff(values)
        found[:, i] = (above - low[:, 0] * values[0]) / (high - low)[:, 0]
    return found


def _estimates(values: Floats, resampled: Floats) -> list[Estimate]:
    low, high = interval(resampled)
    triples = zip(values, low, high, strict=True)
    return [Estimate(float(value), float(a), float(b)) for value, a, b in triples]
