"""The figures of a report as (algorithms x trials) per task, complete and on one scale."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats, Ints


@dataclass(frozen=True)
class Scores:
    """What ``a`` algorithms reached in the same ``n`` trials of each task.

    One entry a task: ``seeds`` has ``(n,)``, ``figures`` ``(a, n)`` of the report's metric,
    ``scores`` ``(a, n)`` of the same on a common scale. There 0 is the mean of the task's weakest
    algorithm and 1 is the best figure that any trial reached.
    """

    algorithms: tuple[str, ...]
    seeds: tuple[Ints, ...]
    figures: tuple[Floats, ...]

    @property
    def scores(self) -> tuple[Floats, ...]:
        """The figures of each task on the common scale."""
        return tuple(common_scale(figures) for figures in self.figures)


def common_scale(figures: Floats) -> Floats:
    """``(a, n)`` figures of a task as scores: 0 is the weakest algorithm's mean, 1 the best figure.

    Accuracies of tasks differ by more than methods do, so they must not be averaged as they are.
    The best figure and not the best possible one, because not every table says what is possible.
    All scores are 1 where all figures are equal.
    """
    zero, one = figures.mean(axis=1).min(), figures.max()
    return (figures - zero) / (one - zero) if one > zero else np.ones_like(figures)


def complete_scores(problems: Mapping[Problem, Trials]) -> Scores | None:
    """The trials in which every algorithm has a figure.

    None where there is nothing to compare: fewer than two algorithms or two such trials of a task.
    """
    known = {problem: ~np.isnan(trials.figures).any(axis=0) for problem, trials in problems.items()}
    kept = [(problems[problem], mask) for problem, mask in known.items() if mask.sum() > 1]
    if not kept or len(kept[0][0].algorithms) < 2:
        return None
    return Scores(
        kept[0][0].algorithms,
        tuple(trials.seeds[mask] for trials, mask in kept),
        tuple(trials.figures[:, mask] for trials, mask in kept),
    )
