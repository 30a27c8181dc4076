r"""A report as CSV, as Markdown, and as LaTeX to be read by ``\input``."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

import numpy as np

from nasrun.report.aggregate import Estimate
from nasrun.report.compare import TOPS, Line
from nasrun.report.content import Content
from nasrun.report.groups import GroupRanks
from nasrun.report.layout import NOT_WORSE, TOO_FEW
from nasrun.report.overview import Overview
from nasrun.report.sheet import MINUS, Sheet, plain
from nasrun.report.tables import (
    notes,
    sheets,
    statistics_notes,
)

CSV_COLUMNS = (
    "space", "search_task", "task", "algorithm", "metric", "figure", "n", "units", "mean", "std",
    "ci_low", "ci_high", "table_rank_median", "mean_rank", "mean_rank_all_tasks", "regret",
    "against", "p_value", "p_holm", "probability_of_improvement", "published_mean",
    "published_std", "published_n", "difference", "difference_se", "within_tolerance",
    "published_source", "first_n", "first_mean", "first_std",
    *(f"top{top}_share{part}" for top in TOPS
      for part in ("", "_agent_min", "_agent_max", "_agent_std")),
    "simulated_h", "published_h", "meta_agents", "meta_agent_h", "latency_mean", "latency_std",
    "budget_met_share", "hypervolume_mean", "hypervolume_std",
)  # fmt: skip
CLAIM_COLUMNS = (
    "space", "search_task", "task", "better", "worse", "metric", "difference", "units", "unit",
    "p_value", "p_holm",
)  # fmt: skip
STATISTICS_COLUMNS = (
    "algorithm", "tasks", "trials", "mean_score", "mean_low", "mean_high", "iqm_score", "iqm_low",
    "iqm_high", "average_rank", "units", "critical_difference", "friedman_p", "rival",
    "probability_of_improvement", "improvement_low", "improvement_high",
)  # fmt: skip
GROUP_COLUMNS = (
    "algorithm", "space", "tasks", "units", "rank", "rank_low", "rank_high", "critical_difference",
    "published_group", "published_rank", "published_order", "order",
)  # fmt: skip
PAIR_COLUMNS = ("algorithm", "other", "probability_of_improvement", "p_holm")
SIGNIFICANT_DIGITS = 6  # of a figure in a CSV file

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "<": "$<$", ">": "$>$", "±": r"$\pm$", "\u00d7": r"$\times$", "·": r"$\cdot$", "→": r"$\to$",
    "ε": r"$\epsilon$", "β": r"$\beta$", MINUS: "$-$", "–": "--", NOT_WORSE: r"$^{\dagger}$",
    TOO_FEW: r"$^{\ddagger}$",
}  # fmt: skip
# What Markdown would take for its own; an underscore within a word is none.
MARKDOWN = re.compile(r"[\\`*|<]|(?<![^\W_])_|_(?![^\W_])|\[(?=[^]]*\]\()")
LATEX_HEADER = 8  # characters to a line of a header
BOLD = r"\textbf{{{}}}"
MANY = 9  # columns that fit a page in small type


def csv_files(content: Content) -> dict[str, bytes]:
    """The CSV files by name: the lines, and the claims and statistics where there are some."""
    name, found = content.report.name, content.overview
    files = {f"{name}.csv": _csv(CSV_COLUMNS, _lines(content))}
    if content.verdicts:
        files[f"{name}_claims.csv"] = _csv(CLAIM_COLUMNS, _claims(content))
    if found:
        files[f"{name}_statistics.csv"] = _csv(STATISTICS_COLUMNS, _statistics(found))
        files[f"{name}_pairs.csv"] = _csv(PAIR_COLUMNS, _pairs(found))
    if content.group_ranks:
        files[f"{name}_groups.csv"] = _csv(GROUP_COLUMNS, _groups(content.group_ranks))
    return files


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return stream.getvalue().encode()


def _cell(value: Any) -> Any:
    """What stands in the file: None is an empty cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else f"{value:.{SIGNIFICANT_DIGITS}g}"


def _lines(content: Content) -> Iterator[list[Any]]:
    for line in content.lines:
        ours, theirs = line.summary, line.published
        total = content.totals.get(line.algorithm)
        yield [
            *line.problem, line.algorithm, line.metric.name, content.report.figure,
            *_fields(ours, "n", "units", "mean", "std", "ci_low", "ci_high"), line.table_rank,
            line.mean_rank, total.mean_rank if total else None, line.regret, line.against,
            line.p_value, line.p_holm, line.improvement, *_fields(theirs, "mean", "std", "n"),
            line.difference, line.difference_se, line.within(content.report.tolerance),
            *_fields(theirs, "source"), *_fields(line.first, "n", "mean", "std"),
            *_shares(line), line.hours, line.published_hours,
            *_fields(line.meta, "agents", "agent_h"),
            *_fields(line.latency, "mean", "std"), line.met,
            *_fields(line.hypervolume, "mean", "std"),
        ]  # fmt: skip


def _fields(found: object, *names: str) -> list[Any]:
    return [getattr(found, name, None) for name in names]


def _shares(line: Line) -> list[float]:
    names = ("share", "agent_min", "agent_max", "agent_std")
    return [part for share in line.shares for part in _fields(share, *names)]


def _claims(content: Content) -> Iterator[list[Any]]:
    for v in content.verdicts:
        names = [*v.problem, v.better, v.worse, v.metric.name]
        yield [*names, v.difference, v.units, v.unit, v.p_value, v.p_holm]


