"""Performance profiles: which share of an algorithm's trials reaches a score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.aggregate import interval, resamples, weighted_means
from nasrun.streams import Floats, Ints

POINTS = 81  # thresholds of a profile
HIDDEN = 0.02  # share of the trials that may lie below the first threshold


@dataclass(frozen=True)
class Profiles:
    """``(a, k)`` shares of trials with at least the score ``thresholds (k,)``, with intervals."""

    thresholds: Floats
    shares: Floats
    low: Floats
    high: Floats


def profiles(scores: Sequence[Floats], units: Sequence[Ints]) -> Profiles:
    """Profiles over all trials of all tasks, each task weighing the same.

    Score distributions of Agarwal et al. (NeurIPS 2021), section 4.2, after the performance
    profiles of Dolan and Moré (2002), with pointwise bootstrap intervals (see ``aggregate``).
    """
    pooled = np.concatenate(scores, axis=1)
    thresholds = np.linspace(float(np.quantile(pooled, HIDDEN)), float(pooled.max()), POINTS)
    reached = [_reached(task, thresholds) for task in scores]
    shares = np.mean([task.mean(axis=1) for task in reached], axis=0)
    drawn = np.concatenate([weighted_means(reached, counts) for counts in resamples(units)])
    shape = (len(pooled), POINTS)
    low, high = interval(drawn)
    return Profiles(thresholds, shares.reshape(shape), low.reshape(shape), high.reshape(shape))


def _reached(scores: Floats, thresholds: Floats) -> Floats:
    """``(a k, n)`` of 0 and 1: whether a trial reached a score."""
    reached = scores[:, None, :] >= thresholds[:, None]
    return reached.reshape(-1, scores.shape[1]).astype(np.float64)
