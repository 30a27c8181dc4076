"""A report as one HTML page that needs no network: tables, figures, winners, provenance."""

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.report.content import Content, EdgesOf, Winner, winner_edges
from nasrun.report.draw import DARK, LIGHT, cell_picture, picture_width_in
from nasrun.report.jobs import Job, Search, origins, settled
from nasrun.report.overview import Overview
from nasrun.report.policy import Preferences, panel_title
from nasrun.report.schema import Figure
from nasrun.report.sheet import Sheet
from nasrun.report.style import HIDDEN, WHISKERS
from nasrun.report.tables import described, notes, sheets, statistics_notes
from nasrun.report.tradeoff import LATENCY, Scatter
from nasrun.report.trials import Problem, Trials
from nasrun.spec import Metric
from nasrun.streams import Floats

ASSETS = Path(__file__).parent / "assets"
QUANTILES = np.linspace(0, 1, 101)  # of the sorted figure, which would otherwise hold every trial
DIGITS = 6  # significant ones
CELL_PX = 72  # to an inch of a drawn cell, so that its letters can be read
MOST_POINTS = 400  # of an algorithm in a scatter
Chart = dict[str, Any]
HINTS = {
    "boxes": "box: middle half of the trials; bar: median; line: 5% to 95%; circle: mean; "
    "diamond: published mean",
    "lines": "point at a figure to read it; a name hides and shows its line",
    "points": "dots: architectures; lines: fronts; dotted: the latency budget",
    "heat": "mean probability of each option when the search ended, over the trials",
    "ranks": "methods whose bars do not overlap differ at the 5% level (Nemenyi's test)",
}
# The browser itself enforces that nothing is fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(content: Content, jobs: Sequence[Job], edges: EdgesOf | None = None) -> str:
    """The text of ``report.html``; equal reports give equal text.

    Raises:
        DataError: a job's ``provenance.json`` cannot be read.
    """
    drawn = list(charts(content))
    sections = [
        ("Results", "".join(map(_table, sheets(content)))),
        ("Figures", "".join(_figure(i, chart) for i, chart in enumerate(drawn))),
        ("Winners", "".join(_winner(content, w, jobs, edges) for w in content.winners)),
        ("Notes", _list([*notes(content), *statistics_notes(content)])),
        ("Provenance", _origins(jobs)),
    ]
    return _page(content.title, _counts(content), sections, drawn)


def plain_page(title: str, count: str, tables: Sequence[Sheet], said: Sequence[str]) -> str:
    """The text of a page of tables and notes alone."""
    sections = [("Results", "".join(map(_table, tables))), ("Notes", _list(said))]
    return _page(title, escape(count), sections, [])


