"""Drawings of cells: nodes from left to right, one labelled arrow an edge."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.files import write_whole
from nasrun.spec import Edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE = "none"


@dataclass(frozen=True)
class Theme:
    """Colours of a drawing.

    ``operations``: after Okabe and Ito, for colour-blind readers, with enough contrast for thin
    lines. An operation keeps its colour in every drawing: the first part of its name that is listed
    decides.
    """

    paper: str
    ink: str
    faint: str
    end: str  # of the first and the last node
    operations: tuple[tuple[str, str], ...]


LIGHT = Theme(
    "#ffffff", "#1a1a1a", "#a3a3a3", "#e6e6e6",
    (("skip", "#0072B2"), ("pool", "#009E73"), ("1x1", "#A9518B"), ("3x3", "#D55E00"),
     ("5x5", "#B87A00")),
)  # fmt: skip
DARK = Theme(
    "#14171a", "#e7e9ec", "#6d747d", "#363c44",
    (("skip", "#4a9be0"), ("pool", "#1fbf92"), ("1x1", "#dd96bf"), ("3x3", "#f0834a"),
     ("5x5", "#e8a820")),
)  # fmt: skip
FORMATS = (".png", ".svg")
STEP = 2.0  # between two nodes, in inches: room for the longest operation name
RADIUS = 0.22
LANE = 0.62  # between two arcs, in inches
# Text stays text; a name with two dollars is no formula.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "nasrun", "svg.fonttype": "none", "text.parse_math": False,
}  # fmt: skip
TITLE_PT, TITLE_LETTER = 10.0, 0.61  # size of a title, and a letter's width as a share of it
BEND = 4 / 3  # a cubic curve peaks at 3/4 of the height of its control points


@dataclass(frozen=True)
class Arc:
    """Where an edge runs: between two columns, in a lane above (+) or below (-) the nodes."""

    start: int
    end: int
    operation: str
    lane: int  # 0: straight


def cell_lines(edges: Edges) -> list[str]:
    """A cell for the terminal, an arrow a line: ``0 --nor_conv_3x3--> 1``, dotted for ``none``."""
    nodes = _columns(edges)
    names = max(len(source) for source, _, _ in edges)
    width = max(len(operation) for _, _, operation in edges)
    lines: list[str] = []
    for source, target, operation in sorted(edges, key=lambda e: tuple(map(nodes.index, e[1::-1]))):
        dash = "." if operation == NONE else "-"
        arrow = operation.ljust(width, dash)
        lines.append(f"{source:>{names}} {2 * dash}{arrow}{2 * dash}> {target}")
    return lines


def draw_cell(edges: Edges, path: Path, title: str = "") -> None:
    """Write a drawing of a cell as PNG or SVG; equal cells give equal bytes.

    Args:
        edges: ``(from, to, operation)``; ``none`` is drawn faintly.
        path: where to, ending in .png or .svg.
        title: a line above the drawing, such as the architecture's text.

    Raises:
        ConfigError: another suffix, no edges, or edges in a circle.
        DataError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"a drawing must end in {' or '.join(FORMATS)}, got {path.name!r}")
    content = cell_picture(edges, title, path.suffix[1:].lower())
    try:
        write_whole(path, content)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def cell_picture(edges: Edges, title: str = "", kind: str = "svg", theme: Theme = LIGHT) -> bytes:
    """The drawing of a cell as bytes of a PNG or SVG file; cells that share no node lie in rows.

    Raises:
        ConfigError: no edges, or edges in a circle.
    """
    rows = [Row.of(own) for own in _components(edges)]
    return _render(rows, title, kind, theme)


def picture_width_in(edges: Edges) -> float:
    """Width of a cell's drawing in inches, at which its letters have their size."""
    return max(Row.of(own).width for own in _components(edges))


def _components(edges: Edges) -> list[Edges]:
    """Edges that hang together, such as those of a normal and of a reduction cell."""
    groups: list[tuple[set[str], Edges]] = []
    for edge in edges:
        ends, own = set(edge[:2]), [edge]
        for group in [group for group in groups if group[0] & ends]:
            ends, own = ends | group[0], group[1] + own
            groups.remove(group)
        groups.append((ends, own))
    place = {edge: number for number, edge in enumerate(edges)}
    found = [sorted(own, key=place.__getitem__) for _, own in groups]
    return sorted(found, key=lambda own: place[own[0]]) or [edges]


@dataclass(frozen=True)
class Row:
    """A cell to be drawn: its nodes from left to right, its arcs, and its size in inches."""

    edges: Edges
    nodes: list[str]
    arcs: list[Arc]

    @classmethod
    def of(cls, edges: Edges) -> "Row":
        """The cell of edges that hang together."""
        nodes = _columns(edges)
        return cls(edges, nodes, route(edges, nodes))

    @property
    def top(self) -> float:
        """Height above the nodes."""
        return max(0.5, LANE * max(arc.lane for arc in self.arcs) + 0.28)

    @property
    def bottom(self) -> float:
        """Height of what lies below the nodes, negative."""
        return min(-0.5, LANE * min(arc.lane for arc in self.arcs) - 0.28)

    @property
    def width(self) -> float:
        """Of the whole."""
        return STEP * (len(self.nodes) - 1) + 1.8


