"""Demšar's critical-difference diagram: average ranks, and which methods do not differ."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.canvas import STYLE, pictures
from nasrun.report.content import Content
from nasrun.report.overview import Overview

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALE_IN = 3.6  # length of the scale
LETTER_IN = 0.082  # width of a letter of a name
NUMBER_IN = 0.62  # width of an average rank beside its name, with gaps
ROW_IN = 0.24
HEAD_IN = 0.95  # the scale and the bar of the critical difference
INK, BAR = "#1A1A1A", "#D55E00"


def rank_figure(content: Content, found: Overview) -> Mapping[str, bytes]:
    """Rank 1 on the left; thick bars join methods that Nemenyi's test cannot tell apart."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        order = found.by_rank()
        names = [content.label(found.algorithms[i]) for i in order]
        groups = found.ranking.groups()
        rows = (len(order) + 1) // 2
        height = HEAD_IN + ROW_IN * (rows + 0.6 * len(groups) + 0.5)
        margin = NUMBER_IN + LETTER_IN * max(map(len, names))
        figure = Figure(figsize=(SCALE_IN + 2 * margin, height))
        panel = figure.add_axes((0, 0, 1, 1))
        low, high = _scale(found)
        room = margin / SCALE_IN * (high - low)
        panel.set(xlim=(low - room, high + room), ylim=(height, 0))  # inches from the top
        panel.set_axis_off()
        _axis(panel, low, high, found.ranking.critical_difference)
        below = _bars(panel, found.ranking.ranks[order], groups)
        _names(panel, names, found.ranking.ranks[order], below, (low, high))
        return pictures(figure)


def _scale(found: Overview) -> tuple[float, float]:
    """Whole ranks around all average ranks."""
    ranks = found.ranking.ranks
    return float(np.floor(ranks.min())), float(max(np.ceil(ranks.max()), np.floor(ranks.min()) + 1))


def _axis(panel: "Axes", low: float, high: float, critical_difference: float) -> None:
    y = HEAD_IN - 0.25
    panel.plot([low, high], [y, y], color=INK, lw=1.2)
    for rank in np.arange(low, high + 0.5):
        panel.plot([rank, rank], [y - 0.07, y], color=INK, lw=1.2)
        panel.text(rank, y - 0.11, f"{rank:g}", ha="center", va="bottom", size=9)
    end = min(low + critical_difference, high)  # so that the figure holds it
    panel.plot([low, end], [0.22, 0.22], color=BAR, lw=2, solid_capstyle="butt")
    text = f"critical difference {critical_difference:.2f}"
    panel.text(end, 0.22, f"  {text}", ha="left", va="center", size=9, color=BAR)


def _bars(panel: "Axes", ranks: np.ndarray, groups: list[tuple[int, int]]) -> float:
    """The bars of the groups; returns where the names may begin."""
    y = HEAD_IN - 0.25
    for first, last in groups:
        y += 0.6 * ROW_IN
        panel.plot([ranks[first], ranks[last]], [y, y], color=BAR, lw=4, solid_capstyle="round")
    return y


def _names(
    panel: "Axes", names: list[str], ranks: np.ndarray, below: float, scale: tuple[float, float]
) -> None:
    """The better half on the left, the others on the right, the outermost on top."""
    low, high = scale
    room, half = 0.04 * (high - low), (len(names) + 1) // 2
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        left = place < half
        row = place if left else len(names) - 1 - place
        y = below + ROW_IN * (row + 1)
        end = low - room if left else high + room
        panel.plot([rank, rank, end], [HEAD_IN - 0.25, y, y], color="#808080", lw=0.8)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        side = -0.3 * room if left else 0.3 * room
        panel.text(end + side, y, text, ha="right" if left else "left", va="center", size=9)
