"""The figures of a report as PNG and SVG: boxes, sorted trials, curves, profiles, ranks."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from nasrun.report.content import Content
from nasrun.report.jobs import Curve, settled
from nasrun.report.overview import Overview
from nasrun.report.policy import policy_figure
from nasrun.report.schema import Figure
from nasrun.report.style import (
    HIDDEN,
    STYLE,
    WHISKERS,
    empty,
    legend_below,
    line_style,
    pictures,
)
from nasrun.report.tradeoff import tradeoff_figure
from nasrun.report.trials import Problem, Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

BOX, INK, MEAN, MARK = "#56B4E9", "#1A1A1A", "#0B3C5D", "#D55E00"
PANEL_IN = (3.4, 3.0)  # of a panel of curves
BOX_WIDTH_IN = 2.8  # of a panel of boxes
ROW_IN, FRAME_IN = 0.34, 1.25  # height of a row of boxes, and of title, axis and legend
LEGEND_IN = 0.6
MOST_COLUMNS = 5  # panels side by side

_Searched = tuple[str, dict[str, tuple[Curve, Curve]]]  # a task, and each method's curves


def draw(kind: Figure, content: Content) -> Mapping[str, bytes]:
    """A figure as PNG and SVG bytes, by suffix; none where there is nothing to draw.

    ``ranks`` and ``profile`` need the statistics, which two algorithms with complete trials make.
    """
    makers: dict[Figure, Callable[[], Drawing]] = {
        Figure.box: lambda: _box_figure(content),
        Figure.sorted: lambda: _sorted_figure(content),
        Figure.anytime: lambda: _anytime_figure(content),
    }
    if content.scatters:
        makers[Figure.tradeoff] = lambda: tradeoff_figure(content)
    if content.policies:
        makers[Figure.policy] = lambda: policy_figure(content)
    if (found := content.overview) is not None:
        makers[Figure.profile] = lambda: _profile_figure(content, found)
        makers[Figure.ranks] = lambda: _rank_figure(content, found)
    if kind not in makers:
        return {}
    with matplotlib.rc_context(STYLE):
        return pictures(makers[kind]())


def _grid(panels: int) -> tuple[int, int]:
    """Rows and columns of so many panels, in rows that a page is wide enough for."""
    rows = -(-panels // MOST_COLUMNS)
    return max(rows, 1), max(-(-panels // max(rows, 1)), 1)


def _filled(grid: "np.ndarray", count: int) -> "list[Axes]":
    """The first ``count`` panels of a grid, row by row; the others are not drawn."""
    for panel in grid.flat[count:]:
        panel.set_visible(False)
    return list(grid.flat[:count])


def _curve(panel: "Axes", curve: Curve, label: str, place: int) -> None:
    style = line_style(place)
    panel.plot(curve.x, curve.mean, label=label, lw=1.6, **style)
    panel.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=0.22, lw=0)


def _box_figure(content: Content) -> "Drawing":
    """One panel per problem, one box per algorithm, best overall mean rank on top.

    A box spans the quartiles of the trials and its whiskers the 5th to the 95th percentile; dots
    are means, diamonds published means.
    """
    order = content.by_rank()
    # Long names get room of their own, which panels and the labels below them would lack.
    names_in = max(1.0, LETTER_IN * max(len(content.label(name)) for name in order))
    rows, columns = _grid(len(content.problems))
    size = (BOX_WIDTH_IN * columns + names_in, rows * (ROW_IN * len(order) + FRAME_IN))
    figure = empty(size)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    panels = _filled(grid, len(content.problems))
    for panel, (problem, trials) in zip(panels, content.problems.items(), strict=True):
        _boxes(panel, trials, order)
        _published_means(panel, content, problem, order)
        panel.set_title(content.name(problem), fontweight="bold", fontsize=10)
        panel.set(xlabel=trials.metric.title, ylim=(-0.6, len(order) - 0.4))
        panel.spines["left"].set_visible(False)
        panel.tick_params(axis="y", length=0)
        panel.grid(visible=False, axis="y")
    panels[0].set_yticks(range(len(order)), [content.label(name) for name in order])
    panels[0].invert_yaxis()
    legend_below(figure, panels, size[0])
    return figure


def _boxes(panel: "Axes", trials: Trials, order: Sequence[str]) -> None:
    known = [(order.index(name), figures) for name, figures in trials.known()]
    if not known:
        return
    places, figures = zip(*known, strict=True)
    line = {"color": MEAN, "linewidth": 0.8}
    panel.boxplot(
        figures, positions=places, orientation="horizontal", widths=0.62,
        whis=WHISKERS, showfliers=False, patch_artist=True, manage_ticks=False,
        boxprops={"facecolor": BOX, "edgecolor": MEAN, "linewidth": 0.8},
        medianprops={"color": MEAN, "linewidth": 1.6}, whiskerprops=line, capprops=line,
    )  # fmt: skip
    panel.scatter(
        [float(sample.mean()) for sample in figures], places, s=22, color="white",
        edgecolors=MEAN, linewidths=1.2, zorder=6, label="mean of our trials",
    )  # fmt: skip


def _published_means(
    panel: "Axes", content: Content, problem: Problem, order: Sequence[str]
) -> None:
    means = content.published_means(problem)
    if means:
        panel.scatter(
            list(means.values()), [order.index(name) for name in means], s=60, marker="D",
            color=MARK, edgecolors="white", linewidths=0.8, zorder=5, label="published mean",
        )  # fmt: skip


def _sorted_figure(content: Content) -> "Drawing":
    """One panel per problem, after CATCH's Figures 3 and 5; a thin line marks the table's best."""
    count = len(content.problems)
    rows, columns = _grid(count)
    size = (PANEL_IN[0] * columns, PANEL_IN[1] * rows + LEGEND_IN)
    figure = empty(size)
    panels = _filled(figure.subplots(rows, columns, squeeze=False), count)
    for panel, (problem, trials) in zip(panels, content.problems.items(), strict=True):
        for name, found in trials.known():
            style = line_style(content.place(name))
            x = np.arange(1, len(found) + 1)
            panel.plot(x, found, label=content.label(name), lw=1.8, **style)
        best = trials.figures[trials.table_rank == 1]
        if len(best):
            panel.axhline(best[0], color="black", lw=0.7, ls=":", label="rank 1 in the table")
        _fit(panel, *trials.shown_range(HIDDEN))
        panel.set_title(content.name(problem), fontweight="bold", fontsize=10)
        panel.set_xlabel("trials, sorted")
    names = [trials.metric.title for trials in content.problems.values()]
    for first in range(0, count, columns):
        _name_once(panels[first : first + columns], names[first : first + columns])
    legend_below(figure, panels, size[0])
    return figure


def _name_once(panels: Sequence["Axes"], names: Sequence[str]) -> None:
    """Name the ordinate of each panel that does not share it with its left neighbour."""
    for panel, name, before in zip(panels, names, ["", *names], strict=False):
        if name != before:
            panel.set_ylabel(name)


def _fit(panel: "Axes", low: float, high: float) -> None:
    """Spend the panel's height where methods differ."""
    if high > low:
        room = 0.045 * (high - low)
        panel.set_ylim(low - room, high + room)


