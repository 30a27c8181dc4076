"""Performance profiles of all methods over all tasks."""

from collections.abc import Mapping

from nasrun.report.canvas import STYLE, legend_below, line_style, pictures
from nasrun.report.content import Content
from nasrun.report.overview import Overview

SIZE_IN = (5.2, 3.9)


def profile_figure(content: Content, found: Overview) -> Mapping[str, bytes]:
    """Share of trials that reach a score, one line per algorithm, with 95% intervals."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        figure = Figure(figsize=SIZE_IN, layout="constrained")
        panel = figure.subplots()
        curves = found.profiles
        for i, name in enumerate(found.algorithms):
            style = line_style(content.place(name))
            x = curves.thresholds
            panel.plot(x, 100 * curves.shares[i], label=content.label(name), lw=1.6, **style)
            panel.fill_between(
                x, 100 * curves.low[i], 100 * curves.high[i], color=style["color"], alpha=0.2, lw=0
            )
        panel.set_xlabel("score")
        panel.set_ylabel("trials with at least this score, %")
        panel.set_ylim(0, 102)
        legend_below(figure, [panel], SIZE_IN[0])
        return pictures(figure)
