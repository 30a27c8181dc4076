"""A report as one HTML page that needs no network: tables, figures, winners, provenance."""

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from nasrun.report.anytime import Curves
from nasrun.report.charts import Chart, charts
from nasrun.report.content import Content, notes, statistics_notes
from nasrun.report.draw import cell_picture
from nasrun.report.jobs import Job
from nasrun.report.origins import origins
from nasrun.report.sheets import Sheet, sheets
from nasrun.report.winners import EdgesOf, Winner, described, winner_edges

ASSETS = Path(__file__).parent / "assets"
# The browser itself enforces that nothing is fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(
    content: Content, curves: Curves, jobs: Sequence[Job], edges: EdgesOf | None = None
) -> str:
    """The text of ``report.html``; equal reports give equal text.

    Raises:
        DataError: a job's ``provenance.json`` cannot be read.
    """
    title = escape(content.report.title)
    drawn = list(charts(content, curves))
    sections = [
        ("Results", "".join(map(_table, sheets(content)))),
        ("Figures", "".join(_figure(i, chart) for i, chart in enumerate(drawn))),
        ("Winners", "".join(_winner(content, w, jobs, edges) for w in content.winners)),
        ("Notes", _list([*notes(content), *statistics_notes(content)])),
        ("Provenance", _origins(jobs)),
    ]
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
<header><h1>{title}</h1><p class="count">{_counts(content)}</p><nav>{links}</nav></header>
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
    rows = "".join(f"<tr>{''.join(_cells(sheet, row))}</tr>" for row in sheet.rows)
    return (
        f"<h3>{escape(sheet.title)}</h3>"
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(sheet.title)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cells(sheet: Sheet, row: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(row):
        if number == 0:
            yield f'<th scope="row">{escape(text)}</th>'
        else:
            kind = ' class="text"' if number < sheet.texts else ""
            yield f"<td{kind}>{escape(text)}</td>"


def _figure(number: int, chart: Chart) -> str:
    title = escape(chart["title"])
    hint = f"<figcaption>{escape(chart['hint'])}</figcaption>"
    return f'<h3>{title}</h3><figure class="chart" data-chart="{number}">{hint}</figure>'


def _winner(content: Content, winner: Winner, jobs: Sequence[Job], edges: EdgesOf | None) -> str:
    cell = winner_edges(winner, jobs, edges)
    picture = ""
    if cell is not None:
        data = base64.b64encode(cell_picture(cell)).decode()
        text = escape(f"cell {winner.arch}")
        picture = f'<img class="cell" alt="{text}" src="data:image/svg+xml;base64,{data}">'
    said = _list(described(winner, content.label, content.report.unit))
    return (
        f'<article class="winner"><h3>{escape(winner.search_task)}</h3>{picture}'
        f"<p><code>{escape(winner.arch)}</code></p>{said}</article>"
    )


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
