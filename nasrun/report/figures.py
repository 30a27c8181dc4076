"""The figures that a report can ask for."""

from collections.abc import Mapping
from pathlib import Path

from nasrun.report.anytime_figure import anytime_figure
from nasrun.report.box_figure import box_figure
from nasrun.report.schema import Figure
from nasrun.report.sorted_figure import sorted_figure
from nasrun.report.tables import Content


def draw(kind: Figure, content: Content, folder: Path) -> Mapping[str, bytes]:
    """A figure of a sweep's folder as PNG and SVG bytes, by suffix.

    Raises:
        DataError: the measurements of the sweep's jobs cannot be read.
    """
    match kind:
        case Figure.box:
            return box_figure(content)
        case Figure.sorted:
            return sorted_figure(content)
        case Figure.anytime:
            return anytime_figure(content, folder)
