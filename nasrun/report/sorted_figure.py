"""What every trial found, trials in ascending order, one line per algorithm."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.canvas import STYLE, legend_below, line_style, pictures
from nasrun.report.content import Content
from nasrun.report.trials import Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_IN = (3.4, 3.3)
LEGEND_IN = 0.6
HIDDEN = 0.02  # share of the worst trials that may fall below the panel


def sorted_figure(content: Content) -> Mapping[str, bytes]:
    """One panel per problem, after CATCH's Figures 3 and 5; a thin line marks the table's best."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        count = len(content.problems)
        size = (PANEL_IN[0] * count, PANEL_IN[1] + LEGEND_IN)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, count, squeeze=False)[0]
        for panel, (problem, trials) in zip(panels, content.problems.items(), strict=True):
            _panel(panel, trials, content)
            panel.set_title(str(problem), fontweight="bold", fontsize=10)
            panel.set_xlabel("trials, sorted")
        panels[0].set_ylabel(content.report.unit)
        legend_below(figure, panels, size[0])
        return pictures(figure)


def _panel(panel: "Axes", trials: Trials, content: Content) -> None:
    floor = np.inf
    for name, figures in zip(trials.algorithms, trials.figures, strict=True):
        found = np.sort(figures[~np.isnan(figures)])
        if len(found):
            count = np.arange(1, len(found) + 1)
            style = line_style(content.place(name))
            panel.plot(count, found, label=content.label(name), lw=1.8, **style)
            floor = min(floor, float(np.quantile(found, HIDDEN)))
    best = trials.figures[trials.table_rank == 1]
    ceiling = float(np.nanmax(trials.figures)) if np.isfinite(floor) else np.nan
    if len(best):
        panel.axhline(best[0], color="black", lw=0.7, ls=":", label="best of the table")
    if ceiling > floor:
        room = 0.04 * (ceiling - floor)
        panel.set_ylim(floor - room, ceiling + room)
