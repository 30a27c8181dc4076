"""MetaQNN's space: a chain of convolutions, poolings and fully connected layers."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.chain import Dropout, Layer, dropouts, pooled_side
from nasrun.ranges import require_at_least
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

POOLS = ((5, 3), (3, 2), (2, 2))  # size, stride; Table 1
UNITS = (512, 256, 128)  # of fully connected layers; Table 1
MOST_FULL = 2  # fully connected layers of a network; section 4.1
# The sides of feature maps in three bins, by their least members: a layer needs a filter below the
# bin, and fully connected layers come in the lower two; section 4.1 and the authors' settings.
BINS = (1, 4, 8)
FULL_UP_TO = 7  # pixels


@dataclass
class MetaQNN(ConditionalSpace):
    """A layer after another up to ``depth`` of them, and the classifier.

    Baker et al., "Designing Neural Network Architectures using Reinforcement Learning" (ICLR 2017),
    section 4.1 and Table 1. The options of a decision are the classifier on what came before
    (``SM``), which ends the network, convolutions (filters, size, stride 1), max poolings (size,
    stride), fully connected layers (units), and the classifier on global averages (``GAP``).

    A convolution or pooling wants a map of more pixels than its filter, with sides in three bins.
    No pooling comes first or after a pooling. Fully connected layers come on at most 7 pixels, at
    most two of them, the second no wider; after them nothing else. ``GAP`` comes at the beginning
    or after a convolution or pooling. Of 2,300 networks that the authors published with their
    learning curves, all keep these rules.

    Departure: the authors end every network by a decision of its own; here one of ``depth`` layers
    has its classifier without. ``GAP`` is one of the layers.

    Raises:
        ConfigError: a count below 1, or filters or kernels twice or none at all.
    """

    name: str = "metaqnn"
    depth: int = 18
    image_px: int = 32
    filters: list[int] = field(default_factory=lambda: [64, 128, 256, 512])
    kernels: list[int] = field(default_factory=lambda: [1, 3, 5])

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "depth", "image_px", "filters", "kernels")
        for key in ("filters", "kernels"):
            values: list[int] = getattr(self, key)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"space.{key} must hold numbers, each once, got {values}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ConfigError(f"space.kernels must be odd numbers, got {self.kernels}")

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The options, by number."""
        convs = [Layer("C", units, size, 1) for units, size in product(self.filters, self.kernels)]
        pools = [Layer("P", 0, size, stride) for size, stride in POOLS]
        return (
            Layer("SM", 0, 0, 1), *convs, *pools, *(Layer("FC", units, 0, 1) for units in UNITS),
            Layer("GAP", 0, 0, 1),
        )  # fmt: skip

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The same options for each layer."""
        return (self._names,) * self.depth

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(map(str, self.layers))

    @cached_property
    def _kinds(self) -> dict[str, Mask]:
        """``(options,)`` which options are of each kind."""
        kinds = np.array([layer.kind for layer in self.layers])
        return {kind: kinds == kind for kind in ("SM", "C", "P", "FC", "GAP")}

    @cached_property
    def _figures(self) -> tuple[Ints, Ints, Ints]:
        """``(options,)`` units, filter sizes and strides."""
        units, sizes, strides = zip(*(layer[1:] for layer in self.layers), strict=True)
        return np.array(units), np.array(sizes), np.array(strides)

    def sides(self, archs: Archs) -> Ints:
        """``(n, l + 1)`` pixels on a side before each layer of ``archs (n, l)``, and after all."""
        _, sizes, strides = self._figures
        sides = np.full((len(archs), archs.shape[1] + 1), self.image_px)
        for place, option in enumerate(archs.T):
            side, pool = sides[:, place], self._kinds["P"][option]
            pooled = pooled_side(side, sizes[option], strides[option])
            sides[:, place + 1] = np.where(pool, pooled, side)
        return sides

    def legal(self, prefix: Archs) -> Mask:
        """``(n, 20)`` options that may follow ``prefix (n, l)``."""
        kinds, (units, sizes, _) = self._kinds, self._figures
        n, place = prefix.shape
        side = self.sides(prefix)[:, -1]
        last = prefix[:, -1] if place else np.zeros(n, np.int64)
        full = kinds["FC"][prefix].sum(axis=1)
        conv, pool = kinds["C"][last] & (place > 0), kinds["P"][last]
        going = conv | pool if place else np.ones(n, np.bool_)  # maps, on which anything is built
        room = sizes < _bin(side)[:, None]
        widest = np.where(kinds["FC"][last], units[last], np.iinfo(np.int64).max)
        into_full = (going & (side <= FULL_UP_TO)) | (kinds["FC"][last] & (full < MOST_FULL))
        return (
            kinds["SM"]
            | (kinds["C"] & room & going[:, None])
            | (kinds["P"] & room & conv[:, None])
            | (kinds["FC"] & into_full[:, None] & (units <= widest[:, None]))
            | (kinds["GAP"] & going[:, None])
        )

    def state(self, prefix: Archs) -> Ints:
        """``(n,)`` last layer, number of fully connected layers and bin of the side; section 4.1.

        With the number of decisions before, that is the paper's state.
        """
        last = super().state(prefix)
        full = self._kinds["FC"][prefix].sum(axis=1)
        bins = np.searchsorted(BINS, self.sides(prefix)[:, -1], side="right") - 1
        return (last * (MOST_FULL + 1) + full) * len(BINS) + bins

    def layers_of(self, arch: Archs) -> list[Layer]:
        """The layers of ``arch (L,)``, without the classifier unless it is ``GAP``."""
        return [self.layers[option] for option in arch if option]

    def text(self, arch: Archs) -> str:
        """As in the authors' logs, but for dropout and classes: ``[C(64,3,1), P(2,2), SM]``."""
        return f"[{', '.join([*map(str, self.layers_of(arch)), 'SM'])}]"

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text; the logs' ``D(1,3)``, ``GAP(10)``, ``SM(10)`` are read.

        Raises:
            ConfigError: not in the format, or against the rules; the message shows the place.
        """
        scanner, arch = Scanner("a MetaQNN", text), list[int]()
        drops: list[Dropout] = []
        scanner.expect("[")
        while not scanner.accept("SM"):
            if scanner.accept("D", "("):
                number = scanner.number(1000, "a number")
                scanner.expect(",")
                drops.append(Dropout(len(arch), number, scanner.number(1000, "a number")))
                scanner.expect(")")
            else:
                arch.append(self._read(scanner, arch))
            scanner.expect(",")
        _passed_over(scanner)
        scanner.expect("]")
        scanner.end("list")
        padded = np.array([*arch, *[0] * (self.depth - len(arch))], np.int64)
        if drops and drops != dropouts(self.layers_of(padded)):
            raise scanner.bad("expected dropout after every second layer", 0)
        return padded

    def _read(self, scanner: Scanner, arch: list[int]) -> int:
        """One layer, which must be legal after ``arch``."""
        scanner.blanks()
        start = scanner.place
        names = self._names[1:]
        option = next((at for at, name in enumerate(names, 1) if scanner.accept(name)), None)
        if option is None:
            raise scanner.bad(f"expected SM, D or one of {', '.join(names)}")
        if self.layers[option].kind == "GAP":
            _passed_over(scanner)
        if len(arch) == self.depth:
            raise scanner.bad(f"expected at most {self.depth} layers", start)
        if not self.legal(np.array([arch], np.int64).reshape(1, -1))[0, option]:
            raise scanner.bad("a layer that may not stand here", start)
        return option

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the options but ``SM``, which is the output."""
        return ("input", "output", *self._names[1:])

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as chains: input, layers, output; vertices behind it are absent."""
        n, places = len(archs), np.arange(self.depth + 2)
        depth = (archs > 0).sum(axis=1)[:, None]
        layers = np.concatenate([np.zeros((n, 1), np.int64), archs + 1, np.ones((n, 1), int)], 1)
        operations = np.where(places > depth + 1, -1, np.where(places == depth + 1, 1, layers))
        chain = places[:, None] + 1 == places
        return Dag(chain & (places[:, None] <= depth[:, :, None]), operations)

    def graph(self, arch: Archs) -> Edges:
        """The chain of layers."""
        names = [*map(str, self.layers_of(arch)), "SM"]
        return [(str(at), str(at + 1), name) for at, name in enumerate(names)]

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions; NaN for images of another size."""
        if task.image_px != self.image_px:
            return super().footprint(archs, task)
        costs = [self._cost(arch, task.classes) for arch in archs]
        return in_millions(np.array(costs, np.int64).reshape(-1, 2).T)

    def _cost(self, arch: Archs, classes: int) -> tuple[int, int]:
        """Parameters and FLOPs; one a multiplication, and a bias that is not a convolution's."""
        params, flops, width, flat = 0, 0, 3, False
        sides, layers = self.sides(arch[None])[0].tolist(), self.layers_of(arch)
        for layer, side in zip(layers, sides, strict=False):
            if layer.kind == "C":
                weights = layer.size**2 * width * layer.units
                flops, width = flops + weights * side**2, layer.units
            elif layer.kind == "FC":
                weights = (width if flat else width * side**2) * layer.units
                flops, width, flat = flops + weights + layer.units, layer.units, True
            else:
                continue
            params += weights + layer.units
        averaged = bool(layers) and layers[-1].kind == "GAP"
        inputs = width if flat or averaged else width * sides[-1] ** 2
        return params + (inputs + 1) * classes, flops + (inputs + 1) * classes

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``; ``scale.channels`` are those of the fewest filters.

        Raises:
            UnsupportedError: images of another size, a number of cells, or channels that leave a
                layer without any.
        """
        from nasrun.nets.chain_network import ChainNetwork
        from nasrun.nets.classification import objective_of

        if task.image_px != self.image_px:
            raise UnsupportedError(
                f"space=metaqnn has rules for images of {self.image_px} pixels, task={task.name} "
                f"has {task.image_px}: set space.image_px={task.image_px}"
            )
        if scale.cells is not None:
            raise UnsupportedError(
                "space=metaqnn decides on each of its layers: leave evaluator.cells at null"
            )
        fewest = min(self.filters)
        channels = scale.channels or fewest
        layers = [
            layer._replace(units=max(1, layer.units * channels // fewest)) if layer.units else layer
            for layer in self.layers_of(arch)
        ]
        return ChainNetwork(layers, self.image_px, objective_of(task))


def _bin(side: Ints) -> Ints:
    """The least member of each side's bin."""
    return np.array(BINS)[np.searchsorted(BINS, side, side="right") - 1]


def _passed_over(scanner: Scanner) -> None:
    """Read the number of classes in brackets, if there is one."""
    if scanner.accept("("):
        scanner.number(10**6, "a number of classes")
        scanner.expect(")")
