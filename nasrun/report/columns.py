"""The columns that a report may show: their headers and their cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.report.compare import Line
from nasrun.report.schema import BEST, Column, Report
from nasrun.report.shares import Share


@dataclass(frozen=True)
class Total:
    """An algorithm over all tasks: mean rank, and hours in all. NaN where unknown."""

    mean_rank: float
    hours: float
    published_hours: float
    meta_hours: float


def headers(report: Report) -> list[str]:
    """Headers of the shown columns, that of the methods first."""
    against = "best" if report.against == BEST else report.against
    names = {
        Column.trials: "trials",
        Column.score: report.unit,
        Column.interval: "95% CI of the mean",
        Column.table_rank: "table rank",
        Column.mean_rank: "mean rank",
        Column.p_value: f"p vs {against}",
        Column.win: f"win vs {against}",
        Column.published: "published",
        Column.difference: "diff",
        Column.difference_se: "diff / SE",
        Column.within: f"within {report.tolerance}",
        Column.first: f"first {report.first} seeds",
        Column.best: "finds the best, %",
        Column.top3: "finds a top 3, %",
        Column.top10: "finds a top 10, %",
        Column.hours: "sim. hours",
        Column.published_hours: "publ. hours",
        Column.meta_hours: "meta hours",
    }
    return ["method", *(names[column] for column in report.columns)]


def shown(line: Line, report: Report) -> list[str]:
    """Cells of a line; empty where there is nothing to say."""
    return [_SHOW[column](line, report) for column in report.columns]


def shown_total(total: Total, report: Report) -> list[str]:
    """Cells of an algorithm's line on all tasks; all empty if no shown column has a total."""
    cells = {
        Column.mean_rank: number(total.mean_rank, 2),
        Column.hours: number(total.hours, 1),
        Column.published_hours: number(total.published_hours, 2),
        Column.meta_hours: number(total.meta_hours, 1),
    }
    return [cells.get(column, "") for column in report.columns]


def number(value: float, decimals: int, sign: str = "") -> str:
    """A figure to so many decimals; empty for NaN."""
    return "" if np.isnan(value) else f"{value:{sign}.{decimals}f}"


def p_text(value: float) -> str:
    """A p value to three decimals; empty for NaN."""
    if np.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _spread(mean: float, std: float) -> str:
    return f"{mean:.2f}" if np.isnan(std) else f"{mean:.2f} ± {std:.2f}"


def _score(line: Line, _: Report) -> str:
    return _spread(line.summary.mean, line.summary.std) if line.summary else ""


def _first(line: Line, _: Report) -> str:
    return _spread(line.first.mean, line.first.std) if line.first else ""


def _interval(line: Line, _: Report) -> str:
    if line.summary is None or np.isnan(line.summary.ci_low):
        return ""
    return f"[{line.summary.ci_low:.2f}, {line.summary.ci_high:.2f}]"


def _published(line: Line, _: Report) -> str:
    return _spread(line.published.mean, line.published.std) if line.published else ""


def _within(line: Line, report: Report) -> str:
    return {True: "yes", False: "no", None: ""}[line.within(report.tolerance)]


def _share(share: Share) -> str:
    """Percent of the trials, and in brackets the least and most successful agent's."""
    if np.isnan(share.share):
        return ""
    percent = "100" if share.share == 1 else f"{100 * share.share:.1f}"
    if np.isnan(share.agent_min):
        return percent
    return f"{percent} [{100 * share.agent_min:.0f}-{100 * share.agent_max:.0f}]"


_SHOW: Mapping[Column, Callable[[Line, Report], str]] = {
    Column.trials: lambda line, _: str(line.summary.n) if line.summary else "",
    Column.score: _score,
    Column.interval: _interval,
    Column.table_rank: lambda line, _: number(line.table_rank, 0),
    Column.mean_rank: lambda line, _: number(line.mean_rank, 2),
    Column.p_value: lambda line, _: p_text(line.p_holm),
    Column.win: lambda line, _: number(line.win, 2),
    Column.published: _published,
    Column.difference: lambda line, _: number(line.difference, 2, "+"),
    Column.difference_se: lambda line, _: number(line.difference_se, 1, "+"),
    Column.within: _within,
    Column.first: _first,
    Column.best: lambda line, _: _share(line.shares[0]),
    Column.top3: lambda line, _: _share(line.shares[1]),
    Column.top10: lambda line, _: _share(line.shares[2]),
    Column.hours: lambda line, _: number(line.hours, 1),
    Column.published_hours: lambda line, _: number(line.published_hours, 2),
    Column.meta_hours: lambda line, _: number(line.meta.agent_h if line.meta else np.nan, 1),
}
