"""NAS-Bench-Macro: eight layers, each a skip or one of two inverted residual blocks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.nets.mobile_blocks import KINDS, Ends, Stage, block_or_skip, places
from nasrun.spaces.layer_chain import LayerChain
from nasrun.spaces.mobile_skeleton import last_side, layer_costs
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Floats, Scale, Task

if TYPE_CHECKING:
    from torch import nn

OPTIONS = ("skip", "k3_e3", "k5_e6")  # by the digit
STAGES = (2, 3, 3)  # layers; the first of each halves the image and doubles the channels
WIDTH, HEAD = 32, 1280  # channels of the first and of the last convolution
SKIP = 0


@dataclass
class NBMacro(LayerChain):
    """The space of Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search".

    CVPR 2021, section 4.1 (its benchmark is NAS-Bench-Macro). 3^8 = 6,561 strings are 3,969
    different networks, each trained once (three runs): within a stage, a skip behind the first
    layer is no layer at all.
    """

    name: str = "nb_macro"

    kinds: ClassVar[tuple[str, ...]] = OPTIONS
    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (OPTIONS,) * sum(STAGES)

    def text(self, arch: Archs) -> str:
        """Official string, a digit a layer: ``01201201``."""
        return "".join(map(str, arch))

    def parse(self, text: str) -> Archs:
        """``(8,)`` architecture of an official string; white space around is passed over.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("a NAS-Bench-Macro", text)
        scanner.blanks()
        found = [scanner.digit(len(OPTIONS)) for _ in self.decisions]
        scanner.end("string")
        return np.array(found, np.int64)

    def canonical(self, arch: Archs) -> str:
        """The string with each stage's skips behind its first layer at the stage's end."""
        parts, start = list[str](), 0
        for layers in STAGES:
            first, *rest = arch[start : start + layers].tolist()
            kept = [option for option in rest if option != SKIP]
            kept += [SKIP] * (len(rest) - len(kept))
            parts += map(str, [first, *kept])
            start += layers
        return "".join(parts)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        Counted as in NAS-Bench-201's records.
        """
        px, stages = task.image_px, _stages(WIDTH)
        by_layer = layer_costs([KINDS[option] for option in OPTIONS], stages, WIDTH, px)
        last = conv(1, stages[-1].channels, HEAD, last_side(stages, px))
        ends = conv(3, 3, WIDTH, px) + last + np.int64((HEAD + 1) * task.classes)
        return in_millions(ends[:, None] + by_layer[:, np.arange(sum(STAGES)), archs].sum(axis=2))

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (8,)``: 32 channels at first by default.

        Raises:
            UnsupportedError: a number of cells, which are the space's own.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.inverted_residual import Network

        if scale.cells is not None:
            raise UnsupportedError(
                "space=nb_macro decides on each of its eight layers: leave evaluator.cells at null"
            )
        width = scale.channels or WIDTH
        stages = _stages(width)
        layers = zip(arch, places(stages, width), strict=True)
        return Network(
            blocks=[block_or_skip(KINDS[OPTIONS[option]], place) for option, place in layers],
            ends=Ends(stem=width, stride=1, c_in=stages[-1].channels, last=HEAD * width // WIDTH),
            objective=objective_of(task),
        )


def _stages(width: int) -> list[Stage]:
    """Layers, channels and stride of each stage, whose first layer makes the change."""
    return [Stage(layers, width * 2 ** (1 + at), 2) for at, layers in enumerate(STAGES)]
