"""Chains of convolutions that grow by network morphisms: wider, deeper, with skips."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.layer_chain import Chain, Layer
from nasrun.ranges import require_at_least
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spec import Archs, Edges, Ints, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

ABSENT = "none"


@dataclass
class Net2Net(ConditionalSpace):
    """``blocks`` of one to ``depth`` convolutions with max pooling between, then up to ``full``.

    Cai et al., "Efficient Architecture Search by Network Transformation" (AAAI 2018), and their
    code: kernels, filters and units of a list. A convolution is followed by batch normalisation and
    ReLU; fully connected layers read the averages of the last maps. With the skips of Elsken et
    al., "Simple and Efficient Architecture Search for Convolutional Neural Networks" (2017): a
    layer's output is mixed with its input, where both are as wide.

    A layer has three decisions: kernel (or none, after the first of a block), filters, skip. What
    ``morphs`` gives are the network morphisms of both papers: the next number of filters of the
    list, for all layers that skips join; a new layer behind another, as wide; a new skip.

    Raises:
        ConfigError: a count below 1, a list that is not rising, or kernels that are not odd.
    """

    name: str = "net2net"
    blocks: int = 5
    depth: int = 10
    kernels: list[int] = field(default_factory=lambda: [1, 3, 5])
    filters: list[int] = field(
        default_factory=lambda: [16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512, 576, 640]
    )
    full: int = 2
    units: list[int] = field(
        default_factory=lambda: [64, 128, 256, 384, 512, 640, 768, 896, 1024, 1152, 1280]
    )

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "blocks", "depth", "kernels", "filters", "units")
        require_at_least(self, "space", 0, "full")
        for key in ("kernels", "filters", "units"):
            values: list[int] = getattr(self, key)
            if not values or values != sorted(set(values)):
                raise ConfigError(f"space.{key} must hold numbers in rising order, got {values}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ConfigError(f"space.kernels must be odd numbers, got {self.kernels}")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """By layer kernel, filters and skip; then the units of each fully connected layer."""
        kernels, filters = tuple(map(str, self.kernels)), tuple(map(str, self.filters))
        first = (kernels, filters, ("no", "yes"))
        block = first + ((ABSENT, *kernels), filters, ("no", "yes")) * (self.depth - 1)
        return block * self.blocks + ((ABSENT, *map(str, self.units)),) * self.full

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)``: what is absent stays so; a skip wants what it joins to be as wide."""
        n, place = prefix.shape
        legal = np.ones((n, int(self.arity[place])), np.bool_)
        slot, kind = divmod(place, 3)
        at = slot % self.depth  # in its block
        if slot >= self.blocks * self.depth:
            before = place - 1
            if before >= 3 * self.blocks * self.depth:
                legal[prefix[:, before] == 0, 1:] = False
        elif kind == 0:
            if at > 1:
                legal[prefix[:, place - 3] == 0, 1:] = False
        elif kind == 1:
            if at:
                legal[prefix[:, place - 1] == 0, 1:] = False
        else:
            absent = (prefix[:, place - 2] == 0) & (at > 0)
            legal[absent | (self._read(prefix, slot) != prefix[:, place - 1]), 1:] = False
        return legal

    def _read(self, prefix: Archs, slot: int) -> Ints:
        """``(n,)`` number of the filters that the layer of a slot reads; -1: it reads images."""
        read = np.full(len(prefix), -1)
        first = slot - 1 if slot % self.depth else slot - self.depth
        for before in range(max(first, 0), slot):
            here = (prefix[:, 3 * before] > 0) | (before % self.depth == 0)
            read = np.where(here, prefix[:, 3 * before + 1], read)
        return read

    def chain(self, arch: Archs) -> Chain:
        """The layers of ``arch (L,)``."""
        conv = 3 * self.blocks * self.depth
        blocks = list[list[Layer]]()
        for own in arch[:conv].reshape(self.blocks, self.depth, 3).tolist():
            layers = [(kernel - (at > 0), *rest) for at, (kernel, *rest) in enumerate(own)]
            blocks.append(
                [Layer(self.kernels[k], self.filters[f], bool(s)) for k, f, s in layers if k >= 0]
            )
        full = [Layer(1, self.units[option - 1]) for option in arch[conv:].tolist() if option]
        return Chain(blocks, full)

    def of_chain(self, chain: Chain) -> Archs:
        """``(L,)`` the architecture with these layers."""
        arch = np.zeros((self.blocks, self.depth, 3), np.int64)
        for own, layers in zip(arch, chain.blocks, strict=True):
            for at, (kernel, filters, skip) in enumerate(layers):
                own[at] = self.kernels.index(kernel) + (at > 0), self.filters.index(filters), skip
        full = np.zeros(self.full, np.int64)
        full[: len(chain.full)] = [1 + self.units.index(layer.units) for layer in chain.full]
        return np.concatenate([arch.ravel(), full])

    @property
    def first(self) -> Archs:
        """``(L,)`` the network to grow from: a layer a block of kernel 3, filters doubled; ours.

        Where there is no such kernel the first, and filters as far as the list goes.
        """
        kernel = 3 if 3 in self.kernels else self.kernels[0]
        widths = [self.filters[min(at, len(self.filters) - 1)] for at in range(self.blocks)]
        return self.of_chain(Chain([[Layer(kernel, width)] for width in widths], []))

    def morphs(self, arch: Archs) -> Mapping[str, Archs]:
        """``(n, L)`` what morphisms of each kind make of ``arch (L,)``; kinds that make none go."""
        chain = self.chain(arch)
        made = {"wider": self._wider(chain), "deeper": self._deeper(chain), "skip": _skips(chain)}
        return {
            kind: np.stack([self.of_chain(each) for each in chains])
            for kind, chains in made.items()
            if chains
        }

    def _wider(self, chain: Chain) -> list[Chain]:
        """Layers that skips join get wider together."""
        grown = [self._grown(chain, {group}) for group in np.unique(_groups(chain)).tolist()]
        return [each for each in grown if each != chain]

    def _grown(self, chain: Chain, groups: set[int]) -> Chain:
        """With the layers of some groups a step wider, as far as the lists of widths go."""
        layers, convs = [*_flat(chain), *chain.full], len(_flat(chain))
        widths = [self.filters] * convs + [self.units] * len(chain.full)
        wider = {
            at: layer._replace(units=_next(widths[at], layer.units) or layer.units)
            for at, (layer, group) in enumerate(zip(layers, _groups(chain), strict=True))
            if group in groups
        }
        full = [wider.get(convs + at, layer) for at, layer in enumerate(chain.full)]
        return _with(chain, wider)._replace(full=full)

    def _deeper(self, chain: Chain) -> list[Chain]:
        found = [
            self.inserted(chain, block, at, kernel)
            for block, layers in enumerate(chain.blocks)
            for at in range(len(layers))
            for kernel in self.kernels
            if len(layers) < self.depth
        ]
        if len(chain.full) < self.full:
            found += [self.inserted(chain, self.blocks, at, 1) for at in range(len(chain.full))]
        return found

    def inserted(self, chain: Chain, block: int, at: int, kernel: int) -> Chain:
        """With a new layer behind layer ``at`` of a block, as wide; the last block is ``full``."""
        parts = [*chain.blocks, chain.full]
        own = parts[block]
        parts[block] = [*own[: at + 1], Layer(kernel, own[at].units), *own[at + 1 :]]
        return Chain(parts[:-1], parts[-1])

    # What a controller of layers acts on: convolutions block by block with poolings between, and
    # fully connected layers, which are the last block.

    @property
    def vocabulary(self) -> int:
        """Number of tokens: convolutions by kernel and filters, fully connected layers, pooling."""
        return len(self.kernels) * len(self.filters) + len(self.units) + 1

    @property
    def layer_choices(self) -> tuple[int, int, int]:
        """Number of blocks, of layers in a block, and of kernels."""
        return self.blocks + 1, max(self.depth, self.full), len(self.kernels)

    def tokens(self, arch: Archs) -> Ints:
        """``(n,)`` the layers of ``arch (L,)`` by number."""
        chain, tokens = self.chain(arch), list[int]()
        for number, block in enumerate(chain.blocks):
            tokens += [self.vocabulary - 1] * (number > 0)
            for layer in block:
                kernel, width = self.kernels.index(layer.kernel), self.filters.index(layer.units)
                tokens.append(kernel * len(self.filters) + width)
        first = len(self.kernels) * len(self.filters)
        return np.array(tokens + [first + self.units.index(own.units) for own in chain.full])

    def can_widen(self, arch: Archs) -> Mask:
        """``(n,)`` which tokens have a next width."""
        tokens, convs = self.tokens(arch), len(self.kernels) * len(self.filters)
        last = tokens % len(self.filters) == len(self.filters) - 1
        is_conv, more = tokens < convs, tokens < self.vocabulary - 2
        return np.where(is_conv, ~last, more)

    def widened(self, arch: Archs, chosen: Mask) -> Archs:
        """``(L,)`` with the ``chosen (n,)`` tokens, and what skips join to them, a step wider."""
        chain = self.chain(arch)
        is_layer = self.tokens(arch) < self.vocabulary - 1
        grown = _groups(chain)[chosen[is_layer]]
        return self.of_chain(self._grown(chain, set(grown.tolist())))

    def can_deepen(self, arch: Archs) -> Mask:
        """Behind which layers a new one may come, by block, layer and kernel."""
        chain, can = self.chain(arch), np.zeros(self.layer_choices, np.bool_)
        for number, block in enumerate(chain.blocks):
            can[number, : len(block)] = len(block) < self.depth
        can[-1, : len(chain.full), 0] = len(chain.full) < self.full
        return can

    def deepened(self, arch: Archs, block: int, layer: int, kind: int) -> Archs:
        """``(L,)`` with a layer of the kernel ``kind`` behind one of a block, as wide."""
        kernel = self.kernels[kind] if block < self.blocks else 1
        return self.of_chain(self.inserted(self.chain(arch), block, layer, kernel))

    def text(self, arch: Archs) -> str:
        """Such as ``[C(3,16), C(3,16)+] [C(3,32)] [FC(64)]``: a plus stands behind a skip."""
        chain = self.chain(arch)
        words = [
            ", ".join(f"C({kernel},{units}){'+' * skip}" for kernel, units, skip in layers)
            for layers in chain.blocks
        ]
        words.append(", ".join(f"FC({layer.units})" for layer in chain.full))
        return " ".join(f"[{own}]" for own in words)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format, or not of this space; the message shows the place.
        """
        scanner, blocks, full = Scanner("a net2net", text), list[list[Layer]](), list[Layer]()
        width = 0
        for _ in range(self.blocks):
            layers = list[Layer]()
            scanner.expect("[")
            while True:
                layers.append(self._read_layer(scanner, width))
                width = layers[-1].units
                if len(layers) == self.depth or not scanner.accept(","):
                    break
            scanner.expect("]")
            blocks.append(layers)
        scanner.expect("[")
        while len(full) < self.full and scanner.accept("," if full else "FC"):
            if full:
                scanner.expect("FC")
            scanner.expect("(")
            full.append(Layer(1, _one_of(scanner, self.units, "units")))
            scanner.expect(")")
        scanner.expect("]")
        scanner.end("chain")
        return self.of_chain(Chain(blocks, full))

    def _read_layer(self, scanner: Scanner, width: int) -> Layer:
        scanner.expect("C", "(")
        kernel = _one_of(scanner, self.kernels, "a kernel")
        scanner.expect(",")
        units = _one_of(scanner, self.filters, "filters")
        scanner.expect(")")
        if scanner.ahead("+") and units != width:
            raise scanner.bad("expected no skip, which joins layers of one width")
        return Layer(kernel, units, scanner.accept("+"))

    def graph(self, arch: Archs) -> Edges:
        """The chain, with its skips."""
        chain, edges, node = self.chain(arch), Edges(), 0
        for number, layers in enumerate(chain.blocks):
            if number:
                edges.append((str(node), str(node := node + 1), "max_pool_2x2"))
            for kernel, units, skip in layers:
                if skip:
                    edges.append((str(node), str(node + 1), "skip"))
                edges.append((str(node), str(node := node + 1), f"conv_{kernel}x{kernel} {units}"))
        for layer in chain.full:
            edges.append((str(node), str(node := node + 1), f"full {layer.units}"))
        return edges

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``; ``scale.channels`` are those of the fewest filters.

        Raises:
            UnsupportedError: a number of cells.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.net2net import ChainNetwork

        if scale.cells is not None:
            raise UnsupportedError(
                "space=net2net decides on each of its layers: leave evaluator.cells at null"
            )
        channels = scale.channels or min(self.filters)
        return ChainNetwork(self.scaled(arch, channels), objective_of(task), channels)

    def scaled(self, arch: Archs, channels: int) -> Chain:
        """The layers of ``arch (L,)`` where the fewest filters are ``channels``."""
        fewest, (blocks, full) = min(self.filters), self.chain(arch)

        def sized(layer: Layer) -> Layer:
            return layer._replace(units=max(1, layer.units * channels // fewest))

        return Chain([list(map(sized, block)) for block in blocks], list(map(sized, full)))

    def morph(self, parent: Archs, child: Archs, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Weights of ``child (L,)`` that compute what those of ``parent (L,)`` do.

        Raises:
            UnsupportedError: no morphism leads from one to the other.
        """
        from nasrun.nets.morphisms import generator_of
        from nasrun.nets.net2net import morphed

        channels = int(state["channels"])
        old, new = self.scaled(parent, channels), self.scaled(child, channels)
        made = morphed(old, new, dict(state), generator_of(parent, child))
        if made is None:
            raise UnsupportedError(
                f"space=net2net has no morphism from {self.text(parent)} to {self.text(child)}: "
                "take children from Net2Net.morphs"
            )
        return made


