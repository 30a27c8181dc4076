"""What an ENAS macro network is made of; imports no torch."""

from collections.abc import Sequence
from typing import NamedTuple


class MacroLayer(NamedTuple):
    """A layer's operation, and which earlier states are skipped to its end.

    State 0 is the stem's output, state ``i`` that of layer ``i``; a layer reads the last one.
    """

    operation: str
    skips: tuple[int, ...]


def halvings(layers: int) -> tuple[int, int]:
    """After how many layers the image is halved: a third and two thirds of them, rounded down."""
    return layers // 3, 2 * (layers // 3)


def read_later(layers: Sequence[MacroLayer], after: int) -> list[int]:
    """States that a layer behind the first ``after`` ones reads, among those there are by then."""
    read = {source for layer in layers[after:] for source in layer.skips if source <= after}
    return sorted(read | {after})
