"""The figures of a report as plain values, for the page that draws them in a browser."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nasrun.report.anytime import Curve, Curves, settled
from nasrun.report.box_figure import WHISKERS
from nasrun.report.content import Content
from nasrun.report.jobs import Search
from nasrun.report.overview import Overview
from nasrun.report.schema import Figure
from nasrun.report.sorted_figure import HIDDEN
from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats

QUANTILES = np.linspace(0, 1, 101)  # of the sorted figure, which would otherwise hold every trial
DIGITS = 6  # significant ones
Chart = dict[str, Any]
HINTS = {
    "boxes": "box: middle half of the trials; bar: median; line: 5% to 95%; circle: mean; "
    "diamond: published mean",
    "lines": "point at a figure to read it; a name hides and shows its line",
    "ranks": "methods whose bars do not overlap differ at the 5% level (Nemenyi's test)",
}


def charts(content: Content, curves: Curves) -> Iterator[Chart]:
    """The report's own figures, then the statistics over all tasks.

    A chart has ``kind``, ``title``, ``names`` of its methods with their colours, and ``panels``.
    """
    asked = list(content.report.figures)
    if content.overview is not None:
        asked += [kind for kind in (Figure.ranks, Figure.profile) if kind not in asked]
    for kind in asked:
        if kind is Figure.box:
            panels = [_boxes(content, *item) for item in content.problems.items()]
            yield _chart(content, "boxes", "What the trials found", panels)
        elif kind is Figure.sorted:
            panels = [_sorted(content, *item) for item in content.problems.items()]
            yield _chart(content, "lines", "What the trials found, sorted", panels)
        elif kind is Figure.anytime and curves:
            yield _chart(content, "lines", "Best reward so far", _anytime(content, curves))
        elif kind is Figure.ranks and content.overview:
            yield _chart(content, "ranks", "Average ranks", [_ranks(content, content.overview)])
        elif kind is Figure.profile and content.overview:
            panel = _profile(content, content.overview)
            yield _chart(content, "lines", "Performance profiles", [panel])


def _chart(content: Content, kind: str, title: str, panels: Sequence[Chart]) -> Chart:
    names = [
        {"name": content.label(name), "place": content.place(name)} for name in content.played()
    ]
    return {"kind": kind, "title": title, "hint": HINTS[kind], "names": names, "panels": panels}


def _boxes(content: Content, problem: Problem, trials: Trials) -> Chart:
    published = {
        line.algorithm: line.published.mean
        for line in content.lines
        if line.problem == problem and line.published
    }
    figures = dict(zip(trials.algorithms, trials.figures, strict=True))
    rows: list[Chart] = []
    for name in content.by_rank():
        known = figures[name][~np.isnan(figures[name])]
        if len(known):
            marks = np.percentile(known, [WHISKERS[0], 25, 50, 75, WHISKERS[1]])
            rows.append(
                {
                    "name": content.label(name), "n": len(known), "mean": _value(known.mean()),
                    "marks": _values(marks), "published": _value(published.get(name, np.nan)),
                }
            )  # fmt: skip
    return {"title": str(problem), "x": content.report.unit, "rows": rows}


def _sorted(content: Content, problem: Problem, trials: Trials) -> Chart:
    series: list[Chart] = []
    floor = np.inf
    for name, figures in zip(trials.algorithms, trials.figures, strict=True):
        known = figures[~np.isnan(figures)]
        if len(known):
            y = np.quantile(known, QUANTILES)
            series.append(_line(content.label(name), 100 * QUANTILES, y))
            floor = min(floor, float(np.quantile(known, HIDDEN)))
    top = float(np.nanmax(trials.figures)) if series else np.nan
    return {
        "title": str(problem), "x": "trials, sorted, %", "y": content.report.unit,
        "range": [_value(floor), _value(top)], "series": series,
    }  # fmt: skip


def _anytime(content: Content, curves: Curves) -> list[Chart]:
    """A panel per searched task and abscissa."""
    searched = {(p.space, p.search_task): p for p in content.problems}
    panels: list[Chart] = []
    for way, x in enumerate(("evaluations", "hours of the search, as charged")):
        for problem in searched.values():
            found = {
                name: curves[search][way]
                for name in content.problems[problem].algorithms
                if (search := Search(problem.space, problem.search_task, name)) in curves
            }
            lines = [_curve(content.label(name), curve) for name, curve in found.items()]
            low, high = settled(list(found.values()))
            panels.append(
                {
                    "title": problem.search_task, "x": x, "y": "best reward so far",
                    "range": [_value(low), _value(high)], "series": lines,
                }
            )  # fmt: skip
    return [panel for panel in panels if any(line["x"] for line in panel["series"])]


def _ranks(content: Content, found: Overview) -> Chart:
    ranks = found.ranking.ranks
    rows = [
        {"name": content.label(found.algorithms[i]), "rank": _value(ranks[i])}
        for i in found.by_rank()
    ]
    difference = _value(found.ranking.critical_difference)
    return {"title": "all tasks", "x": "average rank", "difference": difference, "rows": rows}


def _profile(content: Content, found: Overview) -> Chart:
    lines = [
        _line(
            content.label(name), found.profiles.thresholds, 100 * found.profiles.shares[i],
            100 * found.profiles.low[i], 100 * found.profiles.high[i],
        )
        for i, name in enumerate(found.algorithms)
    ]  # fmt: skip
    share = "trials with at least this score, %"
    return {"title": "all tasks", "x": "score", "y": share, "range": [0, 100], "series": lines}


def _curve(label: str, curve: Curve) -> Chart:
    return _line(label, curve.x, curve.mean, curve.low, curve.high)


def _line(label: str, x: Floats, y: Floats, *band: Floats) -> Chart:
    return {
        "name": label, "x": _values(x), "y": _values(y),
        "low": _values(band[0]) if band else [], "high": _values(band[1]) if band else [],
    }  # fmt: skip


def _values(figures: Floats) -> list[float | None]:
    return [_value(figure) for figure in figures]


def _value(figure: float) -> float | None:
    return float(f"{figure:.{DIGITS}g}") if np.isfinite(figure) else None
