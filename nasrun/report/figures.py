"""The figures that a report can ask for."""

from collections.abc import Mapping

from nasrun.report.anytime import Curves
from nasrun.report.anytime_figure import anytime_figure
from nasrun.report.box_figure import box_figure
from nasrun.report.content import Content
from nasrun.report.profile_figure import profile_figure
from nasrun.report.rank_figure import rank_figure
from nasrun.report.schema import Figure
from nasrun.report.sorted_figure import sorted_figure


def draw(kind: Figure, content: Content, curves: Curves) -> Mapping[str, bytes]:
    """A figure as PNG and SVG bytes, by suffix; none where there is nothing to draw.

    ``ranks`` and ``profile`` need the statistics, which two algorithms with complete trials make.
    """
    match kind:
        case Figure.box:
            return box_figure(content)
        case Figure.sorted:
            return sorted_figure(content)
        case Figure.anytime:
            return anytime_figure(content, curves)
        case Figure.profile:
            return profile_figure(content, content.overview) if content.overview else {}
        case Figure.ranks:
            return rank_figure(content, content.overview) if content.overview else {}
