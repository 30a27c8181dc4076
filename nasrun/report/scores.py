"""The figures of a report as (algorithms x trials) per task, complete, and on one scale."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats, Ints


@dataclass(frozen=True)
class Scores:
    """What ``a`` algorithms reached in the same ``n`` trials of each task.

    One entry a task: ``figures (a, n)`` of the report's metric, and ``units (n,)``: trials with the
    same number are not independent, on whatever task. They have the same seed, and so the same
    stream, or the same meta-trained agent.
    """

    algorithms: tuple[str, ...]
    figures: tuple[Floats, ...]
    units: tuple[Ints, ...]

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
    tasks: list[tuple[Floats, Ints]] = []
    algorithms: tuple[str, ...] = ()
    for trials in problems.values():
        complete = ~np.isnan(trials.figures).any(axis=0)
        units = trials.seeds[complete] % agents if agents else trials.seeds[complete]
        if len(np.unique(units)) > 1:
            algorithms = trials.algorithms  # the same for all problems
            tasks.append((trials.figures[:, complete], units))
    if len(algorithms) < 2:
        return None
    figures, units = zip(*tasks, strict=True)
    return Scores(algorithms, figures, units)
