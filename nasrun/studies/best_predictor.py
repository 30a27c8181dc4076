"""A heat map of the best predictor by the time that it may take to begin and to be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.report.style import PALETTE, STYLE, empty, pictures
from nasrun.spec import Floats, Ints
from nasrun.studies.agreement import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = 120  # of each axis
PANEL_IN = 3.6
LEAST = 1e-6  # seconds, or trainings, where all times are zero
FAINT = 0.15  # how opaque a cell is where tau is 0


def winners(
    times: Sequence[tuple[float, float]], taus: Sequence[float], begin: Floats, ask: Floats
) -> tuple[Ints, Floats]:
    """Which of the points is best within each pair of times, -1 for none, and its tau.

    Args:
        times: of each point, initialisation and query.
        taus: of each point.
        begin: ``(C,)`` limits of the initialisation.
        ask: ``(R,)`` limits of a query.

    Returns:
        ``(R, C)`` places in ``times``, and ``(R, C)`` correlations.
    """
    best = np.full((len(ask), len(begin)), -1, np.int64)
    tau = np.full(best.shape, -np.inf)
    for place, ((first, then), own) in enumerate(zip(times, taus, strict=True)):
        better = (begin >= first)[None] & (ask >= then)[:, None] & (own > tau)
        best[better], tau[better] = place, own
    return best, tau


def best_predictor(found: Sequence[Mean], name: str) -> Mapping[str, bytes]:
    """``NAME_best.png`` and ``.svg`` as White et al. (NeurIPS 2021) draw it, a panel for each task.

    Colours are predictors that are best somewhere, the more opaque the higher their tau. Times are
    seconds where all are known, and else numbers of whole trainings.
    """
    from matplotlib import rc_context
    from matplotlib.patches import Patch

    panels: dict[tuple[str, str], list[Mean]] = {}
    for own in found:
        panels.setdefault((own.first.space, own.first.task), []).append(own)
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    maps = [_Map.of(own) for own in panels.values()]
    colour = colours(list(dict.fromkeys(name for own in maps for name in own.winners)))
    with rc_context(STYLE):
        figure = empty((PANEL_IN * columns, PANEL_IN * lines + 0.6))
        grid = np.atleast_2d(figure.subplots(lines, columns, squeeze=False))
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (space, task), own in zip(grid.flat, panels, maps, strict=False):
            own.draw(axes, colour)
            axes.set_title(f"{space}, {task}", fontsize=10)
        handles = [Patch(color=own, label=name) for name, own in colour.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=4 * columns)
        return {f"{name}_best.{kind}": data for kind, data in pictures(figure).items()}


def colours(names: Sequence[str]) -> dict[str, Any]:
    """A colour for each name, none twice."""
    from matplotlib import colormaps

    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    return dict(zip(names, colormaps["turbo"](np.linspace(0.05, 0.95, len(names))), strict=True))


@dataclass(frozen=True)
class _Map:
    """A task's panel: limits ``(CELLS,)`` of both times, who is best within them, and its tau."""

    begin: Floats
    ask: Floats
    best: Ints
    tau: Floats
    names: Sequence[str]
    unit: str

    @classmethod
    def of(cls, found: Sequence[Mean]) -> "_Map":
        """Of the means of one task."""
        seconds = not any(isnan(time) for own in found for time in own.times_s)
        times = [own.times_s if seconds else own.times_trainings for own in found]
        axis_of = [_shown([own[place] for own in times]) for place in (0, 1)]
        times = list(zip(*axis_of, strict=True))
        begin, ask = (np.geomspace(min(own) / 2, max(own) * 2, CELLS) for own in axis_of)
        best, tau = winners(times, [own.values["kendall"] for own in found], begin, ask)
        names = [own.first.predictor for own in found]
        return cls(begin, ask, best, tau, names, "s" if seconds else "trainings")

    @property
    def winners(self) -> list[str]:
        """Predictors that are best somewhere."""
        return [name for place, name in enumerate(self.names) if (self.best == place).any()]

    def draw(self, axes: "Axes", colour: Mapping[str, Any]) -> None:
        """The more opaque, the higher the best one's tau."""
        from matplotlib.colors import to_rgb
        from matplotlib.ticker import NullFormatter

        picture = np.zeros((*self.best.shape, 4))
        for place, name in enumerate(self.names):
            if (own := self.best == place).any():
                picture[own, :3] = to_rgb(colour[name])
        picture[..., 3] = np.where(self.best < 0, 0.0, np.clip(self.tau, FAINT, 1.0))
        axes.pcolormesh(self.begin, self.ask, picture, shading="nearest", rasterized=True)
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")  # formulas are not parsed here
            axis.set_minor_formatter(NullFormatter())  # labels of a narrow range would push it out
        axes.set(xlabel=f"initialisation ({self.unit})", ylabel=f"query ({self.unit})")


def _shown(times: Sequence[float]) -> list[float]:
    """Times of an axis: zero has no place on a logarithmic one, so it stands at the least other."""
    least = min((time for time in times if time > 0), default=LEAST)
    return [max(time, least) for time in times]
