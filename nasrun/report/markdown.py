"""A report as Markdown."""

from collections.abc import Sequence

from nasrun.report.content import Content, notes, statistics_notes
from nasrun.report.sheets import sheets


def markdown(content: Content) -> str:
    """The report as Markdown: its tables and notes."""
    parts = [f"# {content.report.title}"]
    for sheet in sheets(content):
        parts += [f"## {sheet.title}", _table(sheet.headers, sheet.rows)]
    said = [*notes(content), *statistics_notes(content)]
    parts.append("\n".join(f"- {note}" for note in said))
    return "\n\n".join(parts) + "\n"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = [":--", *["--:"] * (len(headers) - 1)]
    lines = [headers, marks, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
