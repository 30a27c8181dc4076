"""What a space builds: a network's size, and the network that holds all of the space."""

from collections.abc import Callable, Iterator, Sequence
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


class Controllers(Protocol):
    """``n`` networks with a state, that answer inputs step by step, each its own.

    ``inputs`` and ``outputs`` are how many numbers each takes and gives.
    """

    inputs: int
    outputs: int

    def __len__(self) -> int:
        """How many there are, n."""
        ...

    def of(self, rows: Ints) -> "Controllers":
        """Those of ``rows``, which may repeat, with their state."""
        ...

    def reset(self) -> None:
        """Forget all inputs so far."""
        ...

    def act(self, inputs: Floats, passes: int | None = 1) -> Floats:
        """``(outputs, n)`` after one more step on ``inputs (I, n)``.

        Values move on by one link in each of the ``passes``; None: until they have reached the
        outputs of a network without cycles.
        """
        ...

    def single(self, row: int) -> Callable[[Sequence[float]], float]:
        """First output of one network on plain numbers, a pass a call: the same to the bit.

        It begins with the network's state, and leaves that as it is.
        """
        ...


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
