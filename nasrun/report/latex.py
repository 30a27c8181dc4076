r"""A report as LaTeX tables, to be read into a paper by ``\input``."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap

from nasrun.report.content import Content, notes, statistics_notes
from nasrun.report.sheets import Sheet, sheets

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "<": "$<$", ">": "$>$", "±": r"$\pm$", "\u00d7": r"$\times$", "·": r"$\cdot$", "→": r"$\to$",
    "ε": r"$\epsilon$", "β": r"$\beta$",
}  # fmt: skip
HEADER_WIDTH = 8  # characters to a line of a header
MANY = 9  # columns that fit a page in small type


def latex(content: Content) -> str:
    """The report's tables with booktabs rules; its notes are comments above them.

    Consecutive tables with the same columns are one table with sections.
    """
    said = [content.report.title, *notes(content), *statistics_notes(content)]
    parts = [
        r"% Needs \usepackage{booktabs}. Written by nasrun; said of it:",
        *(f"% - {' '.join(note.split())}" for note in said),
    ]
    for number, (_, group) in enumerate(groupby(sheets(content), key=lambda s: s.headers)):
        parts.append(_table(list(group), content, number))
    return "\n".join(parts) + "\n"


def _table(group: Sequence[Sheet], content: Content, number: int) -> str:
    first = group[0]
    columns = "l" * first.texts + "r" * (len(first.headers) - first.texts)
    label = f"tab:{content.report.name}" + (f"-{number + 1}" if number else "")
    lines = [
        r"\begin{table}", rf"\centering{_size(len(columns))}",
        rf"\caption{{{_caption(group, content, number)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule",
        " & ".join(_header(header) for header in first.headers) + r" \\",
    ]  # fmt: skip
    for sheet in group:
        lines.append(r"\midrule")
        if len(group) > 1:
            title = rf"\emph{{{escaped(sheet.title)}}}"
            lines.append(rf"\multicolumn{{{len(first.headers)}}}{{@{{}}l}}{{{title}}} \\")
        lines += [" & ".join(map(escaped, row)) + r" \\" for row in sheet.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _size(columns: int) -> str:
    few, many = r"\small\setlength{\tabcolsep}{4pt}", r"\scriptsize\setlength{\tabcolsep}{3pt}"
    return few if columns <= MANY else many


def _caption(group: Sequence[Sheet], content: Content, number: int) -> str:
    """The report's title; tables after the first one say besides what they hold."""
    title = content.report.title
    return escaped(f"{title}: {'; '.join(sheet.title for sheet in group)}" if number else title)


def _header(text: str) -> str:
    """A long header takes several lines, so that figures set a column's width."""
    lines = wrap(text.replace("_", "_ "), HEADER_WIDTH, break_long_words=False)
    stacked = r"\\".join(escaped(line.replace("_ ", "_")) for line in lines)
    if len(lines) < 2:
        return stacked
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}"


def escaped(text: str) -> str:
    """Text whose special characters LaTeX prints as they are."""
    return "".join(SPECIAL.get(letter, letter) for letter in text.replace("->", "→"))
