"""The lines of a report as CSV cells, as a table on the terminal, and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import fill
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from nasrun.report.claims import Verdict
from nasrun.report.columns import Total, headers, number, p_text, shown, shown_total
from nasrun.report.compare import TOPS, Line
from nasrun.report.schema import BEST, Column, Figure, Report
from nasrun.report.trials import Problem, Trials

CSV_COLUMNS = (
    "space", "search_task", "task", "algorithm", "metric", "n", "mean", "std", "ci_low", "ci_high",
    "table_rank_median", "mean_rank", "mean_rank_all_tasks", "against", "p_value", "p_holm",
    "win_probability", "published_mean", "published_std", "published_n", "difference",
    "difference_se", "within_tolerance", "published_source", "first_n", "first_mean", "first_std",
    *(f"top{top}_share{part}" for top in TOPS
      for part in ("", "_agent_min", "_agent_max", "_agent_std")),
    "simulated_h", "published_h", "meta_agents", "meta_agent_h",
)  # fmt: skip
CLAIM_COLUMNS = (
    "space", "search_task", "task", "better", "worse", "difference", "units", "unit", "p_value",
    "p_holm",
)  # fmt: skip
CLAIM_HEADERS = ("claim", "task", "difference", "units", "p", "p (Holm)")
SIGNIFICANT_DIGITS = 6
INDENT = " "
HEADER_WIDTH = 6  # characters to a line of a header, so that figures set a column's width


@dataclass(frozen=True)
class Content:
    """All that a report says: its node, trials, lines, figures over all tasks, protocol, claims."""

    report: Report
    problems: Mapping[Problem, Trials]
    lines: Sequence[Line]
    totals: Mapping[str, Total]
    protocol: Sequence[str]
    verdicts: Sequence[Verdict] = ()

    def label(self, algorithm: str) -> str:
        """The name to show."""
        return self.report.labels.get(algorithm, algorithm)

    def sections(self) -> Iterator[tuple[str, list[Line]]]:
        """Lines by problem; in the order of the report's labels, or else the best mean first."""
        order = {name: place for place, name in enumerate(self.report.labels)}
        for problem, group in groupby(self.lines, key=lambda line: line.problem):
            lines = list(group)
            if order:
                lines.sort(key=lambda line: order.get(line.algorithm, len(order)))
            else:
                lines.sort(key=lambda line: -(line.summary.mean if line.summary else -np.inf))
            yield str(problem), lines

    def overall(self) -> list[list[str]]:
        """Cells of the lines on all tasks, best mean rank first; none without such columns."""
        by_rank = sorted(self.totals.items(), key=lambda item: _missing_last(item[1].mean_rank))
        lines = [(name, shown_total(total, self.report)) for name, total in by_rank]
        return [[self.label(name), *cells] for name, cells in lines if any(cells)]


def _missing_last(rank: float) -> float:
    return np.inf if np.isnan(rank) else rank


def csv_rows(content: Content) -> Iterator[tuple[Any, ...]]:
    """Rows below ``CSV_COLUMNS``; None is an empty cell."""
    for line in content.lines:
        ours, theirs, meta = line.summary, line.published, line.meta
        figures = [getattr(ours, key, None) for key in ("n", "mean", "std", "ci_low", "ci_high")]
        published = [getattr(theirs, key, None) for key in ("mean", "std", "n")]
        total = content.totals.get(line.algorithm)
        shares = [
            part
            for share in line.shares
            for part in (share.share, share.agent_min, share.agent_max, share.agent_std)
        ]
        cells = [
            *figures, line.table_rank, line.mean_rank, total.mean_rank if total else None,
            line.against, line.p_value, line.p_holm, line.win, *published, line.difference,
            line.difference_se, line.within(content.report.tolerance),
            theirs.source if theirs else None,
            *(getattr(line.first, key, None) for key in ("n", "mean", "std")), *shares,
            line.hours, line.published_hours,
            *(getattr(meta, key, None) for key in ("agents", "agent_h")),
        ]  # fmt: skip
        yield (*line.problem, line.algorithm, content.report.metric, *map(_cell, cells))


