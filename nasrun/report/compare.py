"""From trials to the lines of a report: one per algorithm and problem, with all comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasrun.report.published_figures import Key, Published
from nasrun.report.schema import BEST
from nasrun.report.stats import (
    Summary,
    difference_in_errors,
    holm,
    mean_ranks,
    paired_p_value,
    probability_of_improvement,
    summarise_columns,
)
from nasrun.report.trials import Problem, Trials

NAN = float("nan")


@dataclass(frozen=True)
class Line:
    """One algorithm on one problem. A figure that is unknown or does not apply is NaN or None.

    ``table_rank``: median rank of the found architectures in the benchmark table.
    ``mean_rank``: mean rank among the algorithms, trial by trial.
    ``against``, ``p_value``, ``p_holm``, ``win``: the comparison with the named algorithm.
    """

    problem: Problem
    algorithm: str
    summary: Summary | None
    table_rank: float
    mean_rank: float
    against: str | None = None
    p_value: float = NAN
    p_holm: float = NAN
    win: float = NAN
    published: Published | None = None

    @property
    def difference(self) -> float:
        """Our mean minus the published one."""
        if self.summary is None or self.published is None:
            return NAN
        return self.summary.mean - self.published.mean

    @property
    def difference_se(self) -> float:
        """The difference in standard errors of it; NaN without a published std and n."""
        if self.summary is None or self.published is None:
            return NAN
        ours, theirs = self.summary, self.published
        return difference_in_errors(
            ours.mean, ours.std, ours.n, theirs.mean, theirs.std, theirs.n
        )  # fmt: skip

    def within(self, tolerance: float | None) -> bool | None:
        """Whether the difference is at most ``tolerance``; None where there is nothing to say."""
        if tolerance is None or np.isnan(self.difference):
            return None
        return abs(self.difference) <= tolerance


def compare(
    problems: Mapping[Problem, Trials], published: Mapping[Key, Published], against: str | None
) -> list[Line]:
    """Lines by problem, then algorithm. Holm's correction covers all comparisons of the report.

    Where ``against`` is ``best``, each problem's algorithm of the highest mean is the one compared
    with; it was picked on the same trials, so p values against it are a little too small.
    """
    lines = [
        line for problem, trials in problems.items() for line in _lines(problem, trials, against)
    ]
    adjusted = holm(np.array([line.p_value for line in lines]))
    return [
        replace(line, p_holm=float(p), published=published.get(_key(line)))
        for line, p in zip(lines, adjusted, strict=True)
    ]


def _key(line: Line) -> Key:
    return (line.algorithm, line.problem.search_task, line.problem.task)


def _lines(problem: Problem, trials: Trials, against: str | None) -> list[Line]:
    summaries = summarise_columns(trials.figures.T)
    ranks = mean_ranks(trials.figures)
    lines = [
        Line(problem, name, summaries[i], _median(trials.table_rank[i]), float(ranks[i]))
        for i, name in enumerate(trials.algorithms)
    ]
    rival = _rival(trials, summaries, against)
    return lines if rival is None else [_tested(line, trials, rival) for line in lines]


def _median(figures: np.ndarray) -> float:
    known = figures[~np.isnan(figures)]
    return float(np.median(known)) if len(known) else NAN


def _rival(trials: Trials, summaries: Sequence[Summary | None], against: str | None) -> str | None:
    """The algorithm that the others are tested against; None if it did not run."""
    if against != BEST:
        return against if against in trials.algorithms else None
    means = [-np.inf if summary is None else summary.mean for summary in summaries]
    return trials.algorithms[int(np.argmax(means))] if np.isfinite(means).any() else None


def _tested(line: Line, trials: Trials, rival: str) -> Line:
    if line.algorithm == rival:
        return replace(line, against=rival)
    ours, theirs = (
        trials.figures[trials.algorithms.index(name)] for name in (line.algorithm, rival)
    )
    return replace(
        line,
        against=rival,
        p_value=paired_p_value(ours, theirs),
        win=probability_of_improvement(ours, theirs),
    )


def overall_ranks(problems: Mapping[Problem, Trials]) -> dict[str, float]:
    """Mean rank of each algorithm over all problems, each problem weighing the same."""
    ranks: dict[str, list[float]] = {}
    for trials in problems.values():
        for name, rank in zip(trials.algorithms, mean_ranks(trials.figures), strict=True):
            ranks.setdefault(name, []).append(float(rank))
    return {name: float(np.mean(values)) for name, values in ranks.items()}
