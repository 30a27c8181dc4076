"""How the figures of reports look: colours, dashes, legends, and their files."""

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nasrun.report.content import GREY

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

# Okabe and Ito's palette, for every kind of colour vision, its yellow darkened for thin lines.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C7A00", "#1A1A1A",
)  # fmt: skip
PALETTE = (*COLOURS[:GREY], "#999999", *COLOURS[GREY:])
# As many as have no common factor with the colours, so that 45 lines differ, and in black and white
# the first five.
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D", "v")
HIDDEN = 0.02  # share of the worst trials that may fall outside the panel of sorted trials
WHISKERS = (5, 95)  # percentiles
DPI = 160
LABEL_IN = (0.6, 0.085)  # width of a line and gap in a legend, and of a letter
LINE_IN = 0.21  # height of a line of a legend
STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.alpha": 0.35, "axes.axisbelow": True, "svg.hashsalt": "nasrun",
    "svg.fonttype": "none",  # text stays text, to be found and to be edited
    "text.parse_math": False,  # a name with two dollars is no formula
    "legend.frameon": False, "legend.handlelength": 1.6, "legend.columnspacing": 1.4,
}  # fmt: skip


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the method at this place (``Content.place``), alike in all figures."""
    dashes = DASHES[place % len(DASHES)]
    return {"color": PALETTE[place % len(PALETTE)], "linestyle": dashes}


def legend_below(figure: "Drawing", panels: Iterable["Axes"], width_in: float) -> None:
    """Name each label of any panel once, below all panels.

    What the names need beyond two lines is added to the figure's height, and not taken from the
    panels.
    """
    entries: dict[str, Artist] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    column_in = LABEL_IN[0] + LABEL_IN[1] * max(map(len, entries), default=0)
    columns = max(1, min(len(entries), int(width_in / column_in)))
    lines = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + LINE_IN * max(0, lines - 2))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def pictures(figure: "Drawing") -> Mapping[str, bytes]:
    """The figure as PNG and SVG, without a date, so that the same report is the same files."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it would work the same layout out again for each file
    return {kind: _bytes(figure, kind) for kind in ("png", "svg")}


def _bytes(figure: "Drawing", kind: str) -> bytes:
    stream = io.BytesIO()
    undated = {"Date": None} if kind == "svg" else None
    figure.savefig(stream, format=kind, dpi=DPI, metadata=undated)
    return stream.getvalue()


def empty(size: tuple[float, float], layout: Any = "constrained") -> "Drawing":
    """A figure of this size in inches, with nothing in it."""
    from matplotlib.figure import Figure as Drawing  # not pyplot: no global state, no display

    return Drawing(figsize=size, layout=layout)
