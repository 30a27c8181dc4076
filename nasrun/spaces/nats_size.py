"""NATS-Bench's size space: five channel counts of a network with a fixed cell (32,768 networks)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spaces.base import misplaced
from nasrun.spaces.layer_chain import LayerChain
from nasrun.spaces.skeleton import conv, head, in_millions, residual
from nasrun.spec import Archs, Edges, Floats, Ints, Scale, Task

if TYPE_CHECKING:
    from torch import nn

CHANNELS = tuple(str(c) for c in range(8, 65, 8))
# Every cell of every network: the topology space's best by mean test accuracy on CIFAR-100.
CELL = (
    ("0", "1", "nor_conv_3x3"),
    ("0", "2", "nor_conv_3x3"),
    ("1", "2", "nor_conv_3x3"),
    ("0", "3", "skip_connect"),
    ("1", "3", "nor_conv_3x3"),
    ("2", "3", "nor_conv_3x3"),
)


@dataclass
class NATSSize(LayerChain):
    """The size space (sss) of NATS-Bench (Dong et al., TPAMI 2021).

    A network is a stem, then cell, residual block, cell, residual block, cell; the decisions are
    the output channels of these five. Both residual blocks halve the image.
    """

    name: str = "nats_size"

    kinds: ClassVar[tuple[str, ...]] = CHANNELS
    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (CHANNELS,) * 5

    def text(self, arch: Archs) -> str:
        """Official string: ``8:16:64:8:32``."""
        return ":".join(CHANNELS[option] for option in arch)

    def parse(self, text: str) -> Archs:
        """``(5,)`` architecture of an official string; white space around is passed over.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        place = len(text) - len(text.lstrip())
        for number, count in enumerate(parts := text.strip().split(":")):
            if number == len(self.decisions):
                raise _bad(text, place - 1, "the string should end here")
            if count not in CHANNELS:
                raise _bad(text, place, f"expected one of {', '.join(CHANNELS)}")
            place += len(count) + 1
        if len(parts) < len(self.decisions):
            raise _bad(text, place - 1, f"expected ':' and {len(self.decisions)} numbers in all")
        return np.array([CHANNELS.index(count) for count in parts], np.int64)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` exact parameters and FLOPs in millions, as in the official records."""
        widths = np.array([int(count) for count in CHANNELS])[archs].T
        px = task.image_px
        cost = conv(3, 3, widths[0], px) + _cell(widths[0], widths[0], px)
        cost += residual(widths[0], widths[1], px // 2) + _cell(widths[1], widths[2], px // 2)
        cost += residual(widths[2], widths[3], px // 4) + _cell(widths[3], widths[4], px // 4)
        return in_millions(cost + head(widths[4], task.classes))

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (5,)``.

        Raises:
            UnsupportedError: a scale, which would change what the space is made of.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb201 import Cell, Skeleton

        if scale != Scale():
            raise UnsupportedError(
                "space=nats_size decides channels and has one cell a stage: leave "
                "evaluator.channels and evaluator.cells at null"
            )
        widths = [int(CHANNELS[option]) for option in arch]
        return Skeleton(
            lambda c_in, c_out: Cell(list(CELL), c_in, c_out),
            [widths[:1], widths[2:3], widths[4:]],
            objective_of(task),
            reductions=[widths[1], widths[3]],
        )

    def graph(self, arch: Archs) -> Edges:
        """The cell that all networks share."""
        return list(CELL)


def _cell(c_in: Ints, c_out: Ints, px: int) -> Ints:
    """``(2, n)`` parameters and FLOPs of a cell; its skip is a 1x1 convolution if widths differ."""
    skip = conv(1, c_in, c_out, px) * (c_in != c_out)
    return 2 * conv(3, c_in, c_out, px) + 3 * conv(3, c_out, c_out, px) + skip


def _bad(text: str, place: int, why: str) -> ConfigError:
    return misplaced("a NATS-Bench size", text, place, why)
