"""The report of a study: a table for each task, methods by rows, figures by columns."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from nasrun.report.sheet import Sheet, number, spread

COLUMNS = ("task", "method", "figure", "n", "value", "published", "difference", "error")
PAGE = "report.html"
DIGITS = 6  # significant ones in the CSV file


@dataclass(frozen=True)
class Finding:
    """One figure of a study: ``value`` of ``method`` on ``task``, from ``n`` samples.

    ``published`` is what the paper has for it, NaN where it has nothing; ``error`` is the standard
    error of a mean, NaN where it is none.
    """

    task: str
    method: str
    figure: str
    n: int
    value: float
    published: float = nan
    error: float = nan


@dataclass(frozen=True)
class StudyReport:
    """What a study found, to be written as files or shown; ``more`` files by name."""

    name: str
    title: str
    figures: Sequence[Finding]
    notes: Sequence[str]
    decimals: int
    more: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    def sheets(self) -> list[Sheet]:
        """One for each task, in the order of the figures."""
        tasks = dict.fromkeys(each.task for each in self.figures)
        return [self._sheet(task) for task in tasks]

    def _sheet(self, task: str) -> Sheet:
        own = [each for each in self.figures if each.task == task]
        found: dict[str, dict[str, Finding]] = {}
        for each in own:
            found.setdefault(each.method, {})[each.figure] = each
        names = list(dict.fromkeys(each.figure for each in own))
        printed = {name: any(_is_known(each, name) for each in own) for name in names}
        headers = ["method"]
        for name in names:
            headers += [name, "published"] if printed[name] else [name]
        rows = [
            [method, *(cell for name in names for cell in self._cells(by.get(name), printed[name]))]
            for method, by in found.items()
        ]
        return Sheet(task, headers, rows, caption=_caption(own))

    def _cells(self, figure: Finding | None, printed: bool) -> list[str]:
        if figure is None:
            return [""] * (2 if printed else 1)
        value = spread(figure.value, figure.error, self.decimals)
        return [value, number(figure.published, self.decimals)] if printed else [value]

    def files(self) -> Mapping[str, bytes]:
        """``NAME.csv``, ``NAME.md``, ``NAME.tex``, the page and ``more`` by name."""
        # Every run reads this module, and a study alone writes.
        from nasrun.report.formats import latex_of, markdown_of
        from nasrun.report.page import plain_page

        tables, count = self.sheets(), f"{len(self.figures)} figures"
        return {
            f"{self.name}.csv": self._csv(),
            f"{self.name}.md": markdown_of(self.title, tables, self.notes).encode(),
            f"{self.name}.tex": latex_of(self.name, self.title, tables, self.notes).encode(),
            PAGE: plain_page(self.title, count, tables, self.notes).encode(),
            **self.more,
        }

    def _csv(self) -> bytes:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in self.figures:
            figures = (each.value, each.published, each.value - each.published, each.error)
            cells = ["" if np.isnan(one) else f"{one:.{DIGITS}g}" for one in figures]
            writer.writerow([each.task, each.method, each.figure, each.n, *cells])
        return stream.getvalue().encode()


def _is_known(figure: Finding, name: str) -> bool:
    return figure.figure == name and not np.isnan(figure.published)


def _caption(figures: Sequence[Finding]) -> str:
    """What lies behind the figures, such as ``n = 400 (pearson_r)``."""
    counts: dict[str, list[str]] = {}
    for each in figures:
        names = counts.setdefault(f"{each.n:,}", [])
        if each.figure not in names:
            names.append(each.figure)
    return "n = " + "; ".join(f"{n} ({', '.join(names)})" for n, names in counts.items())
