"""ProxylessNAS's space: one of six blocks for each of 21 layers, or a skip where shapes stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.nets.mobile_blocks import Block, Ends, Kind, MobileLayers, Place, Stage, places
from nasrun.spaces.layer_chain import LayerChain
from nasrun.spaces.mobile_skeleton import block_cost, ends_cost, last_side, skips_behind
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Archs, Floats, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

KINDS = {f"k{k}_e{e}": Kind(k, e) for k in (3, 5, 7) for e in (3, 6)}
BLOCKS = tuple(KINDS)
SKIP = "skip"
OPTIONS = (*BLOCKS, SKIP)
LAYERS, STRIDES = (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1)
LARGE = 128  # pixels from which an image is taken for one of ImageNet
EPSILON = 1e-3  # of the normalisation


class Variant(Enum):
    """The channels of a network."""

    mobile = "mobile"
    gpu = "gpu"


class Widths(NamedTuple):
    """Channels of the first convolution, of the fixed block, by stage, and of the last one."""

    stem: int
    first: int
    stages: tuple[int, ...]
    last: int


WIDTHS = {
    Variant.mobile: Widths(32, 16, (24, 40, 80, 96, 192, 320), 1280),
    Variant.gpu: Widths(40, 24, (32, 56, 112, 128, 256, 432), 1728),
}
# UNAS's names of the options, which its genotypes list.
PUBLISHED = {f"mic_{k}x{k}_e{e}": f"k{k}_e{e}" for k in (3, 5, 7) for e in (3, 6)}
PUBLISHED["mic_zero"] = SKIP


class Plan(NamedTuple):
    """A network's fixed block, what the 21 layers must do, and the layers around."""

    first: Block
    layers: tuple[Place, ...]
    ends: Ends