def _anytime_figure(content: Content) -> "Drawing":
    """A panel per searched task, against evaluations, and one below it, against hours.

    Where no search of a row knows its costs there are no panels below it, and where those of one
    task do not, its panel says so.
    """
    searched = list(content.searches().items())
    _, columns = _grid(len(searched))
    rows = [searched[first : first + columns] for first in range(0, len(searched), columns)]
    lines: list[tuple[int, list[_Searched]]] = []  # against evaluations, 0, or hours, 1
    for row in rows:
        lines.append((0, row))
        if any(len(both[1].x) for _, found in row for both in found.values()):
            lines.append((1, row))
    size = (PANEL_IN[0] * columns, len(lines) * PANEL_IN[1] + LEGEND_IN)
    figure = empty(size)
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for number, (against, row) in enumerate(lines):
        panels = _filled(grid[number : number + 1], len(row))
        for at, (panel, (task, found)) in enumerate(zip(panels, row, strict=True)):
            curves = {name: both[against] for name, both in found.items()}
            _curves(panel, content, curves, ("evaluations", content.clock)[against])
            if against:
                panel.sharey(grid[number - 1, at])
            else:
                _fit(panel, *settled(list(curves.values())))
                panel.set_title(task, fontweight="bold", fontsize=10)
        reached = [next((curve.y for curve, _ in found.values()), "") for _, found in row]
        _name_once(panels, reached)
    legend_below(figure, grid.flat, size[0])
    return figure