def _columns(edges: Edges) -> list[str]:
    """Nodes from left to right: each after all that lead to it, ties as they are first named."""
    if not edges:
        raise ConfigError("a cell without edges cannot be drawn")
    waiting = list(dict.fromkeys(node for edge in edges for node in edge[:2]))
    ordered: list[str] = []
    while waiting:
        free = [n for n in waiting if all(s in ordered for s, target, _ in edges if target == n)]
        if not free:
            raise ConfigError(f"not a cell: the edges among {', '.join(waiting)} run in a circle")
        ordered.append(free[0])
        waiting.remove(free[0])
    return ordered


def route(edges: Edges, nodes: Sequence[str]) -> list[Arc]:
    """Arcs of the edges, shorter ones nearer to the nodes, no two overlapping in one lane."""
    spans = [(nodes.index(source), nodes.index(target), name) for source, target, name in edges]
    arcs: list[Arc] = []
    for start, end, name in sorted(spans, key=lambda span: (span[1] - span[0], span[0])):
        taken = {arc.lane for arc in arcs if arc.start < end and start < arc.end}
        straight = end - start == 1 and 0 not in taken
        # Outside all that it overlaps, on the side where that is nearer to the nodes.
        above = max([lane for lane in taken if lane > 0], default=0) + 1
        below = min([lane for lane in taken if lane < 0], default=0) - 1
        lane = 0 if straight else above if above <= -below else below
        arcs.append(Arc(start, end, name, lane))
    return arcs


def _render(rows: Sequence[Row], title: str, kind: str, theme: Theme) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    width = max(row.width for row in rows)
    lines = _title_lines(title, width)
    head = (0.2 + 0.19 * len(lines)) if lines else 0.0
    height = sum(row.top - row.bottom for row in rows) + head
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=160)
        above = height - head
        for row in rows:
            above -= row.top - row.bottom
            share = (row.top - row.bottom) / height
            axes = figure.add_axes((0, above / height, 1, share))
            axes.set(xlim=(-0.9, width - 0.9), ylim=(row.bottom, row.top))
            axes.set_axis_off()
            for arc in sorted(row.arcs, key=lambda arc: arc.operation != NONE):
                _draw_arc(axes, arc, theme)
            _draw_nodes(axes, row, theme)
        if lines:
            figure.text(
                0.5, 1 - 0.12 / height, "\n".join(lines), size=TITLE_PT, color=theme.ink,
                ha="center", va="top", family="monospace",
            )  # fmt: skip
        stream = io.BytesIO()
        undated = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, metadata=undated, facecolor=theme.paper)
    return stream.getvalue()


def _title_lines(title: str, width: float) -> list[str]:
    """A long title, such as the text of a large cell, takes several lines at its size."""
    letters = int(72 * (width - 0.3) / (TITLE_LETTER * TITLE_PT))
    return wrap(title, letters, break_on_hyphens=False)


def _draw_arc(axes: "Axes", arc: Arc, theme: Theme) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    points = _curve(arc)
    faint = arc.operation == NONE
    colour = theme.faint if faint else _colour(arc.operation, theme)
    codes = [Curve.MOVETO] + [Curve.CURVE4] * 3
    line = {"color": colour, "linewidth": 1.0 if faint else 2.0}
    dashes = (0, (3, 3)) if faint else "solid"
    axes.add_patch(PathPatch(Curve(points, codes), fill=False, linestyle=dashes, **line))
    tail = points[-1] + 0.02 * _unit(points[-2] - points[-1])  # the head alone, at the very end
    size = 11 if faint else 15
    head = {"arrowstyle": "-|>", "mutation_scale": size, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(tuple(tail), tuple(points[-1]), **head, **line))
    middle = points.T @ np.array([1, 3, 3, 1]) / 8
    axes.text(
        middle[0], middle[1], arc.operation, size=9.5, color=colour, ha="center", va="center",
        bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _curve(arc: Arc) -> np.ndarray:
    """``(4, 2)`` control points from the rim of one node to the rim of the other."""
    left, right = STEP * arc.start, STEP * arc.end
    # Outer arcs leave more steeply than inner ones, so that they never cross.
    angle = np.radians(min(90, 25 + 20 * abs(arc.lane))) if arc.lane else 0.0
    out, up = RADIUS * np.cos(angle), RADIUS * np.sin(angle) * np.sign(arc.lane)
    begin, finish = np.array([left + out, up]), np.array([right - out, up])
    rise = BEND * (LANE * arc.lane - up)
    reach = 0.3 * STEP if arc.lane else (finish - begin)[0] / 3
    lift = np.array([reach, rise])
    return np.stack([begin, begin + lift, finish + lift * [-1, 1], finish])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _draw_nodes(axes: "Axes", row: Row, theme: Theme) -> None:
    from matplotlib.patches import Circle

    last = len(row.nodes) - 1
    inner = {source for source, _, _ in row.edges} & {target for _, target, _ in row.edges}
    for column, name in enumerate(row.nodes):
        x = STEP * column
        fill = theme.paper if name in inner else theme.end
        line = {"edgecolor": theme.ink, "linewidth": 1.4}
        axes.add_patch(Circle((x, 0), RADIUS, facecolor=fill, **line))
        size = min(11, 33 / len(name))  # three characters fit the circle at full size
        axes.text(x, 0, name, size=size, color=theme.ink, ha="center", va="center")
    said = {"size": 9, "color": theme.ink, "va": "center"}
    axes.text(-RADIUS - 0.1, 0, "input", ha="right", **said)
    axes.text(STEP * last + RADIUS + 0.1, 0, "output", ha="left", **said)


def _colour(operation: str, theme: Theme) -> str:
    return next((colour for part, colour in theme.operations if part in operation), theme.ink)
