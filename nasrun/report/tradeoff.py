"""Searches with hardware: score against latency, the fronts, and the latency budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.jobs import Search
from nasrun.report.pareto import Row, pareto_front
from nasrun.report.schema import FIGURES, measure
from nasrun.report.style import MARKERS, empty, legend_below, line_style
from nasrun.report.trials import AIM, Problem, Trials, budget_ms, names_by_space
from nasrun.spec import Metric, metric_named
from nasrun.streams import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from pandas import DataFrame

    from nasrun.report.content import Content

LATENCY = FIGURES["latency_ms"]
PANEL_IN = (3.8, 3.2)
LEGEND_IN = 0.6
HIDDEN = 0.1  # share of the worst points that may lie outside a panel


@dataclass(frozen=True)
class Scatter:
    """Score against latency of different architectures, by algorithm.

    ``points`` and ``fronts`` are ``(n, 2)`` latencies in ms and scores in the ``metric``; no point
    of a front is slower than another without being better. ``budgets_ms``: what the searches aimed
    at.
    """

    title: str
    metric: Metric
    points: Mapping[str, Floats]
    fronts: Mapping[str, Floats]
    budgets_ms: tuple[float, ...]

    @property
    def shown_range(self) -> tuple[float, float]:
        """Lowest and highest score shown: without the worst tenth, whose like nobody looks for."""
        scores = np.concatenate([own[:, 1] for own in self.points.values()])
        oriented = self.metric.oriented(scores)
        ends = np.array([np.quantile(oriented, HIDDEN), oriented.max()])
        low, high = sorted(self.metric.oriented(ends).tolist())
        return low, high


def scatters(
    frame: "DataFrame", problems: Mapping[Problem, Trials], fronts: Sequence[Row], figure: str
) -> list[Scatter]:
    """What the trials found, by problem, then the fronts of their searches, by searched task.

    ``frame``: rows of the trials; ``fronts``: those of ``pareto.csv``.
    """
    return [*_found(frame, problems, figure), *_searched(frame, fronts)]


def _found(
    frame: "DataFrame", problems: Mapping[Problem, Trials], figure: str
) -> Iterator[Scatter]:
    names = names_by_space((each.space, str(each)) for each in problems)
    for problem, trials in problems.items():
        pairs = zip(trials.algorithms, trials.latency_ms, trials.figures, strict=True)
        points = {name: np.stack([ms, scores], axis=1) for name, ms, scores in pairs}
        budgets = _budgets(frame, problem.space, problem.search_task)
        title = f"{names[problem.space, str(problem)]}: found"
        if made := _scatter(title, trials.metric, points, budgets):
            yield made


def _searched(frame: "DataFrame", fronts: Sequence[Row]) -> Iterator[Scatter]:
    by_task: dict[tuple[str, str, str], dict[str, list[list[float]]]] = {}
    for row in fronts:
        if row["latency_ms"] and row["val_score"]:
            search = Search(row["space"], row["search_task"], row["algorithm"])
            own = by_task.setdefault((search.space, search.search_task, row["metric"]), {})
            point = [float(row["latency_ms"]), float(row["val_score"])]
            own.setdefault(search.algorithm, []).append(point)
    names = names_by_space((space, task) for space, task, _ in by_task)
    for (space, task, name), found in by_task.items():
        metric = measure("val_score", metric_named(name).name)
        points = {algorithm: np.array(own) for algorithm, own in found.items()}
        title = f"{names[space, task]}: fronts of the trials"
        made = _scatter(title, metric, points, _budgets(frame, space, task))
        if made:
            yield made


def _scatter(
    title: str, metric: Metric, points: Mapping[str, Floats], budgets_ms: tuple[float, ...]
) -> Scatter | None:
    """The scatter of what is known and different; None where nothing is."""
    known = {name: own[~np.isnan(own).any(axis=1)] for name, own in points.items()}
    known = {name: np.unique(own, axis=0) for name, own in known.items() if len(own)}
    fronts = {name: _front(own, metric) for name, own in known.items()}
    return Scatter(title, metric, known, fronts, budgets_ms) if known else None


def _front(points: Floats, metric: Metric) -> Floats:
    """Those that no other beats, the fastest first."""
    values = np.stack([metric.oriented(points[:, 1]), -points[:, 0]], axis=1)
    return points[pareto_front(values)]


def _budgets(frame: "DataFrame", space: str, task: str) -> tuple[float, ...]:
    """Limits, or without one targets, of the searches of a task."""
    columns = [name for name in ("space", "search_task", *AIM) if name in frame.columns]
    rows = frame[columns].drop_duplicates().to_dict("records")  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    own = [row for row in rows if (row["space"], row["search_task"]) == (space, task)]
    found = {budget_ms(row) for row in own}
    return tuple(sorted(budget for budget in found if not np.isnan(budget)))


def tradeoff_figure(content: "Content") -> "Drawing":
    """A panel per scatter: dots are architectures, lines fronts, the dotted line is the budget."""
    columns = min(3, len(content.scatters))
    rows = -(-len(content.scatters) // columns)
    size = (PANEL_IN[0] * columns, PANEL_IN[1] * rows + LEGEND_IN)
    figure = empty(size)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, scatter in zip(panels, content.scatters, strict=False):
        _draw(panel, scatter, content)
    for panel in list(figure.axes)[len(content.scatters) :]:
        panel.set_axis_off()
    legend_below(figure, figure.axes, size[0])
    return figure


def _draw(panel: "Axes", scatter: Scatter, content: "Content") -> None:
    for name, points in scatter.points.items():
        place = content.place(name)
        style = line_style(place)
        marker = MARKERS[place % len(MARKERS)]
        panel.scatter(*points.T, s=14, marker=marker, color=style["color"], alpha=0.45, lw=0)
        front = _stairs(scatter.fronts[name])
        panel.plot(*front.T, label=content.label(name), lw=1.6, **style)
    for number, budget in enumerate(scatter.budgets_ms):
        label = None if number else "latency budget"
        panel.axvline(budget, color="black", lw=1.0, ls=(0, (1, 2)), label=label)
    low, high = scatter.shown_range
    if high > low:
        room = 0.06 * (high - low)
        panel.set_ylim(low - room, high + room)
    panel.set_title(scatter.title, fontweight="bold", fontsize=10)
    panel.set(xlabel=LATENCY.title, ylabel=scatter.metric.title)


def _stairs(front: Floats) -> Floats:
    """``(2k - 1, 2)`` corners of what a front ``(k, 2)`` dominates."""
    return np.stack([np.repeat(front[:, 0], 2)[1:], np.repeat(front[:, 1], 2)[:-1]], axis=1)
