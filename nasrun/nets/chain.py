"""Layers of a chain, as MetaQNN has them; imports no torch."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from nasrun.spec import Ints

Side = TypeVar("Side", int, Ints)


class Layer(NamedTuple):
    """A layer: ``C`` convolution, ``P`` max pooling, ``FC``, ``GAP`` or ``SM``.

    ``units`` are the filters of a convolution or the units of a fully connected layer; ``size`` of
    the filter, ``stride``. What a kind does not have is 0, its stride 1.
    """

    kind: str
    units: int
    size: int
    stride: int

    def __str__(self) -> str:
        """As in the authors' logs."""
        figures = {"C": self[1:], "P": self[2:], "FC": self[1:2]}.get(self.kind)
        return self.kind if figures is None else f"{self.kind}({','.join(map(str, figures))})"


def pooled_side(side: Side, size: Side, stride: Side) -> Side:
    """Pixels on a side after a pooling without padding, in which each window lies whole."""
    return (side - size) // stride + 1


class Dropout(NamedTuple):
    """The ``number``-th dropout of a network that counts ``of``, ``after`` so many layers."""

    after: int
    number: int
    of: int

    @property
    def rate(self) -> float:
        """Probability that a unit is dropped."""
        return self.number / (2 * self.of)


def dropouts(layers: Sequence[Layer]) -> list[Dropout]:
    """After every second convolution or pooling, and every fully connected layer.

    Section 5 of the paper. How many are counted is as in the authors' logs: without ``GAP``, the
    classifier (and the step to fully connected layers) is a layer, too, so that the highest rate
    may stay below a half.
    """
    kinds = [layer.kind for layer in layers if layer.kind != "GAP"]
    full, averaged = kinds.count("FC"), len(kinds) < len(layers)
    ends = 0 if averaged else 1 + (full > 0)
    count = (len(kinds) - full + ends) // 2 + full
    due = [at for at, kind in enumerate(kinds, 1) if kind == "FC" or at % 2 == 0]
    return [Dropout(at, number, count) for number, at in enumerate(due, 1)]


class SkipLayer(NamedTuple):
    """A convolution of NAS-RL's: ``kernel`` and ``stride`` are heights and widths.

    ``inputs`` are the layers that it reads, counted from 1; none: the picture.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    filters: int
    inputs: tuple[int, ...]


def unread(layers: Sequence[SkipLayer]) -> list[int]:
    """Numbers of the layers, counted from 1, that no other reads: the classifier does."""
    read = {source for layer in layers for source in layer.inputs}
    return [number for number in range(1, len(layers) + 1) if number not in read]
