"""FBNet's space: a block or a skip for each of 22 layers (9^22, about 1e21 strings)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.nets.mobile_blocks import (
    KINDS,
    LAYERS,
    WIDTH,
    Ends,
    Stage,
    block_or_skip,
    fbnet_skeleton,
    places,
)
from nasrun.spaces.layer_chain import LayerChain
from nasrun.spaces.mobile_skeleton import last_side, layer_costs, skips_behind
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Floats, Scale, Task

if TYPE_CHECKING:
    from torch import nn

OPTIONS = tuple(KINDS)
SKIP = OPTIONS.index("skip")


@dataclass
class FBNet(LayerChain):
    """The space of Wu et al., "FBNet" (CVPR 2019), Table 1, as HW-NAS-Bench has it.

    Li et al., "HW-NAS-Bench" (ICLR 2021), section 3.1: nine options for each of 22 layers, in seven
    stages. Images below 128 pixels get its CIFAR-100 skeleton, others ImageNet's. Nobody has
    published accuracies; latencies are in ``hardware=fbnet_latency`` and ``hw_nas_bench``.
    """

    name: str = "fbnet"

    kinds: ClassVar[tuple[str, ...]] = OPTIONS
    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (OPTIONS,) * sum(LAYERS)

    def text(self, arch: Archs) -> str:
        """Numbers of the options, in HW-NAS-Bench's order: ``0-0-8-3-...``."""
        return "-".join(map(str, arch))

    def parse(self, text: str) -> Archs:
        """``(22,)`` architecture of such a text, or of HW-NAS-Bench's list ``[0, 0, 8, ...]``.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("an FBNet", text)
        scanner.blanks()
        listed = scanner.ahead("[") or scanner.ahead("(")
        outer = scanner.opened() if listed else ""
        found = list[int]()
        for _ in self.decisions:
            if found and listed:
                scanner.expect(",")
                scanner.blanks()
            elif found:
                scanner.exactly("-")
            found.append(scanner.digit(len(OPTIONS)))
        if listed:
            scanner.closed(outer)
        scanner.end("text")
        return np.array(found, np.int64)

    def canonical(self, arch: Archs) -> str:
        """The text with skips that are no layer at all behind the blocks of the same shape."""
        layers = places(fbnet_skeleton(0).stages, WIDTH)  # which ones change is alike in both
        return self.text(skips_behind(arch, layers, SKIP))

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        Counted as in NAS-Bench-201's records.
        """
        skeleton = fbnet_skeleton(task.image_px)
        px = -(-task.image_px // skeleton.stem_stride)
        by_layer = layer_costs(list(KINDS.values()), skeleton.stages, skeleton.width, px)
        side, head = last_side(skeleton.stages, px), skeleton.head
        last = conv(1, skeleton.stages[-1].channels, head, side)
        ends = conv(3, 3, skeleton.width, px) + last + np.int64((head + 1) * task.classes)
        return in_millions(ends[:, None] + by_layer[:, np.arange(sum(LAYERS)), archs].sum(axis=2))

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (22,)``: 16 channels at first by default.

        Raises:
            UnsupportedError: a number of cells, or channels that two groups cannot share.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.inverted_residual import Network

        skeleton = fbnet_skeleton(task.image_px)
        width = scale.channels or skeleton.width
        if scale.cells is not None or width % 4:
            raise UnsupportedError(
                "space=fbnet decides on each of its 22 layers, some in two groups: leave "
                "evaluator.cells at null, and evaluator.channels at null or a multiple of 4"
            )
        stages = [
            Stage(own.layers, own.channels * width // skeleton.width, own.stride)
            for own in skeleton.stages
        ]
        layers = zip(arch, places(stages, width), strict=True)
        return Network(
            blocks=[block_or_skip(KINDS[OPTIONS[option]], place) for option, place in layers],
            ends=Ends(
                stem=width,
                stride=skeleton.stem_stride,
                c_in=stages[-1].channels,
                last=skeleton.head * width // skeleton.width,
            ),
            objective=objective_of(task),
            positive_skips=True,
        )