@dataclass
class Proxyless(LayerChain):
    """The space of Cai et al., "ProxylessNAS" (ICLR 2019), and of UNAS's Table 3.

    Six kinds of inverted residual blocks (kernel 3, 5, 7; expansion 3, 6) in six stages; the 15
    layers that keep the shape may be left out (``skip``, the paper's zero). ``variant=gpu`` has the
    widths of ProxylessNAS-GPU, in which UNAS (Vahdat et al., CVPR 2020, section 5) searches,
    ``mobile`` those of the authors' search ([PX] ``search/imagenet_arch_search.py``). ReLU6;
    normalisation with epsilon 1e-3.

    The paper has it for ImageNet. Images below 128 pixels are halved three times in place of five,
    as HW-NAS-Bench does it for FBNet.
    """

    name: str = "proxyless"
    variant: Variant = Variant.gpu

    kinds: ClassVar[tuple[str, ...]] = OPTIONS
    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        OPTIONS if layer else BLOCKS for layers in LAYERS for layer in range(layers)
    )

    @property
    def networks(self) -> int:
        """How many different networks there are: skips make no difference to their stage's order.

        A stage of four layers is a first block and up to three others.
        """
        blocks = len(BLOCKS)
        stage = blocks * sum(blocks**rest for rest in range(4))
        return stage ** LAYERS.count(4) * blocks ** LAYERS.count(1)

    def text(self, arch: Archs) -> str:
        """Names of the options, layer by layer: ``k5_e3-skip-skip-skip-k7_e3-...``."""
        return "-".join(OPTIONS[option] for option in arch)

    def parse(self, text: str) -> Archs:
        """``(21,)`` architecture of such a text, or of UNAS's ``Genotype(normal=[...], ...)``.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("a ProxylessNAS", text)
        scanner.assigned()
        if scanner.accept("Genotype", "("):
            return self._genotype(scanner)
        scanner.blanks()
        found = list[int]()
        for options in self.decisions:
            if found:
                scanner.exactly("-")
            found.append(scanner.name(options))
        scanner.end("text")
        return np.array(found, np.int64)

    def _genotype(self, scanner: Scanner) -> Archs:
        """The options of the layers that keep the shape, then those of the others."""
        found = np.zeros(len(self.decisions), np.int64)
        keeps = np.array([SKIP in options for options in self.decisions])
        for name, layers in (("normal", np.flatnonzero(keeps)), ("reduce", np.flatnonzero(~keeps))):
            scanner.expect(name, "=")
            closing = scanner.opened()
            known = [n for n, own in PUBLISHED.items() if name == "normal" or own != SKIP]
            for at, layer in enumerate(layers):
                if at:
                    scanner.expect(",")
                option = PUBLISHED[known[scanner.quoted(known)]]
                found[layer] = OPTIONS.index(option)
            scanner.closed(closing)
            scanner.accept(",")
        scanner.accept("alphas_normal", "=", "None", ",")
        scanner.accept("alphas_reduce", "=", "None")
        scanner.closed(")")
        scanner.end("genotype")
        return found

    def canonical(self, arch: Archs) -> str:
        """The text with skips behind the other layers of their stage."""
        widths = WIDTHS[self.variant]
        layers = places(_stages(widths, large=True), widths.first)
        return self.text(skips_behind(arch, layers, OPTIONS.index(SKIP)))

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        Counted as in NAS-Bench-201's records: one FLOP a multiplication, or a bias of the
        classifier.
        """
        plan = self._plan(task, Scale())
        px = -(-task.image_px // plan.ends.stride)
        side = last_side(_stages(WIDTHS[self.variant], task.image_px >= LARGE), px)
        total = ends_cost(plan.ends, px, side, task.classes) + block_cost(plan.first, px)
        totals = np.repeat(total[:, None], len(archs), axis=1)
        for place, options in zip(plan.layers, archs.T, strict=True):
            known = [block_cost(block, px) for block in _blocks(place)]
            totals += np.stack([*known, np.zeros_like(total)], axis=1)[:, options]
            px = -(-px // place.stride)
        return in_millions(totals)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (21,)``.

        Raises:
            UnsupportedError: a number of cells.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.inverted_residual import Network

        blocks, ends, _ = self.layers(arch, task, scale)
        return Network(blocks, ends, objective_of(task))

    def layers(self, arch: Archs, task: Task, scale: Scale) -> MobileLayers:
        """Those of the network of ``arch (21,)``.

        Raises:
            UnsupportedError: a number of cells.
        """
        plan = self._plan(task, scale)
        blocks = [
            _blocks(place)[option]
            for place, option in zip(plan.layers, arch, strict=True)
            if OPTIONS[option] != SKIP
        ]
        return MobileLayers((plan.first, *blocks), plan.ends, task.image_px)

    def covering(self) -> Archs:
        """``(6, 21)`` networks that have every block of the space between them."""
        return np.repeat(np.arange(len(BLOCKS))[:, None], len(self.decisions), axis=1)

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """A network with every option of every layer; mixing rows are the decisions.

        Raises:
            UnsupportedError: a number of cells, or channels that bypass the blocks.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.proxyless_supernet import ProxylessSupernet

        if share > 1:
            raise UnsupportedError(
                "space=proxyless has blocks that change the number of channels, which cannot pass "
                "them by as algorithm=pc_darts and drnas want it: choose another algorithm"
            )
        plan = self._plan(task, scale)
        layers = [
            [*_blocks(place), place][: len(options)]
            for place, options in zip(plan.layers, self.decisions, strict=True)
        ]
        return ProxylessSupernet(
            self.decisions, layers, [plan.first], plan.ends, objective_of(task), track
        )

    def _plan(self, task: Task, scale: Scale) -> Plan:
        if scale.cells is not None:
            raise UnsupportedError(
                "space=proxyless decides on each of its 21 layers: leave the number of cells at "
                "null"
            )
        own, large = WIDTHS[self.variant], task.image_px >= LARGE
        stem = scale.channels or own.stem

        def scaled(channels: int) -> int:
            return max(1, round(channels * stem / own.stem))

        widths = Widths(stem, scaled(own.first), tuple(map(scaled, own.stages)), scaled(own.last))
        first = _block(Kind(3, 1), Place(widths.stem, widths.first, 1))
        layers = tuple(places(_stages(widths, large), widths.first))
        ends = Ends(
            stem=widths.stem,
            stride=2 if large else 1,
            c_in=widths.stages[-1],
            last=widths.last,
            activation="relu6",
            epsilon=EPSILON,
        )
        return Plan(first, layers, ends)


def _stages(widths: Widths, large: bool) -> list[Stage]:
    strides = STRIDES if large else (1, *STRIDES[1:])
    return list(map(Stage, LAYERS, widths.stages, strides))


def _blocks(place: Place) -> Sequence[Block]:
    return [_block(kind, place) for kind in KINDS.values()]


def _block(kind: Kind, place: Place) -> Block:
    wide = place.c_in * kind.expansion
    return Block(
        kind.kernel, wide, place, activation="relu6", epsilon=EPSILON, expands=kind.expansion > 1
    )
