"""Statistics over several tasks on one scale, with stratified bootstrap intervals.

Means, interquartile means, performance profiles, chances of improvement and paired tests.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021), section 4 and appendix A, and its library rliable, with one difference. A resample
draws units (see ``Scores``), the same for all algorithms and tasks, so that a task keeps its share
of it; rliable draws the runs of every algorithm and task apart. That would take the scores of one
found cell on three tasks, or those of one meta-trained agent, for independent ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.stats import (
    BATCH,
    BOOTSTRAP_SEED,
    LEVEL,
    RESAMPLES,
    holm,
    paired_p_value,
    probability_of_improvement,
    resampled_counts,
)
from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats, Ints

POINTS = 81  # thresholds of a profile
HIDDEN = 0.02  # share of the trials that may lie below the first threshold
CUT = 0.25  # of the trials that the interquartile mean leaves out at either end


@dataclass(frozen=True)
class Scores:
    """What ``a`` algorithms reached in the same ``n`` trials of each task.

    One entry a task: ``figures (a, n)``, of which more is better, and ``units (n,)``: trials with
    the same number are not independent, on whatever task. They have the same seed, and so the same
    stream, or the same meta-trained agent. ``problems`` are the tasks, where it matters which.
    """

    algorithms: tuple[str, ...]
    figures: tuple[Floats, ...]
    units: tuple[Ints, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def scores(self) -> tuple[Floats, ...]:
        """``(a, n)`` figures of each task on the common scale (see ``common_scale``)."""
        return tuple(common_scale(figures) for figures in self.figures)

    def unit_means(self) -> Floats:
        """``(a, u)`` mean scores of the units that all tasks have, each task weighing the same."""
        shared = self.units[0]
        for others in self.units:
            shared = np.intersect1d(shared, others)
        if not len(shared):
            return np.empty((len(self.algorithms), 0))
        by_task = [
            _means_of(task, units, shared)
            for task, units in zip(self.scores, self.units, strict=True)
        ]
        return np.mean(by_task, axis=0)


def _means_of(scores: Floats, units: Ints, chosen: Ints) -> Floats:
    """``(a, u)`` means over the trials of each chosen unit."""
    known, places = np.unique(units, return_inverse=True)
    sums = np.stack([np.bincount(places, weights=row) for row in scores])
    return (sums / np.bincount(places))[:, np.searchsorted(known, chosen)]


def common_scale(figures: Floats) -> Floats:
    """``(a, n)`` figures of a task as scores: 0 is the weakest algorithm's mean, 1 the best figure.

    Accuracies of tasks differ by more than methods do, so they must not be averaged as they are.
    The best figure and not the best possible one, because not every table says what is possible.
    All scores are 1 where all figures are equal.
    """
    zero, one = figures.mean(axis=1).min(), figures.max()
    return (figures - zero) / (one - zero) if one > zero else np.ones_like(figures)


def complete_scores(problems: Mapping[Problem, Trials], agents: int | None = None) -> Scores | None:
    """The trials in which every algorithm has a figure.

    ``agents``: trials whose seeds agree modulo so many are one unit; None: each seed is its own.
    None comes back where there is nothing to compare: fewer than two algorithms, or fewer than two
    units of every task.
    """
    tasks: list[tuple[Floats, Ints, Problem]] = []
    algorithms: tuple[str, ...] = ()
    for problem, trials in problems.items():
        complete = ~np.isnan(trials.searched_for).any(axis=0)
        units = trials.seeds[complete] % agents if agents else trials.seeds[complete]
        if len(np.unique(units)) > 1:
            algorithms = trials.algorithms  # the same for all problems
            tasks.append((trials.searched_for[:, complete], units, problem))
    if len(algorithms) < 2:
        return None
    figures, units, known = zip(*tasks, strict=True)
    return Scores(algorithms, figures, units, known)


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


@dataclass(frozen=True)
class Profiles:
    """``(a, k)`` shares of trials with at least the score ``thresholds (k,)``, with intervals."""

    thresholds: Floats
    shares: Floats
    low: Floats
    high: Floats

    def bands(self) -> tuple[Floats, Floats, Floats]:
        """Shares with the lower and upper ends of their intervals, each ``(a, k)``."""
        return self.shares, self.low, self.high


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
