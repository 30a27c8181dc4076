"""How likely one algorithm beats another: on average over tasks, and over all pairs."""

from collections.abc import Sequence

import numpy as np

from nasrun.report.aggregate import Estimate, interval, resamples
from nasrun.report.scores import Scores
from nasrun.report.stats import holm, paired_p_value, probability_of_improvement
from nasrun.streams import Floats


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


def improvements(scores: Scores, rival: int) -> list[Estimate | None]:
    """For each algorithm the chance that it beats ``rival`` with its interval; None for the rival.

    The mean over tasks; a resample draws units, the same for both (see ``aggregate``).
    """
    figures = scores.figures
    drawn = [_chances(figures, counts, rival) for counts in resamples(scores.units)]
    low, high = interval(np.concatenate(drawn))
    values = np.mean(
        [[probability_of_improvement(ours, task[rival]) for ours in task] for task in figures],
        axis=0,
    )
    return [
        None if i == rival else Estimate(float(v), float(low[i]), float(high[i]))
        for i, v in enumerate(values)
    ]


def _chances(figures: Sequence[Floats], counts: Sequence[Floats], rival: int) -> Floats:
    """``(r, a)`` chances in resamples, given as ``(r, n)`` counts of each task."""
    found = np.zeros((len(counts[0]), len(figures[0])))
    for task, drawn in zip(figures, counts, strict=True):
        theirs = np.argsort(task[rival], kind="stable")
        ascending = task[rival][theirs]
        # How many of the rival's drawn trials lie below each place of its order.
        below = np.zeros((len(drawn), len(ascending) + 1))
        np.cumsum(drawn[:, theirs], axis=1, out=below[:, 1:])
        pairs = drawn.sum(axis=1) ** 2
        for i, ours in enumerate(task):
            worse = np.searchsorted(ascending, ours, side="left")
            not_better = np.searchsorted(ascending, ours, side="right")
            beaten = below[:, worse] + below[:, not_better]
            found[:, i] += (drawn * beaten).sum(axis=1) / (2 * pairs * len(figures))
    return found


def pairwise_p_values(unit_means: Floats, seed_means: Floats, has_agents: Sequence[bool]) -> Floats:
    """``(a, a)`` Holm-adjusted p of Wilcoxon's signed-rank test of every two algorithms.

    What was measured on one unit counts once: ``unit_means (a, u)``, or for two algorithms that
    both have no agents ``seed_means (a, n)``. NaN on the diagonal.
    """
    count = len(unit_means)
    rows, columns = np.tril_indices(count, -1)
    raw: list[float] = []
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        means = unit_means if has_agents[i] or has_agents[j] else seed_means
        raw.append(paired_p_value(means[i], means[j]))
    matrix = np.full((count, count), np.nan)
    matrix[rows, columns] = matrix[columns, rows] = holm(np.array(raw))
    return matrix
