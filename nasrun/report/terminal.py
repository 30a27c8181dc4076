"""A report as a table for the terminal."""

from textwrap import fill

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from nasrun.report.columns import headers, shown
from nasrun.report.content import Content, notes
from nasrun.report.sheets import CLAIM_HEADERS, claim_cells

INDENT = " "
HEADER_WIDTH = 6  # characters to a line of a header, so that figures set a column's width


def rich_table(content: Content) -> RenderableType:
    """One section per problem, then all tasks, then the claims."""
    table = Table(
        title=escape(content.report.title),
        caption=escape("\n".join(notes(content))),
        caption_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    names = [INDENT + content.label(line.algorithm) for line in content.lines]
    tasks = [str(line.problem) for line in content.lines]
    # A task's name must be whole: it is the only thing that tells the sections apart.
    table.add_column("method", min_width=max(map(len, [*names, *tasks]), default=0))
    for header in headers(content.report)[1:]:
        wrapped = fill(escape(header), HEADER_WIDTH, break_long_words=False)
        table.add_column(wrapped, justify="right", no_wrap=True)
    for problem, lines in content.sections():
        table.add_row(f"[bold]{escape(problem)}[/bold]")
        for line in lines:
            name = escape(content.label(line.algorithm))  # rea[population=5] is no markup
            table.add_row(f"{INDENT}{name}", *shown(line, content.report))
        table.add_section()
    for number, (name, *cells) in enumerate(content.overall()):
        if number == 0:
            table.add_row("[bold]all tasks[/bold]")
        table.add_row(f"{INDENT}{escape(name)}", *cells)
    return Group(table, _claims_table(content)) if content.verdicts else table


def _claims_table(content: Content) -> Table:
    table = Table(title="Claims", box=box.SIMPLE, show_edge=False, collapse_padding=True)
    for header in CLAIM_HEADERS:
        table.add_column(header, justify="left" if header in ("claim", "task") else "right")
    for cells in claim_cells(content):
        table.add_row(*map(escape, cells))
    return table
