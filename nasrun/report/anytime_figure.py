"""The best reward so far while searches go on, against evaluations and against hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.canvas import STYLE, legend_below, line_style, pictures
from nasrun.report.jobs import Histories, Job, Search, find_jobs, read_histories
from nasrun.report.stats import bootstrap_ci
from nasrun.report.tables import Content
from nasrun.report.trials import Problem
from nasrun.streams import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_IN = (3.4, 2.7)
LEGEND_IN = 0.6
MOMENTS = 60  # at which the curves against hours are computed
SETTLED = 0.1  # of the budget: the panel's height is that of the curves from here on


@dataclass(frozen=True)
class Curve:
    """``(k,)`` mean of the best so far with its 95% interval, at ``x (k,)``."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def anytime_figure(content: Content, folder: Path) -> Mapping[str, bytes]:
    """Two rows of panels, one column per searched task: evaluations above, hours below.

    Raises:
        DataError: an ``evaluations.csv`` of the sweep's jobs cannot be read.
    """
    import matplotlib

    jobs = find_jobs(folder)
    searched = {(p.space, p.search_task): p for p in content.problems}  # scored tasks share it
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure  # not pyplot: no global state, no display

        size = (PANEL_IN[0] * len(searched), 2 * PANEL_IN[1] + LEGEND_IN)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(2, len(searched), squeeze=False, sharey="col")
        for column, problem in zip(panels.T, searched.values(), strict=True):
            _column(column, problem, content, jobs)
        for row in panels:
            row[0].set_ylabel("best reward so far")
        legend_below(figure, panels.flat, size[0])
        return pictures(figure)


def _column(panels: Sequence["Axes"], problem: Problem, content: Content, jobs: list[Job]) -> None:
    panels[0].set_title(problem.search_task, fontweight="bold", fontsize=10)
    drawn: list[Curve] = []
    for place, name in enumerate(content.problems[problem].algorithms):
        search = Search(problem.space, problem.search_task, name)
        own = [job for job in jobs if job.search == search]
        if not own:
            continue
        histories = read_histories(own)
        curves = (by_evaluations(histories), by_hours(histories))
        for panel, curve in zip(panels, curves, strict=True):
            style = line_style(place)
            panel.plot(curve.x, curve.mean, label=content.label(name), lw=1.6, **style)
            panel.fill_between(
                curve.x, curve.low, curve.high, color=style["color"], alpha=0.25, lw=0
            )
        drawn.append(curves[0])
    panels[0].set_xlabel("evaluations")
    panels[1].set_xlabel("hours of the search, as charged")
    _fit(panels[0], drawn)


def _fit(panel: "Axes", curves: Sequence[Curve]) -> None:
    """Spend the panel's height where methods differ, not on the first random architectures."""
    settled = [
        np.append(curve.mean[curve.x >= SETTLED * curve.x[-1]], [curve.low[-1], curve.high[-1]])
        for curve in curves
        if len(curve.x)
    ]
    if not settled:
        return
    values = np.concatenate(settled)
    low, high = np.nanmin(values), np.nanmax(values)
    if high > low:
        room = 0.05 * (high - low)
        panel.set_ylim(low - room, high + room)


def by_evaluations(histories: Histories) -> Curve:
    """The curve against evaluations, until half of the trials have ended.

    What a trial found stays found after its end. The curve begins where every trial has measured
    an architecture after the full training.
    """
    best = np.fmax.accumulate(histories.best, axis=1)
    lengths = (~np.isnan(histories.clock_h)).sum(axis=1)
    last = int(np.median(lengths))
    return _curve(np.arange(1.0, last + 1), best[:, :last])


def by_hours(histories: Histories) -> Curve:
    """The curve against hours, until half of the trials have ended; empty if costs are unknown."""
    ends_h = np.nanmax(histories.clock_h, axis=1, initial=-np.inf)
    if not np.isfinite(ends_h).all():
        return _curve(np.empty(0), np.empty((len(ends_h), 0)))
    hours = np.linspace(0.0, float(np.median(ends_h)), MOMENTS + 1)[1:]
    best = np.fmax.accumulate(histories.best, axis=1)
    so_far = np.stack(
        [_at(hours, *trial) for trial in zip(histories.clock_h, best, strict=True)]
    )  # fmt: skip
    return _curve(hours, so_far)


def _at(hours: Floats, clock_h: Floats, best: Floats) -> Floats:
    """``(k,)`` best of one trial's measurements that were over by then; NaN before the first."""
    ended = clock_h[~np.isnan(clock_h)]
    over = np.searchsorted(ended, hours, side="right")
    return np.append(np.nan, best[: len(ended)])[over]


def _curve(x: Floats, best: Floats) -> Curve:
    whole = ~np.isnan(best).any(axis=0)
    x, best = x[whole], best[:, whole]
    low, high = bootstrap_ci(best)
    return Curve(x, best.mean(axis=0), low, high)
