"""How likely one algorithm beats another: on average over tasks, and over all pairs."""

from collections.abc import Sequence

import numpy as np

from nasrun.report.aggregate import Estimate, interval, strata_counts
from nasrun.report.scores import Scores
from nasrun.report.stats import holm, paired_p_value, probability_of_improvement
from nasrun.streams import Floats, Ints


def improvement_matrix(figures: Sequence[Floats]) -> Floats:
    """``(a, a)`` chance that a trial of the row's algorithm beats one of the column's.

    The mean over tasks, equals counting half (Agarwal et al., NeurIPS 2021, section 4.3); NaN on
    the diagonal.
    """
    count = len(figures[0])
    matrix = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i):
            chances = [probability_of_improvement(task[i], task[j]) for task in figures]
            matrix[i, j] = np.mean(chances)
            matrix[j, i] = 1 - matrix[i, j]
    return matrix


def improvements(figures: Sequence[Floats], rival: int) -> list[Estimate | None]:
    """For each algorithm the chance that it beats ``rival`` with its interval; None for the rival.

    A resample draws seeds, the same for both (see ``aggregate``).
    """
    sizes = [task.shape[1] for task in figures]
    blocks = [_chances(figures, counts, rival, sizes) for counts in strata_counts(sizes)]
    low, high = interval(np.concatenate(blocks))
    values = np.mean(
        [[probability_of_improvement(ours, task[rival]) for ours in task] for task in figures],
        axis=0,
    )
    return [
        None if i == rival else Estimate(float(v), float(low[i]), float(high[i]))
        for i, v in enumerate(values)
    ]


def _chances(figures: Sequence[Floats], counts: Floats, rival: int, sizes: Sequence[int]) -> Floats:
    """``(r, a)`` chances in resamples given as ``counts (r, N)``."""
    found = np.zeros((len(counts), len(figures[0])))
    parts = np.split(counts, np.cumsum(sizes)[:-1], axis=1)
    for task, drawn in zip(figures, parts, strict=True):
        theirs = np.argsort(task[rival], kind="stable")
        ascending = task[rival][theirs]
        # How many of the rival's drawn trials lie below each place of its order.
        below = np.zeros((len(drawn), len(ascending) + 1))
        np.cumsum(drawn[:, theirs], axis=1, out=below[:, 1:])
        for i, ours in enumerate(task):
            worse = np.searchsorted(ascending, ours, side="left")
            not_better = np.searchsorted(ascending, ours, side="right")
            beaten = below[:, worse] + below[:, not_better]
            found[:, i] += (drawn * beaten).sum(axis=1) / (2 * len(ours) ** 2 * len(figures))
    return found


def pairwise_p_values(scores: Scores) -> Floats:
    """``(a, a)`` Holm-adjusted p of Wilcoxon's signed-rank test of every two algorithms.

    The figures of a seed on all tasks count as one, their mean score, because a trial's stream is
    the same on every task. NaN on the diagonal, and everywhere if no seed was played on all tasks.
    """
    shared = _shared_seeds(scores.seeds)
    per_seed = np.mean(
        [
            task[:, np.searchsorted(seeds, shared)]
            for task, seeds in zip(scores.scores, scores.seeds, strict=True)
        ],
        axis=0,
    )
    count = len(scores.algorithms)
    rows, columns = np.tril_indices(count, -1)
    pairs = zip(rows, columns, strict=True)
    raw = np.array([paired_p_value(per_seed[i], per_seed[j]) for i, j in pairs])
    matrix = np.full((count, count), np.nan)
    matrix[rows, columns] = matrix[columns, rows] = holm(raw)
    return matrix


def _shared_seeds(seeds: Sequence[Ints]) -> Ints:
    shared = seeds[0]
    for others in seeds[1:]:
        shared = np.intersect1d(shared, others)
    return shared
