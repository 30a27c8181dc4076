"""NAS-RL's space: a chain of convolutions with skip connections between any two of them."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.chain import SkipLayer, unread
from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Anchors, Archs, Dag, Edges, Floats, Scale, Task

if TYPE_CHECKING:
    from torch import nn

LISTS = ("heights", "widths", "strides", "filters")
LONGEST = 10_000  # of a number in a text


@dataclass
class ConvChain(CategoricalSpace):
    """``depth`` convolutions, each with its filter's size, its filters, and what it reads.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017), sections 3.1,
    3.3 and 4.1. A layer decides on the height and width of its filter, the height and width of its
    stride where ``strides`` are several, the number of filters, and for each layer before it
    whether it reads that one: the anchor point, whose decisions a recurrent controller takes by
    attention over the layers before (``anchors``). Nothing has to exist: see ``SkipChainNetwork``
    for what is done with layers that nothing reads.

    Departures: the depth is fixed (the paper's controller begins with 6 layers and grows by 2 after
    every 1,600 samples); no pooling layers.

    Raises:
        ConfigError: a count below 1, or a list that is empty or has a number twice; even filters.
    """

    name: str = "conv_chain"
    depth: int = 15
    heights: list[int] = field(default_factory=lambda: [1, 3, 5, 7])
    widths: list[int] = field(default_factory=lambda: [1, 3, 5, 7])
    strides: list[int] = field(default_factory=lambda: [1])
    filters: list[int] = field(default_factory=lambda: [24, 36, 48, 64])

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "depth", *LISTS)
        for key in LISTS:
            values: list[int] = getattr(self, key)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"space.{key} must hold numbers, each once, got {values}")
        for key in LISTS[:2]:
            if any(size % 2 == 0 for size in getattr(self, key)):
                raise ConfigError(f"space.{key} must be odd numbers, got {getattr(self, key)}")

    @cached_property
    def _lists(self) -> list[list[int]]:
        """Of a layer's decisions before its skips."""
        strided = [self.strides] * (2 * (len(self.strides) > 1))
        return [self.heights, self.widths, *strided, self.filters]

    @cached_property
    def _starts(self) -> list[int]:
        """First decision of each layer, and the end."""
        return [len(self._lists) * at + at * (at - 1) // 2 for at in range(self.depth + 1)]

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Numbers, and for each earlier layer ``none`` or ``skip``."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        own = [tuple(map(str, options)) for options in self._lists]
        return tuple(
            options
            for layer in range(self.depth)
            for options in [*own, *[("none", "skip")] * layer]
        )

    @property
    def anchors(self) -> Anchors:
        """Layers are counted from 1; a skip points to the layer that it reads."""
        return self._anchors

    @cached_property
    def _anchors(self) -> Anchors:
        layer = np.repeat(np.arange(1, self.depth + 1), np.diff(self._starts))
        points = np.full((len(layer), int(self.arity.max())), -1)
        for number, start in enumerate(self._starts[:-1]):
            first = start + len(self._lists)
            points[first : first + number, 1] = np.arange(1, number + 1)
        return Anchors(layer, points)

    def layers_of(self, arch: Archs) -> list[SkipLayer]:
        """The layers of ``arch (L,)``."""
        found: list[SkipLayer] = []
        for number, start in enumerate(self._starts[:-1]):
            first = start + len(self._lists)
            options = zip(self._lists, arch[start:first].tolist(), strict=True)
            height, width, *stride, filters = (values[option] for values, option in options)
            skips = 1 + np.flatnonzero(arch[first : first + number])
            down, along = stride or 2 * self.strides
            inputs = tuple(skips.tolist())
            found.append(SkipLayer((height, width), (down, along), filters, inputs))
        return found

    def text(self, arch: Archs) -> str:
        """Such as ``[3x3/24 5x7/36<1 7x7/48<1,2]``; strides as in ``3x3s2x1/24``."""
        return f"[{' '.join(map(self._word, self.layers_of(arch)))}]"

    def _word(self, layer: SkipLayer) -> str:
        stride = "s{}x{}".format(*layer.stride) if len(self.strides) > 1 else ""
        inputs = f"<{','.join(map(str, layer.inputs))}" if layer.inputs else ""
        return "{}x{}".format(*layer.kernel) + f"{stride}/{layer.filters}{inputs}"

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner, arch = Scanner("a conv_chain", text), list[int]()
        scanner.expect("[")
        marks = ["x", *["s", "x"] * (len(self.strides) > 1), "/"]
        for layer in range(self.depth):
            for mark, values in zip(["", *marks], self._lists, strict=True):
                scanner.exactly(mark)
                arch.append(_chosen(scanner, values))
            skips = [0] * layer
            more = layer > 0 and scanner.accept("<")
            while more:
                skips[_layer(scanner, skips)] = 1
                more = scanner.accept(",")
            arch += skips
        scanner.expect("]")
        scanner.end("list")
        return np.array(arch, np.int64)

    @cached_property
    def _kinds(self) -> list[tuple[int, ...]]:
        return list(product(*(range(len(values)) for values in self._lists)))

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and every kind of layer."""
        return self._dag_operations

    @cached_property
    def _dag_operations(self) -> tuple[str, ...]:
        kinds = [
            "x".join(str(values[at]) for values, at in zip(self._lists, kind, strict=True))
            for kind in self._kinds
        ]
        return ("input", "output", *kinds)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs: input, layers, output."""
        n, last = len(archs), self.depth + 1
        operations = np.concatenate([np.zeros((n, last), np.int64), np.ones((n, 1), int)], axis=1)
        adjacency = np.zeros((n, last + 1, last + 1), np.bool_)
        arity = [len(values) for values in self._lists]
        weights = np.array([math.prod(arity[at + 1 :]) for at in range(len(arity))])
        for layer, start in enumerate(self._starts[:-1], 1):
            first = start + len(arity)
            operations[:, layer] = 2 + archs[:, start:first] @ weights
            skips = archs[:, first : first + layer - 1] > 0
            adjacency[:, 1:layer, layer] = skips
            adjacency[:, 0, layer] = ~skips.any(axis=1)
        adjacency[:, 1:last, last] = ~adjacency[:, 1:last].any(axis=2)
        return Dag(adjacency, operations)

    def graph(self, arch: Archs) -> Edges:
        """Edges to each layer carry its filter and its number of filters."""
        layers, edges = self.layers_of(arch), list[tuple[str, str, str]]()
        for number, layer in enumerate(layers, 1):
            name = self._word(layer._replace(inputs=()))
            edges += [(str(source), str(number), name) for source in layer.inputs or (0,)]
        out = str(self.depth + 1)
        return edges + [(str(number), out, "concat") for number in unread(layers)]

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``."""
        costs = [self._cost(self.layers_of(arch), task) for arch in archs]
        return in_millions(np.array(costs, np.int64).reshape(-1, 2).T)

    def _cost(self, layers: list[SkipLayer], task: Task) -> tuple[int, int]:
        sizes, widths, params, flops = [(task.image_px,) * 2], [3], 0, 0
        for layer in layers:
            sources = layer.inputs or (0,)
            sides = [max(sizes[source][at] for source in sources) for at in (0, 1)]
            size = (-(-sides[0] // layer.stride[0]), -(-sides[1] // layer.stride[1]))
            weights = math.prod(layer.kernel) * sum(widths[at] for at in sources) * layer.filters
            params += weights + 2 * layer.filters
            flops += weights * math.prod(size)
            sizes, widths = [*sizes, size], [*widths, layer.filters]
        classifier = (sum(widths[at] for at in unread(layers)) + 1) * task.classes
        return params + classifier, flops + classifier

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``; ``scale.channels`` are those of the fewest filters.

        Raises:
            UnsupportedError: a number of cells, of which the space has none.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.skip_chain import SkipChainNetwork

        if scale.cells is not None:
            raise UnsupportedError(
                "space=conv_chain decides on each of its layers: leave evaluator.cells at null, "
                "and set space.depth"
            )
        fewest = min(self.filters)
        channels = scale.channels or fewest
        layers = [
            layer._replace(filters=max(1, layer.filters * channels // fewest))
            for layer in self.layers_of(arch)
        ]
        return SkipChainNetwork(layers, objective_of(task))


def _chosen(scanner: Scanner, values: list[int]) -> int:
    """Read one of ``values``; returns its place."""
    scanner.blanks()
    start = scanner.place
    number = scanner.number(LONGEST, "a number")
    if number not in values:
        raise scanner.bad(f"expected one of {', '.join(map(str, values))}", start)
    return values.index(number)


def _layer(scanner: Scanner, skips: list[int]) -> int:
    """Read the number of an earlier layer, above those before; returns its place."""
    scanner.blanks()
    start, last = scanner.place, max((at for at, own in enumerate(skips) if own), default=-1)
    number = scanner.number(LONGEST, "a layer")
    if not last + 1 < number <= len(skips):
        raise scanner.bad(f"expected a layer from {last + 2} to {len(skips)}", start)
    return number - 1
