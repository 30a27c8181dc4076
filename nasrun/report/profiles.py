"""Performance profiles: which share of an algorithm's trials reaches a score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.aggregate import interval, strata_counts
from nasrun.streams import Floats

POINTS = 81  # thresholds of a profile
HIDDEN = 0.02  # share of the trials that may lie below the first threshold


@dataclass(frozen=True)
class Profiles:
    """``(a, k)`` shares of trials with at least the score ``thresholds (k,)``, with intervals."""

    thresholds: Floats
    shares: Floats
    low: Floats
    high: Floats


def profiles(scores: Sequence[Floats]) -> Profiles:
    """Profiles over all trials of all tasks, each task weighing the same.

    Score distributions of Agarwal et al. (NeurIPS 2021), section 4.2, after the performance
    profiles of Dolan and Moré (2002), with pointwise stratified bootstrap intervals.
    """
    sizes = [task.shape[1] for task in scores]
    pooled = np.concatenate(scores, axis=1)
    thresholds = np.linspace(float(np.quantile(pooled, HIDDEN)), float(pooled.max()), POINTS)
    weights = np.concatenate([np.full(size, 1 / (size * len(sizes))) for size in sizes])
    reached = (pooled[:, :, None] >= thresholds) * weights[:, None]  # (a, N, k)
    flat = np.moveaxis(reached, 1, 0).reshape(len(weights), -1)
    low, high = interval(np.concatenate([counts @ flat for counts in strata_counts(sizes)]))
    shape = (len(pooled), POINTS)
    return Profiles(thresholds, reached.sum(axis=1), low.reshape(shape), high.reshape(shape))