def claim_rows(content: Content) -> Iterator[tuple[Any, ...]]:
    """Rows below ``CLAIM_COLUMNS``."""
    for verdict in content.verdicts:
        cells = [verdict.difference, verdict.units, _unit(verdict), verdict.p_value, verdict.p_holm]
        yield (*verdict.problem, verdict.better, verdict.worse, *map(_cell, cells))


def _unit(verdict: Verdict) -> str:
    return "agents" if verdict.by_agent else "trials"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else f"{value:.{SIGNIFICANT_DIGITS}g}"


def rich_table(content: Content) -> RenderableType:
    """The table on the terminal: one section per problem, then all tasks, then the claims."""
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
    for header in headers(content.report)[1:]:
        table.add_column(
            fill(header, HEADER_WIDTH, break_long_words=False), justify="right", no_wrap=True
        )
    for problem, lines in content.sections():
        table.add_row(f"[bold]{problem}[/bold]")
        for line in lines:
            cells = shown(line, content.report)
            table.add_row(f"{INDENT}{content.label(line.algorithm)}", *cells)
        table.add_section()
    for number_, (name, *cells) in enumerate(content.overall()):
        if number_ == 0:
            table.add_row("[bold]all tasks[/bold]")
        table.add_row(f"{INDENT}{name}", *cells)
    return Group(table, _claims_table(content)) if content.verdicts else table


def _claims_table(content: Content) -> Table:
    table = Table(title="Claims", box=box.SIMPLE, show_edge=False, collapse_padding=True)
    for header in CLAIM_HEADERS:
        table.add_column(header, justify="left" if header in ("claim", "task") else "right")
    for cells in _claim_cells(content):
        table.add_row(*cells)
    return table


def _claim_cells(content: Content) -> list[list[str]]:
    return [
        [
            f"{content.label(verdict.better)} > {content.label(verdict.worse)}",
            str(verdict.problem),
            number(verdict.difference, 2, "+"),
            f"{verdict.units} {_unit(verdict)}",
            p_text(verdict.p_value),
            p_text(verdict.p_holm),
        ]
        for verdict in content.verdicts
    ]


def markdown(content: Content) -> str:
    """The report as Markdown: a table per problem, all tasks, the claims, and the notes."""
    report = content.report
    parts = [f"# {report.title}"]
    for problem, lines in content.sections():
        rows = [[content.label(line.algorithm), *shown(line, report)] for line in lines]
        parts += [f"## {problem}", _markdown_table(headers(report), rows)]
    if rows := content.overall():
        kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
        narrow = [[row[i] for i in kept] for row in rows]
        parts += ["## All tasks", _markdown_table([headers(report)[i] for i in kept], narrow)]
    if content.verdicts:
        parts += ["## Claims", _markdown_table(CLAIM_HEADERS, _claim_cells(content))]
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
        if any(line.meta for line in content.lines):
            found.append("p counts trials, though those of one meta-trained agent are alike")
    if Column.win in report.columns:
        found.append(f"win: probability that a trial beats one of {rival}")
    spread = any(not np.isnan(s.agent_min) for line in content.lines for s in line.shares)
    if spread and {Column.best, Column.top3, Column.top10} & set(report.columns):
        found.append("in brackets: the least and the most successful meta-trained agent")
    if content.verdicts:
        found.append(
            "claims: one-sided sign-flip test of the mean difference, Holm-adjusted over all "
            "claims; trials of one meta-trained agent count as one unit, paired by seed"
        )
    if Figure.anytime in report.figures:
        found.append("bands of the anytime figure: 95% bootstrap intervals of the mean over trials")
    trained = {str(line.problem.search_task): line.meta for line in content.lines if line.meta}
    if trained:
        costs = ", ".join(f"{meta.agent_h:.0f} h for {task}" for task, meta in trained.items())
        found.append(f"meta-training cost each agent, before its searches, {costs}")
    sources = dict.fromkeys(line.published.source for line in content.lines if line.published)
    return [*found, *(f"published: {source}" for source in sources)]
