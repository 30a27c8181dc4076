"""The metric of all trials as boxes, one per algorithm."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.report.canvas import STYLE, legend_below, pictures
from nasrun.report.compare import Line
from nasrun.report.content import Content
from nasrun.report.trials import Trials
from nasrun.streams import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: the three differ for every kind of colour vision, and in lightness.
BOX, MEAN, PUBLISHED = "#56B4E9", "#0B3C5D", "#D55E00"
WIDTH_IN = 2.8  # of a panel
ROW_IN, FRAME_IN = 0.34, 1.25  # height of an algorithm, and of title, axis and legend
WHISKERS = (5, 95)  # percentiles
BOX_STYLE: dict[Any, Any] = {
    **STYLE, "axes.spines.left": False, "axes.grid.axis": "x", "ytick.major.size": 0,
}  # fmt: skip


def box_figure(content: Content) -> Mapping[str, bytes]:
    """One panel per problem, one box per algorithm, best overall mean rank on top.

    A box spans the quartiles of the trials and its whiskers the 5th to the 95th percentile; dots
    are means, diamonds published means.
    """
    import matplotlib

    with matplotlib.rc_context(BOX_STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        order = content.by_rank()
        size = (WIDTH_IN * len(content.problems) + 1, ROW_IN * len(order) + FRAME_IN)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(content.problems), sharey=True, squeeze=False)[0]
        for panel, (problem, trials) in zip(panels, content.problems.items(), strict=True):
            lines = [line for line in content.lines if line.problem == problem]
            _panel(panel, trials, lines, order)
            panel.set_title(str(problem), fontweight="bold", fontsize=10)
            panel.set_xlabel(content.report.unit)
        panels[0].set_yticks(range(len(order)), [content.label(name) for name in order])
        panels[0].invert_yaxis()
        legend_below(figure, panels, size[0])
        return pictures(figure)


def _panel(panel: "Axes", trials: Trials, lines: Sequence[Line], order: Sequence[str]) -> None:
    known = {
        name: figures[~np.isnan(figures)]
        for name, figures in zip(trials.algorithms, trials.figures, strict=True)
    }
    places = [i for i, name in enumerate(order) if len(known[name])]
    if places:
        _boxes(panel, places, [known[order[i]] for i in places])
    _published_means(
        panel, [line for line in lines if line.published and line.algorithm in known], order
    )
    panel.set_ylim(-0.6, len(order) - 0.4)


def _boxes(panel: "Axes", places: Sequence[int], figures: Sequence[Floats]) -> None:
    panel.boxplot(
        figures, positions=places, orientation="horizontal", widths=0.62,
        whis=WHISKERS, showfliers=False, patch_artist=True, manage_ticks=False,
        boxprops={"facecolor": BOX, "edgecolor": MEAN, "linewidth": 0.8},
        medianprops={"color": MEAN, "linewidth": 1.6},
        whiskerprops={"color": MEAN, "linewidth": 0.8}, capprops={"color": MEAN, "linewidth": 0.8},
    )  # fmt: skip
    panel.scatter(
        [float(sample.mean()) for sample in figures], places, s=22, color="white",
        edgecolors=MEAN, linewidths=1.2, zorder=6, label="mean of our trials",
    )  # fmt: skip


def _published_means(panel: "Axes", lines: Sequence[Line], order: Sequence[str]) -> None:
    if lines:
        panel.scatter(
            [line.published.mean for line in lines if line.published],
            [order.index(line.algorithm) for line in lines], s=60, marker="D", color=PUBLISHED,
            edgecolors="white", linewidths=0.8, zorder=5, label="published mean",
        )  # fmt: skip
