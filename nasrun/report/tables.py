"""The lines of a report as CSV cells, as a table on the terminal, and as Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import fill
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nasrun.report.compare import Line
from nasrun.report.schema import BEST, Column, Report
from nasrun.report.trials import Problem, Trials

CSV_COLUMNS = (
    "space", "search_task", "task", "algorithm", "metric", "n", "mean", "std", "ci_low", "ci_high",
    "table_rank_median", "mean_rank", "mean_rank_all_tasks", "against", "p_value", "p_holm",
    "win_probability", "published_mean", "published_std", "published_n", "difference",
    "difference_se", "within_tolerance", "published_source",
)  # fmt: skip
SIGNIFICANT_DIGITS = 6
INDENT = " "
HEADER_WIDTH = 6  # characters to a line of a header, so that figures set a column's width


@dataclass(frozen=True)
class Content:
    """All that a report says: its node, the trials, lines, overall mean ranks, the protocol."""

    report: Report
    problems: Mapping[Problem, Trials]
    lines: Sequence[Line]
    overall: Mapping[str, float]
    protocol: Sequence[str]

    def label(self, algorithm: str) -> str:
        """The name to show."""
        return self.report.labels.get(algorithm, algorithm)

    def sections(self) -> Iterator[tuple[str, list[Line]]]:
        """Lines by problem; the best mean first unless the report's labels set the order."""
        for problem, group in groupby(self.lines, key=lambda line: line.problem):
            lines = list(group)
            if not self.report.labels:
                lines.sort(key=lambda line: -(line.summary.mean if line.summary else -np.inf))
            yield str(problem), lines

    def ranking(self) -> list[tuple[str, float]]:
        """Algorithms by overall mean rank, best first, if the report shows ranks at all."""
        if Column.mean_rank not in self.report.columns:
            return []
        known = [(name, rank) for name, rank in self.overall.items() if not np.isnan(rank)]
        return sorted(known, key=lambda item: item[1])


def csv_rows(content: Content) -> Iterator[tuple[Any, ...]]:
    """Rows below ``CSV_COLUMNS``; None is an empty cell."""
    for line in content.lines:
        ours, theirs = line.summary, line.published
        figures = [getattr(ours, key, None) for key in ("n", "mean", "std", "ci_low", "ci_high")]
        published = [getattr(theirs, key, None) for key in ("mean", "std", "n")]
        cells = [
            *figures, line.table_rank, line.mean_rank, content.overall[line.algorithm],
            line.against, line.p_value, line.p_holm, line.win, *published, line.difference,
            line.difference_se, line.within(content.report.tolerance),
            theirs.source if theirs else None,
        ]  # fmt: skip
        yield (*line.problem, line.algorithm, content.report.metric, *map(_cell, cells))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else f"{value:.{SIGNIFICANT_DIGITS}g}"


def rich_table(content: Content) -> Table:
    """The table on the terminal: one section per problem, then the mean ranks over all."""
    table = Table(
        title=content.report.title,
        caption="\n".join(notes(content)),
        caption_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        collapse_padding=True,
    )
    names = [content.label(line.algorithm) for line in content.lines]
    table.add_column("method", min_width=len(INDENT) + max(map(len, names), default=0))
    for header in _headers(content.report)[1:]:
        table.add_column(
            fill(header, HEADER_WIDTH, break_long_words=False), justify="right", no_wrap=True
        )
    for problem, lines in content.sections():
        table.add_row(f"[bold]{problem}[/bold]")
        for line in lines:
            table.add_row(f"{INDENT}{content.label(line.algorithm)}", *_shown(line, content.report))
        table.add_section()
    place = 1 + list(content.report.columns).index(Column.mean_rank) if content.ranking() else 0
    for number, (name, rank) in enumerate(content.ranking()):
        if number == 0:
            table.add_row("[bold]all tasks[/bold]")
        table.add_row(f"{INDENT}{content.label(name)}", *[""] * (place - 1), _number(rank, 2))
    return table


def markdown(content: Content) -> str:
    """The report as Markdown: a table per problem, the mean ranks over all, and the notes."""
    report = content.report
    parts = [f"# {report.title}"]
    for problem, lines in content.sections():
        rows = [[content.label(line.algorithm), *_shown(line, report)] for line in lines]
        parts += [f"## {problem}", _markdown_table(_headers(report), rows)]
    if content.ranking():
        rows = [[content.label(name), _number(rank, 2)] for name, rank in content.ranking()]
        parts += ["## Mean rank over all tasks", _markdown_table(["method", "mean rank"], rows)]
    parts.append("\n".join(f"- {note}" for note in notes(content)))
    return "\n\n".join(parts) + "\n"


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = [":--", *["--:"] * (len(headers) - 1)]
    lines = [headers, marks, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def notes(content: Content) -> list[str]:
    """What a reader must know: the protocol, the tests, the sources, the report's own remarks."""
    report = content.report
    found = ["; ".join(content.protocol), *report.notes]
    if all(line.summary is None for line in content.lines):
        found.append(f"the tables at hand have no {report.metric}, so its cells are empty")
    if Column.mean_rank in report.columns:
        found.append("mean rank: among these methods, seed by seed; 1 is best")
    rival = "the best of each task" if report.against == BEST else report.against
    if Column.p_value in report.columns:
        found.append(
            f"p: Wilcoxon's signed-rank test against {rival}, paired by seed, Holm-adjusted over "
            "the whole report"
        )
    if Column.win in report.columns:
        found.append(f"win: probability that a trial beats one of {rival}")
    sources = dict.fromkeys(line.published.source for line in content.lines if line.published)
    return [*found, *(f"published: {source}" for source in sources)]


def _headers(report: Report) -> list[str]:
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
    }
    return ["method", *(names[column] for column in report.columns)]


def _shown(line: Line, report: Report) -> list[str]:
    return [_SHOW[column](line, report) for column in report.columns]


def _spread(mean: float, std: float) -> str:
    return f"{mean:.2f}" if np.isnan(std) else f"{mean:.2f} ± {std:.2f}"


def _number(value: float, decimals: int, sign: str = "") -> str:
    return "" if np.isnan(value) else f"{value:{sign}.{decimals}f}"


def _p(value: float) -> str:
    if np.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _score(line: Line, _: Report) -> str:
    return _spread(line.summary.mean, line.summary.std) if line.summary else ""


def _interval(line: Line, _: Report) -> str:
    if line.summary is None or np.isnan(line.summary.ci_low):
        return ""
    return f"[{line.summary.ci_low:.2f}, {line.summary.ci_high:.2f}]"


def _published(line: Line, _: Report) -> str:
    return _spread(line.published.mean, line.published.std) if line.published else ""


def _within(line: Line, report: Report) -> str:
    return {True: "yes", False: "no", None: ""}[line.within(report.tolerance)]


_SHOW: Mapping[Column, Callable[[Line, Report], str]] = {
    Column.trials: lambda line, _: str(line.summary.n) if line.summary else "",
    Column.score: _score,
    Column.interval: _interval,
    Column.table_rank: lambda line, _: _number(line.table_rank, 0),
    Column.mean_rank: lambda line, _: _number(line.mean_rank, 2),
    Column.p_value: lambda line, _: _p(line.p_holm),
    Column.win: lambda line, _: _number(line.win, 2),
    Column.published: _published,
    Column.difference: lambda line, _: _number(line.difference, 2, "+"),
    Column.difference_se: lambda line, _: _number(line.difference_se, 1, "+"),
    Column.within: _within,
}