def _groups(found: GroupRanks) -> Iterator[list[Any]]:
    """Rows below ``GROUP_COLUMNS``, best rank first: by space, over all, and published ones."""
    for i in found.by_rank():
        name, overall, tasks = found.algorithms[i], found.overall[i], found.tasks.tolist()
        for at, space in enumerate(found.spaces):
            rank = float(found.by_space[i, at])
            yield [name, space, tasks[at], found.units, rank, *(None,) * 7]
        ends = (overall.value, overall.low, overall.high, found.critical_difference)
        yield [name, "all", sum(tasks), found.units, *ends, *(None,) * 4]
        for each in found.comparisons:
            if name in each.ours:
                own = (each.name, each.printed[name], each.theirs[name], each.ours[name])
                yield [name, "+".join(each.spaces), *(None,) * 6, *own]


def _statistics(found: Overview) -> Iterator[list[Any]]:
    """Rows below ``STATISTICS_COLUMNS``, best average rank first."""
    ranking = found.ranking
    for i in found.by_rank():
        yield [
            found.algorithms[i], found.tasks, found.trials, *_estimate(found.mean[i]),
            *_estimate(found.iqm[i]), float(ranking.ranks[i]), ranking.blocks,
            ranking.critical_difference, ranking.friedman_p, found.rival,
            *_estimate(found.against[i]),
        ]  # fmt: skip


def _pairs(found: Overview) -> Iterator[list[Any]]:
    """Rows below ``PAIR_COLUMNS``, every ordered pair."""
    for i in found.by_rank():
        for j in found.by_rank():
            if i != j:
                names = found.algorithms[i], found.algorithms[j]
                yield [*names, float(found.better[i, j]), float(found.p_holm[i, j])]


def _estimate(found: Estimate | None) -> tuple[float | None, ...]:
    if found is None:
        return None, None, None
    # The weakest method's mean score is 0 but for rounding, which six digits would print.
    return round(found.value, 9), round(found.low, 9), round(found.high, 9)


def markdown(content: Content) -> str:
    """The report as Markdown: its tables and notes."""
    return markdown_of(content.title, sheets(content), _said(content))


def _said(content: Content) -> list[str]:
    return [*notes(content), *statistics_notes(content)]


def markdown_of(title: str, tables: Iterable[Sheet], said: Sequence[str]) -> str:
    """Tables and notes as Markdown."""
    parts = [f"# {_markdown(title)}"]
    for sheet in tables:
        marks = [":--", *["--:"] * (len(sheet.headers) - 1)]
        rows = [_bold(sheet, at, row, _markdown, "**{}**") for at, row in enumerate(sheet.rows)]
        lines = [[*map(_markdown, sheet.headers)], marks, *rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        parts += [f"## {_markdown(sheet.title)}", table]
        if sheet.caption:
            parts.append(_markdown(sheet.caption))
    parts.append("\n".join(f"- {_markdown(note)}" for note in said))
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    return MARKDOWN.sub(lambda found: "\\" + found[0], plain(text))


def _bold(
    sheet: Sheet, row: int, cells: Sequence[str], escape: Callable[[str], str], form: str
) -> list[str]:
    """The escaped cells of a row, the best figures in ``form``."""
    return [
        form.format(escape(cell)) if (row, column) in sheet.bold else escape(cell)
        for column, cell in enumerate(cells)
    ]


def latex(content: Content) -> str:
    """The report's tables with booktabs rules; its notes are comments above them."""
    return latex_of(content.report.name, content.title, sheets(content), _said(content))


def latex_of(name: str, title: str, tables: Iterable[Sheet], said: Sequence[str]) -> str:
    """Tables with booktabs rules, and notes as comments above them.

    Consecutive tables with the same columns are one table with sections.
    """
    parts = [
        r"% Needs \usepackage{booktabs}. Written by nasrun; said of it:",
        *(f"% - {plain(note)}" for note in [title, *said]),
    ]
    for number, (_, group) in enumerate(groupby(tables, key=lambda s: s.headers)):
        label = f"tab:{name}" + (f"-{number + 1}" if number else "")
        parts.append(_latex_table(list(group), title, label, is_first=number == 0))
    return "\n".join(parts) + "\n"


def _latex_table(group: Sequence[Sheet], title: str, label: str, is_first: bool) -> str:
    first = group[0]
    columns = "l" * first.texts + "r" * (len(first.headers) - first.texts)
    few, many = r"\small\setlength{\tabcolsep}{4pt}", r"\scriptsize\setlength{\tabcolsep}{3pt}"
    # The caption is the report's title; tables after the first one say besides what they hold.
    caption = title if is_first else f"{title}: {'; '.join(sheet.title for sheet in group)}"
    caption = ". ".join([caption, *(sheet.caption for sheet in group if sheet.caption)])
    lines = [
        r"\begin{table}", rf"\centering{few if len(columns) <= MANY else many}",
        rf"\caption{{{escaped(caption)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule",
        " & ".join(_latex_header(header) for header in first.headers) + r" \\",
    ]  # fmt: skip
    for sheet in group:
        lines.append(r"\midrule")
        if len(group) > 1:
            section = rf"\emph{{{escaped(sheet.title)}}}"
            lines.append(rf"\multicolumn{{{len(first.headers)}}}{{@{{}}l}}{{{section}}} \\")
        rows = (_bold(sheet, at, row, escaped, BOLD) for at, row in enumerate(sheet.rows))
        lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _latex_header(text: str) -> str:
    """A long header takes several lines, so that figures set a column's width."""
    lines = wrap(text.replace("_", "_ "), LATEX_HEADER, break_long_words=False)
    stacked = r"\\".join(escaped(line.replace("_ ", "_")) for line in lines)
    if len(lines) < 2:
        return stacked
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}"


def escaped(text: str) -> str:
    """Text whose special characters LaTeX prints as they are."""
    return "".join(LATEX.get(letter, letter) for letter in plain(text).replace("->", "→"))
