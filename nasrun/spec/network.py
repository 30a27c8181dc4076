"""What a space builds: a network's size, and the network that holds all of the space."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nasrun.ranges import require_at_least
from nasrun.streams import Floats, Ints

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nasrun.spec.space import Archs


@dataclass
class Scale:
    """How large a network is built; None is the space's own size.

    Raises:
        ConfigError: a count below 1.
    """

    channels: int | None = None  # of the first stage
    cells: int | None = None  # per stage (nb201), or in all (darts)

    def __post_init__(self) -> None:
        require_at_least(self, "", 1, "channels", "cells")


class Supernet(Protocol):
    """A network that holds every architecture of a space (a ``torch.nn.Module``).

    ``rows`` are the option names of each row of mixing weights: one row per decision, or per edge
    where a space decides which edges there are. ``groups`` are the rows of the edges that enter
    the same node, where rows are edges.
    """

    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[int, ...], ...]

    def __call__(self, x: "Tensor", mixing: "Sequence[Tensor]") -> "Tensor":
        """``(B, classes)`` logits of ``x (B, C, H, W)``.

        ``mixing`` has the weights of each row, ``(options,)`` for the whole batch or
        ``(B, options)`` image by image. An option of weight zero is not computed, but its weight
        still gets its gradient (straight-through estimators need it).
        """
        ...

    def rows_of(self, arch: "Archs") -> Ints:
        """``(rows,)`` the option that ``arch (L,)`` takes in each row."""
        ...

    def derive(self, scores: "Sequence[Floats]") -> "Archs":
        """``(L,)`` the architecture with the highest ``scores``, ``(options,)`` for each row."""
        ...

    def parameters(self, recurse: bool = True) -> "Iterator[nn.Parameter]":
        """The network's own weights; mixing weights are none of them."""
        ...