def _next(values: list[int], value: int) -> int | None:
    """The value behind ``value`` in a list; None: it is the last."""
    at = values.index(value) + 1
    return values[at] if at < len(values) else None


def _flat(chain: Chain) -> list[Layer]:
    return [layer for block in chain.blocks for layer in block]


def _groups(chain: Chain) -> Ints:
    """``(n,)`` by layer, fully connected ones last, the number of those that skips join."""
    return np.cumsum([not layer.skip for layer in [*_flat(chain), *chain.full]])


def _with(chain: Chain, layers: Mapping[int, Layer]) -> Chain:
    """With other convolutions at some places of the whole."""
    numbers = iter(range(len(_flat(chain))))
    blocks = [[layers.get(next(numbers), own) for own in block] for block in chain.blocks]
    return chain._replace(blocks=blocks)


def _skips(chain: Chain) -> list[Chain]:
    layers = _flat(chain)
    return [
        _with(chain, {at: layer._replace(skip=True)})
        for at, layer in enumerate(layers)
        if at and not layer.skip and layer.units == layers[at - 1].units
    ]


def _one_of(scanner: Scanner, values: list[int], what: str) -> int:
    """Read one of some numbers."""
    scanner.blanks()
    start = scanner.place
    value = scanner.number(10**9, what)
    if value not in values:
        raise scanner.bad(f"expected {what} among {', '.join(map(str, values))}", start)
    return value
