"""A report for the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from nasrun.report.content import Content
from nasrun.report.tables import CLAIM_HEADERS, claim_cells, headers, notes, overall, shown
from nasrun.report.trials import Problem

INDENT = " "
HEADER = 6  # characters to a line of a header, so that figures set a column's width


@dataclass(frozen=True)
class ReportTable:
    """The report's table for the terminal: a section per problem, all tasks, then the claims.

    It shows as many of the columns as fit whole, and names the others: half a figure misleads.
    """

    content: Content

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the widest table that fits, and that of the claims."""
        names = headers(self.content.report, self.content.metric)
        unlimited = options.update(max_width=10**4)
        kept = len(names)
        table = _table(self.content, names, kept)
        while kept > 1 and Measurement.get(console, unlimited, table).maximum > options.max_width:
            kept -= 1
            table = _table(self.content, names, kept)
        yield table
        if self.content.verdicts:
            yield _claims_table(self.content)


def _table(content: Content, names: Sequence[str], kept: int) -> Table:
    """The table with the first ``kept`` columns."""
    report = content.report
    said = notes(content)
    if left_out := names[kept:]:
        said = [f"too wide for this terminal, see {report.name}.md: {', '.join(left_out)}", *said]
    table = Table(
        title=escape(content.title), caption=escape("\n".join(said)), caption_justify="left",
        box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    titles = {problem: _section(content, problem) for problem in content.problems}
    lines = [*(INDENT + content.label(line.algorithm) for line in content.lines), *titles.values()]
    # A task's name must be whole: it is the only thing that tells the sections apart.
    table.add_column(names[0], min_width=max(map(len, lines), default=0), no_wrap=True)
    for header in names[1:kept]:
        wrapped = fill(escape(header), HEADER, break_long_words=False)
        table.add_column(wrapped, justify="right", no_wrap=True)
    for problem, section in content.sections():
        table.add_row(f"[bold]{escape(titles[problem])}[/bold]")
        for line in section:
            _add_row(table, content.label(line.algorithm), shown(line, report)[: kept - 1])
        table.add_section()
    for number, (name, *cells) in enumerate(overall(content)):
        if number == 0:
            table.add_row("[bold]all tasks[/bold]")
        _add_row(table, name, cells[: kept - 1])
    return table


def _section(content: Content, problem: Problem) -> str:
    """The problem, with the metric where no header can name it for all."""
    metric = content.problems[problem].metric
    name = content.name(problem)
    return name if content.metric else f"{name}: {metric.title}"


def _add_row(table: Table, name: str, cells: Sequence[str]) -> None:
    table.add_row(INDENT + escape(name), *map(escape, cells))  # rea[population=5] is no markup


def _claims_table(content: Content) -> Table:
    table = Table(title="Claims", box=box.SIMPLE, show_edge=False, collapse_padding=True)
    for header in CLAIM_HEADERS:
        table.add_column(header, justify="left" if header in ("claim", "task") else "right")
    for cells in claim_cells(content):
        table.add_row(*map(escape, cells))
    return table
