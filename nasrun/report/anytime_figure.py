"""The best reward so far while searches go on, against evaluations and against hours."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nasrun.report.anytime import Curve, Curves, settled
from nasrun.report.canvas import STYLE, legend_below, line_style, pictures
from nasrun.report.content import Content
from nasrun.report.jobs import Search
from nasrun.report.trials import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_IN = (3.4, 2.7)
LEGEND_IN = 0.6


def anytime_figure(content: Content, curves: Curves) -> Mapping[str, bytes]:
    """Two rows of panels, one column per searched task: evaluations above, hours below."""
    import matplotlib

    searched = {(p.space, p.search_task): p for p in content.problems}  # scored tasks share it
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        size = (PANEL_IN[0] * len(searched), 2 * PANEL_IN[1] + LEGEND_IN)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(2, len(searched), squeeze=False, sharey="col")
        for column, problem in zip(panels.T, searched.values(), strict=True):
            _column(column, problem, content, curves)
        for row in panels:
            row[0].set_ylabel("best reward so far")
        legend_below(figure, panels.flat, size[0])
        return pictures(figure)


def _column(panels: Sequence["Axes"], problem: Problem, content: Content, curves: Curves) -> None:
    panels[0].set_title(problem.search_task, fontweight="bold", fontsize=10)
    drawn: list[Curve] = []
    for name in content.problems[problem].algorithms:
        search = Search(problem.space, problem.search_task, name)
        if search not in curves:
            continue
        style = line_style(content.place(name))
        for panel, curve in zip(panels, curves[search], strict=True):
            panel.plot(curve.x, curve.mean, label=content.label(name), lw=1.6, **style)
            panel.fill_between(
                curve.x, curve.low, curve.high, color=style["color"], alpha=0.25, lw=0
            )
        drawn.append(curves[search][0])
    panels[0].set_xlabel("evaluations")
    panels[1].set_xlabel("hours of the search, as charged")
    _fit(panels[0], drawn)


def _fit(panel: "Axes", curves: Sequence[Curve]) -> None:
    """Spend the panel's height where methods differ, not on the first random architectures."""
    low, high = settled(curves)
    if high > low:
        room = 0.05 * (high - low)
        panel.set_ylim(low - room, high + room)
