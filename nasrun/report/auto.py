"""What a report says where its node leaves that open: its figure, columns, drawings and title."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import DataError
from nasrun.report.jobs import Job, evaluations_mb
from nasrun.report.schema import AUTO, BEST, SCORES, Column, Figure, Report
from nasrun.report.trials import PROBLEM, Problem, Trials
from nasrun.streams import Floats

if TYPE_CHECKING:
    from pandas import DataFrame

READABLE_MB = 64.0  # of evaluations.csv that an anytime figure nobody asked for may read
COMPARED = 50_000  # trials up to which statistics over all tasks come unasked: they take seconds
NAMED = 3  # methods or tasks that a title names


def with_figure(report: Report, frame: "DataFrame") -> Report:
    """The report with the first of the scores and the reward that all tasks have.

    Where tasks have none in common it is the first that any has, and the notes say which lack it.

    Raises:
        DataError: no trial has any.
    """
    if report.figure != AUTO:
        return report
    tasks = [rows for _, rows in frame.groupby(PROBLEM, sort=False)]
    for enough in (all, any):
        for figure in (*reversed(SCORES), "reward"):
            if enough("".join(rows[figure]) for rows in tasks):
                return replace(report, figure=figure)
    files = ", ".join(dict.fromkeys(frame["file"]))
    raise DataError(f"{files}: no trial has a score or a reward, so there is nothing to report")


def completed(report: Report, problems: Mapping[Problem, Trials], jobs: Sequence[Job]) -> Report:
    """The report with what its trials have something to say on, where it says ``auto``."""
    methods = list(dict.fromkeys(name for t in problems.values() for name in t.algorithms))
    columns, figures, against = report.columns, report.figures, report.against
    notes = list(report.notes)
    if columns == [Column.auto]:
        against = against or (BEST if len(methods) > 1 else None)
        columns = _columns(problems, len(methods))
    if figures == [Figure.auto]:
        size_mb = evaluations_mb(jobs)
        figures = _figures(problems, jobs, size_mb)
        if size_mb > READABLE_MB:
            notes.append(
                f"the measurements take {size_mb:,.0f} MB, so their anytime performance is drawn "
                "on demand alone: report.figures=[box,anytime]"
            )
    if not compares(figures, problems):
        notes.append(
            f"statistics over all tasks come unasked up to {COMPARED:,} trials; for more: "
            "report.figures=[box,ranks,profile]"
        )
    return replace(
        report,
        title=report.title or _title(methods, problems),
        columns=columns,
        figures=figures,
        against=against,
        notes=notes,
    )


def compares(figures: Sequence[Figure], problems: Mapping[Problem, Trials]) -> bool:
    """Whether statistics over all tasks are wanted: few trials, or figures that show them."""
    asked = {Figure.ranks, Figure.profile} & set(figures)
    return bool(asked) or sum(trials.figures.size for trials in problems.values()) <= COMPARED


def _columns(problems: Mapping[Problem, Trials], methods: int) -> list[Column]:
    columns = [Column.trials, Column.score, Column.interval]
    known = {
        Column.latency: any_known(t.latency_ms for t in problems.values()),
        Column.met: any_known(t.met for t in problems.values()),
        Column.hypervolume: any_known(t.hypervolume for t in problems.values()),
        Column.table_rank: any_known(t.table_rank for t in problems.values()),
        Column.mean_rank: methods > 1,
        Column.p_value: methods > 1,
        Column.improvement: methods > 1,
        Column.hours: any_known(t.search_s for t in problems.values()),
    }
    return columns + [column for column, is_known in known.items() if is_known]


def any_known(parts: Iterable[Floats]) -> bool:
    """Whether any figure is there at all."""
    return any(not np.isnan(part).all() for part in parts)


def _figures(
    problems: Mapping[Problem, Trials], jobs: Sequence[Job], size_mb: float
) -> list[Figure]:
    figures = [Figure.box]
    if 0 < size_mb <= READABLE_MB:
        figures.append(Figure.anytime)
    if any_known(trials.latency_ms for trials in problems.values()):
        figures.append(Figure.tradeoff)
    if any(job.policy is not None for job in jobs):
        figures.append(Figure.policy)
    return figures


def _title(methods: Sequence[str], problems: Mapping[Problem, Trials]) -> str:
    spaces = list(dict.fromkeys(problem.space for problem in problems))
    tasks = list(dict.fromkeys(map(str, problems)))
    return f"{_named(methods, 'methods')} on {_named(tasks, 'tasks')}, {_named(spaces, 'spaces')}"


def _named(names: Sequence[str], what: str) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} {what}"
