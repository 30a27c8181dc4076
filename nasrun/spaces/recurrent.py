"""What spaces of recurrent cells share."""

from typing import Protocol

from nasrun.errors import UnsupportedError
from nasrun.spec import Scale


class Recurrent(Protocol):
    """A space of recurrent cells."""

    name: str
    hidden: int


def require_units(space: Recurrent, scale: Scale) -> int:
    """Units of a cell: the scale's channels, or the space's own.

    Raises:
        UnsupportedError: a number of cells.
    """
    if scale.cells is not None:
        raise UnsupportedError(
            f"space={space.name} has one recurrent cell: leave evaluator.cells and scale.cells at "
            "null"
        )
    return scale.channels or space.hidden