def _page(
    title: str, count: str, sections: Sequence[tuple[str, str]], drawn: Sequence[Chart]
) -> str:
    """The page of ``sections``, each a name and its HTML; ``count`` is HTML, too."""
    title = escape(title)
    shown = [(name, body) for name, body in sections if body]
    links = "".join(f'<a href="#{name.lower()}">{name}</a>' for name, _ in shown)
    bodies = "\n".join(
        f'<section id="{name.lower()}"><h2>{name}</h2>{body}</section>' for name, body in shown
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{_asset("page.css")}</style>
</head>
<body>
<header><h1>{title}</h1><p class="count">{count}</p><nav>{links}</nav></header>
<main>
{bodies}
</main>
<div id="tip" role="status" hidden></div>
<script type="application/json" id="charts">{_json(drawn)}</script>
<script>
{_asset("page.js")}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _counts(content: Content) -> str:
    trials = sum(len(t.seeds) * len(t.algorithms) for t in content.problems.values())
    counts = [(trials, "trial"), (len(content.played()), "method"), (len(content.problems), "task")]
    return " · ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in counts)


def _table(sheet: Sheet) -> str:
    head = "".join(
        f'<th scope="col"><button type="button">{escape(header)}</button></th>'
        for header in sheet.headers
    )
    rows = "".join(f"<tr>{''.join(_cells(sheet, at))}</tr>" for at in range(len(sheet.rows)))
    caption = f'<p class="caption">{escape(sheet.caption)}</p>' if sheet.caption else ""
    return (
        f"<h3>{escape(sheet.title)}</h3>{caption}"
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(sheet.title)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cells(sheet: Sheet, row: int) -> Iterator[str]:
    for number, text in enumerate(sheet.rows[row]):
        if number == 0:
            yield f'<th scope="row">{escape(text)}</th>'
        else:
            kind = ' class="text"' if number < sheet.texts else ""
            shown = f"<b>{escape(text)}</b>" if (row, number) in sheet.bold else escape(text)
            yield f"<td{kind}>{shown}</td>"


def _figure(number: int, chart: Chart) -> str:
    title = escape(chart["title"])
    hint = f"<figcaption>{escape(chart['hint'])}</figcaption>"
    return f'<h3>{title}</h3><figure class="chart" data-chart="{number}">{hint}</figure>'


def _winner(content: Content, winner: Winner, jobs: Sequence[Job], edges: EdgesOf | None) -> str:
    cell = winner_edges(winner, jobs, edges)
    picture = ""
    if cell is not None:
        light, dark = (_data(cell_picture(cell, theme=theme)) for theme in (LIGHT, DARK))
        text, width_px = escape(f"cell {winner.arch}"), round(CELL_PX * picture_width_in(cell))
        picture = (
            f'<div class="wide" tabindex="0" role="region" aria-label="{text}"><picture>'
            f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img class="cell" alt="{text}" width="{width_px}" src="{light}"></picture></div>'
        )
    said = _list(described(winner, content))
    name = escape(content.searched(winner.space, winner.search_task))
    return (
        f'<article class="winner"><h3>{name}</h3>{picture}'
        f"<p><code>{escape(winner.arch)}</code></p>{said}</article>"
    )


def _data(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"


def _origins(jobs: Sequence[Job]) -> str:
    parts: list[str] = []
    for name, values in origins(jobs):
        found = "".join(f"<li><code>{escape(value)}</code></li>" for value in values)
        shown = f"<ul>{found}</ul>"
        if len(values) > 3:
            shown = f"<details><summary>{len(values)} different ones</summary>{shown}</details>"
        parts.append(f"<dt>{name}</dt><dd>{shown}</dd>")
    return f"<dl>{''.join(parts)}</dl>" if parts else ""


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def charts(content: Content) -> Iterator[Chart]:
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
        elif kind is Figure.anytime and content.curves:
            yield _chart(content, "lines", "Anytime performance", _anytime(content))
        elif kind is Figure.tradeoff and content.scatters:
            panels = [_points(content, scatter) for scatter in content.scatters]
            yield _chart(content, "points", "Score against latency", panels)
        elif kind is Figure.policy and content.policies:
            panels = [_heat(content, *item) for item in content.policies.items()]
            yield _chart(content, "heat", "What policies and logits became", panels)
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
    published, known = content.published_means(problem), dict(trials.known())
    rows: list[Chart] = []
    for name in content.by_rank():
        if name in known:
            marks = np.percentile(known[name], [WHISKERS[0], 25, 50, 75, WHISKERS[1]])
            rows.append(
                {
                    "name": content.label(name), "n": len(known[name]),
                    "mean": _value(known[name].mean()), "marks": _values(marks),
                    "published": _value(published.get(name, np.nan)),
                }
            )  # fmt: skip
    return {"title": content.name(problem), "x": trials.metric.title, "rows": rows}


def _sorted(content: Content, problem: Problem, trials: Trials) -> Chart:
    series = [
        _line(content.label(name), 100 * QUANTILES, _from_worst(trials.metric, figures))
        for name, figures in trials.known()
    ]
    return {
        "title": content.name(problem), "x": "trials, sorted, %", "y": trials.metric.title,
        "range": _values(np.array(trials.shown_range(HIDDEN))), "series": series,
    }  # fmt: skip


def _from_worst(metric: Metric, figures: Floats) -> Floats:
    """Figures at the ``QUANTILES``, the worst one first."""
    return metric.oriented(np.quantile(metric.oriented(figures), QUANTILES))


def _anytime(content: Content) -> list[Chart]:
    """A panel per searched task and abscissa."""
    panels: list[Chart] = []
    for way, x in enumerate(("evaluations", content.clock)):
        for title, both in content.searches().items():
            found = {name: curves[way] for name, curves in both.items()}
            if any(len(curve.x) for curve in found.values()):
                lines = [
                    _line(content.label(name), curve.x, curve.mean, curve.low, curve.high)
                    for name, curve in found.items()
                ]
                shown = _values(np.array(settled(list(found.values()))))
                y = next(iter(found.values())).y
                panels.append({"title": title, "x": x, "y": y, "range": shown, "series": lines})
    return panels


def _points(content: Content, scatter: Scatter) -> Chart:
    series: list[Chart] = []
    for name, points in scatter.points.items():
        # Evenly over the latencies, by which they are sorted; the front is whole.
        kept = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).astype(int))
        front = scatter.fronts[name]
        series.append(
            {
                "name": content.label(name), "x": _values(points[kept, 0]),
                "y": _values(points[kept, 1]), "frontX": _values(front[:, 0]),
                "frontY": _values(front[:, 1]),
            }
        )  # fmt: skip
    return {
        "title": scatter.title, "x": LATENCY.title, "y": scatter.metric.title,
        "range": list(scatter.shown_range), "budgets": list(scatter.budgets_ms), "series": series,
    }  # fmt: skip


def _heat(content: Content, search: Search, found: Preferences) -> Chart:
    return {
        "title": panel_title(content, search), "x": "option", "y": "decision",
        "options": list(found.options), "shares": [_values(row) for row in found.shares],
        "certain": _values(found.certain),
    }  # fmt: skip


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
            content.label(name), found.profiles.thresholds,
            *(100 * part[i] for part in found.profiles.bands()),
        )
        for i, name in enumerate(found.algorithms)
    ]  # fmt: skip
    share = "trials with at least this score, %"
    return {
        "title": "all tasks",
        "x": "normalised score",
        "y": share,
        "range": [0, 100],
        "series": lines,
    }


def _line(label: str, x: Floats, y: Floats, *band: Floats) -> Chart:
    return {
        "name": label, "x": _values(x), "y": _values(y),
        "low": _values(band[0]) if band else [], "high": _values(band[1]) if band else [],
    }  # fmt: skip


def _values(figures: Floats) -> list[float | None]:
    return [_value(figure) for figure in figures]


def _value(figure: float) -> float | None:
    return float(f"{figure:.{DIGITS}g}") if np.isfinite(figure) else None
