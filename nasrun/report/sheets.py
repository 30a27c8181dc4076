"""The tables of a report as headers and cells, whatever they are printed in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nasrun.report.aggregate import Estimate
from nasrun.report.columns import headers, number, p_text, shown
from nasrun.report.content import Content
from nasrun.report.overview import Overview

CLAIM_HEADERS = ["claim", "task", "difference", "units", "p", "p (Holm)"]
MATRIX_LIMIT = 12  # algorithms; a larger square fits no page, and stands in the CSV file alone


@dataclass(frozen=True)
class Sheet:
    """A table to print: ``texts`` counts the leading columns that hold words, not figures."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    texts: int = 1


def sheets(content: Content) -> Iterator[Sheet]:
    """A table per task, all tasks, the claims, the statistics over all tasks."""
    for problem, lines in content.sections():
        rows = [[content.label(line.algorithm), *shown(line, content.report)] for line in lines]
        yield Sheet(problem, headers(content.report), rows)
    if rows := content.overall():
        kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
        names = headers(content.report)
        yield Sheet("All tasks", [names[i] for i in kept], [[row[i] for i in kept] for row in rows])
    if content.verdicts:
        yield Sheet("Claims", CLAIM_HEADERS, claim_cells(content), texts=2)
    if content.overview is not None:
        yield from _statistics(content, content.overview)


def claim_cells(content: Content) -> list[list[str]]:
    """Cells below ``CLAIM_HEADERS``."""
    return [
        [
            f"{content.label(verdict.better)} > {content.label(verdict.worse)}",
            str(verdict.problem),
            number(verdict.difference, 2, "+"),
            f"{verdict.units} {verdict.unit}",
            p_text(verdict.p_value),
            p_text(verdict.p_holm),
        ]
        for verdict in content.verdicts
    ]


def _statistics(content: Content, found: Overview) -> Iterator[Sheet]:
    names = ["method", "mean score", "interquartile mean", "average rank"]
    order = found.by_rank()
    rows = [
        [
            content.label(found.algorithms[i]),
            estimate(found.mean[i]),
            estimate(found.iqm[i]),
            number(float(found.ranking.ranks[i]), 2),
            estimate(found.against[i]),
        ]
        for i in order
    ]
    yield Sheet("Statistics", [*names, f"beats {content.label(found.rival)}"], rows)
    if len(order) <= MATRIX_LIMIT:
        labels = [content.label(found.algorithms[i]) for i in order]
        better, p_holm = found.better[np.ix_(order, order)], found.p_holm[np.ix_(order, order)]
        chances = [[number(chance, 2) for chance in row] for row in better]
        p_values = [[p_text(p) for p in row] for row in p_holm]
        yield _square("Chance that the row beats the column", labels, chances)
        yield _square("Paired tests, p (Holm)", labels, p_values)


def _square(title: str, labels: list[str], cells: list[list[str]]) -> Sheet:
    rows = [[label, *row] for label, row in zip(labels, cells, strict=True)]
    return Sheet(title, ["method", *labels], rows)


def estimate(found: Estimate | None) -> str:
    """``0.71 [0.69, 0.73]``; empty for None."""
    if found is None or np.isnan(found.value):
        return ""
    # Adding zero makes a rounded -0.0 a plain 0.
    value, low, high = (round(x, 2) + 0.0 for x in (found.value, found.low, found.high))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
