"""ENAS's macro space: an operation for each layer, and a skip from any earlier one or not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.macro_plan import MacroLayer, halvings, read_later
from nasrun.ranges import require_within
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = (
    "conv_3x3", "sep_conv_3x3", "conv_5x5", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3",
)  # fmt: skip
SKIP = ("none", "skip")
SHARED, FINAL = 36, 96  # channels of the network that shares weights, and of a single one


@dataclass
class ENASMacro(CategoricalSpace):
    """The macro space of Pham et al., ENAS (ICML 2018), section 2.3.

    A layer is an operation on the layer before, and what is skipped to it from any of the states
    before that one, the stem's output among them: 12 layers are 12 operations and 66 skips, layer
    by layer. The image is halved after a third and two thirds of the layers. Texts are the authors'
    ([EN] ``scripts/cifar10_macro_final.sh``): for each layer the operation's number, then a 0 or 1
    for each skip.

    Departures: ReLU comes before the convolutions in the network that shares weights, too, and its
    normalisation has no weights, as in the other spaces here; in the single network a separable
    convolution is one (the authors' code makes it a plain one) and a pooling follows its 1x1
    convolution (the authors' code has none there); there is no dropout before the classifier.

    Raises:
        ConfigError: fewer than 3 layers or more than 99, an unknown operation, or one twice.
    """

    name: str = "enas_macro"
    layers: int = 12
    operations: list[str] = field(default_factory=lambda: list(OPERATIONS))

    def __post_init__(self) -> None:
        require_within(self, "space", "[3, 99]", "layers")
        own = self.operations
        if not own or len(set(own)) < len(own) or not set(own) <= set(OPERATIONS):
            raise ConfigError(
                f"space.operations must be different ones of {', '.join(OPERATIONS)}, got "
                f"{', '.join(own) or 'none'}"
            )

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Layer by layer its operation and its skips, from the stem on."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        own = tuple(self.operations)
        return tuple(options for layer in range(self.layers) for options in (own, *[SKIP] * layer))

    def by_layer(self, arch: Archs) -> Iterator[Archs]:
        """Operation and skips ``(1 + layer,)`` of each layer of ``arch (L,)``."""
        place = 0
        for layer in range(self.layers):
            yield arch[place : place + 1 + layer]
            place += 1 + layer

    def plan(self, arch: Archs) -> list[MacroLayer]:
        """The layers of ``arch (L,)``."""
        return [
            MacroLayer(self.operations[own[0]], tuple(np.flatnonzero(own[1:]).tolist()))
            for own in self.by_layer(arch)
        ]

    def text(self, arch: Archs) -> str:
        """The authors' string: ``0 3 0 0 1 0 ...``."""
        return " ".join(map(str, arch))

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of the authors' string, of as many layers as this space has.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("an ENAS macro", text)
        found: list[int] = []
        for options in self.decisions:
            what = "an operation" if options != SKIP else "a skip"
            found.append(scanner.number(len(options), what))
        scanner.end("string")
        return np.array(found, np.int64)

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the operations."""
        return ("input", "output", *self.operations)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` with a vertex for stem, layers and output.

        A layer has an edge from the layer before, and from those that are skipped to it.
        """
        count = self.layers + 2
        adjacency = np.zeros((len(archs), count, count), np.bool_)
        operations = np.zeros((len(archs), count), np.int64)
        operations[:, -1] = 1
        adjacency[:, -2, -1] = True
        for layer, own in enumerate(np.split(archs, self._places(), axis=1)):
            operations[:, layer + 1] = 2 + own[:, 0]
            adjacency[:, layer, layer + 1] = True
            adjacency[:, :layer, layer + 1] = own[:, 1:] == 1
        return Dag(adjacency, operations)

    def _places(self) -> Ints:
        """Where the second layer's decisions begin, the third's, and so on."""
        return np.cumsum(1 + np.arange(self.layers - 1))

    def graph(self, arch: Archs) -> Edges:
        """Operations on the edges from layer to layer, and the skips."""
        edges: Edges = []
        for at, layer in enumerate(self.plan(arch)):
            edges.append((str(at), str(at + 1), layer.operation))
            edges += [(str(source), str(at + 1), "skip") for source in layer.skips]
        return edges

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions of the network with 96 channels at first.

        Counted as in NAS-Bench-201's records.
        """
        costs = [self._cost(self.plan(arch), task) for arch in archs]
        return in_millions(np.array(costs, np.int64).reshape(-1, 2).T)

    def _cost(self, layers: list[MacroLayer], task: Task) -> Ints:
        width, px = FINAL, task.image_px
        total = conv(3, 3, width, px)
        for after, layer in enumerate(layers, 1):
            total = total + _operation_cost(layer.operation, width, px)
            if after > 1:
                total = total + conv(1, (1 + len(layer.skips)) * width, width, px)
            if after in halvings(len(layers)):
                px = -(-px // 2)
                total = total + len(read_later(layers, after)) * conv(1, width, 2 * width, px)
                width *= 2
        return total + (width + 1) * task.classes

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``: 96 channels in the first third by default.

        Raises:
            UnsupportedError: a number of cells.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.macro import MacroNetwork

        self._refuse_cells(scale)
        return MacroNetwork(self.plan(arch), scale.channels or FINAL, objective_of(task))

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """A network of all operations and skips, 36 channels by default; rows are the decisions.

        Raises:
            UnsupportedError: a number of cells, or channels that bypass the operations.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.macro_supernet import MacroSupernet

        self._refuse_cells(scale)
        if share > 1:
            raise UnsupportedError(
                "space=enas_macro has no cells whose channels could bypass the operations, as "
                "algorithm=pc_darts and drnas want it: choose another algorithm"
            )
        channels = scale.channels or SHARED
        return MacroSupernet(self.decisions, self.layers, channels, objective_of(task), track)

    def _refuse_cells(self, scale: Scale) -> None:
        if scale.cells is not None:
            raise UnsupportedError(
                "space=enas_macro decides on each layer: leave the number of cells at null, and "
                "set space.layers"
            )


def _operation_cost(name: str, width: int, px: int) -> Ints:
    """Parameters and FLOPs of a layer's operation with its 1x1 convolution."""
    before = conv(1, width, width, px)
    if name.endswith("pool_3x3"):
        return before
    kernel = int(name[-1])
    if not name.startswith("sep"):
        return before + conv(kernel, width, width, px)
    by_channel = kernel * kernel * width
    return before + np.array([by_channel, by_channel * px * px]) + conv(1, width, width, px)
