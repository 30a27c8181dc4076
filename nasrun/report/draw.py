"""Drawings of cells: nodes from left to right, one labelled arrow an edge."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.files import write_whole
from nasrun.spec import Edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE = "none"
FAINT = "#a3a3a3"
INK = "#1a1a1a"
# After Okabe and Ito, for colour-blind readers, darkened for thin lines. An operation keeps its
# colour in every drawing: the first part of its name that is listed decides.
COLOURS = (
    ("skip", "#0072B2"),
    ("pool", "#009E73"),
    ("1x1", "#A9518B"),
    ("3x3", "#D55E00"),
    ("5x5", "#B87A00"),
)
FORMATS = (".png", ".svg")
STEP = 2.0  # between two nodes, in inches: room for the longest operation name
RADIUS = 0.22
LANE = 0.62  # between two arcs, in inches
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


def cell_picture(edges: Edges, title: str = "", kind: str = "svg") -> bytes:
    """The drawing of a cell as bytes of a PNG or SVG file.

    Raises:
        ConfigError: no edges, or edges in a circle.
    """
    return _render(_columns(edges), edges, title, kind)


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


def _render(nodes: Sequence[str], edges: Edges, title: str, kind: str) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    arcs = route(edges, nodes)
    top = max(0.5, LANE * max(arc.lane for arc in arcs) + 0.28)
    bottom = min(-0.5, LANE * min(arc.lane for arc in arcs) - 0.28)
    width = STEP * (len(nodes) - 1) + 1.8
    height = top - bottom + (0.4 if title else 0)
    with rc_context({"svg.hashsalt": "nasrun", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(width, height), dpi=160)
        axes = figure.add_axes((0, 0, 1, (top - bottom) / height))
        axes.set(xlim=(-0.9, width - 0.9), ylim=(bottom, top))
        axes.set_axis_off()
        for arc in sorted(arcs, key=lambda arc: arc.operation != NONE):
            _draw_arc(axes, arc)
        _draw_nodes(axes, nodes, edges)
        if title:
            size = min(11.0, 72 * (width - 0.3) / (0.61 * len(title)))
            figure.text(
                0.5, 1 - 0.12 / height, title, size=size, color=INK, ha="center", va="top",
                family="DejaVu Sans Mono", parse_math=False,
            )  # fmt: skip
        stream = io.BytesIO()
        undated = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, metadata=undated, facecolor="white")
    return stream.getvalue()


def _draw_arc(axes: "Axes", arc: Arc) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    points = _curve(arc)
    faint = arc.operation == NONE
    colour = FAINT if faint else _colour(arc.operation)
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
        parse_math=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
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


def _draw_nodes(axes: "Axes", nodes: Sequence[str], edges: Edges) -> None:
    from matplotlib.patches import Circle

    last = len(nodes) - 1
    inner = {source for source, _, _ in edges} & {target for _, target, _ in edges}
    for column, name in enumerate(nodes):
        x = STEP * column
        fill = "white" if name in inner else "#e6e6e6"
        axes.add_patch(Circle((x, 0), RADIUS, facecolor=fill, edgecolor=INK, linewidth=1.4))
        size = min(11, 33 / len(name))  # three characters fit the circle at full size
        axes.text(x, 0, name, size=size, color=INK, ha="center", va="center", parse_math=False)
    axes.text(-RADIUS - 0.1, 0, "input", size=9, color=INK, ha="right", va="center")
    axes.text(STEP * last + RADIUS + 0.1, 0, "output", size=9, color=INK, ha="left", va="center")


def _colour(operation: str) -> str:
    return next((colour for part, colour in COLOURS if part in operation), INK)