def _curves(panel: "Axes", content: Content, curves: Mapping[str, Curve], against: str) -> None:
    for name, curve in curves.items():
        _curve(panel, curve, content.label(name), content.place(name))
    panel.set_xlabel(against)
    if not any(len(curve.x) for curve in curves.values()):
        panel.set_axis_off()
        panel.text(0.5, 0.5, "costs unknown", transform=panel.transAxes, ha="center")


def _profile_figure(content: Content, found: Overview) -> "Drawing":
    """Share of trials that reach a score, one line per algorithm, with 95% intervals."""
    size = (5.2, 3.9)
    figure = empty(size)
    panel = figure.subplots()
    for i, name in enumerate(found.algorithms):
        shares, low, high = (100 * part[i] for part in found.profiles.bands())
        curve = Curve(found.profiles.thresholds, shares, low, high)
        _curve(panel, curve, content.label(name), content.place(name))
    panel.set(xlabel="normalised score", ylabel="trials with at least this score, %", ylim=(0, 102))
    legend_below(figure, [panel], size[0])
    return figure


SCALE_IN = 3.6  # length of the scale of ranks
LETTER_IN = 0.082  # width of a letter of a name
NUMBER_IN = 0.62  # width of an average rank beside its name, with gaps
NAME_IN = 0.24  # height of a name
HEAD_IN = 0.95  # the scale and the bar of the critical difference
SCALE_Y = HEAD_IN - 0.25


def _rank_figure(content: Content, found: Overview) -> "Drawing":
    """Demšar's critical-difference diagram: rank 1 on the left.

    Thick bars join methods that Nemenyi's test cannot tell apart.
    """
    order = found.by_rank()
    names = [content.label(found.algorithms[i]) for i in order]
    ranks, groups = found.ranking.ranks[order], found.ranking.groups()
    height = HEAD_IN + NAME_IN * ((len(order) + 1) // 2 + 0.6 * len(groups) + 0.5)
    margin = NUMBER_IN + LETTER_IN * max(map(len, names))
    figure = empty((SCALE_IN + 2 * margin, height), layout=None)
    panel = figure.add_axes((0, 0, 1, 1))
    low = float(np.floor(ranks.min()))
    high = float(max(np.ceil(ranks.max()), low + 1))
    room = margin / SCALE_IN * (high - low)
    panel.set(xlim=(low - room, high + room), ylim=(height, 0))  # inches from the top
    panel.set_axis_off()
    _rank_scale(panel, low, high, found.ranking.critical_difference)
    y = SCALE_Y
    for first, last in groups:
        y += 0.6 * NAME_IN
        panel.plot([ranks[first], ranks[last]], [y, y], color=MARK, lw=4, solid_capstyle="round")
    _rank_names(panel, names, ranks, y, (low, high))
    return figure


def _rank_scale(panel: "Axes", low: float, high: float, critical_difference: float) -> None:
    panel.plot([low, high], [SCALE_Y, SCALE_Y], color=INK, lw=1.2)
    for rank in np.arange(low, high + 0.5):
        panel.plot([rank, rank], [SCALE_Y - 0.07, SCALE_Y], color=INK, lw=1.2)
        panel.text(rank, SCALE_Y - 0.11, f"{rank:g}", ha="center", va="bottom", size=9)
    end = min(low + critical_difference, high)  # so that the figure holds it
    panel.plot([low, end], [0.22, 0.22], color=MARK, lw=2, solid_capstyle="butt")
    text = f"critical difference {critical_difference:.2f}"
    panel.text(end, 0.22, f"  {text}", ha="left", va="center", size=9, color=MARK)


def _rank_names(
    panel: "Axes", names: list[str], ranks: np.ndarray, below: float, scale: tuple[float, float]
) -> None:
    """The better half on the left, the others on the right, the outermost on top."""
    low, high = scale
    room, half = 0.04 * (high - low), (len(names) + 1) // 2
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        left = place < half
        row = place if left else len(names) - 1 - place
        y = below + NAME_IN * (row + 1)
        end = low - room if left else high + room
        panel.plot([rank, rank, end], [SCALE_Y, y, y], color="#808080", lw=0.8)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        side = -0.3 * room if left else 0.3 * room
        panel.text(end + side, y, text, ha="right" if left else "left", va="center", size=9)
