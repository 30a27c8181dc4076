"""Once-for-all's MobileNetV3 space: depths, kernels, expansions, and the images' size."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.mobile_blocks import Block, divisible
from nasrun.nets.mobilenet_v3 import STAGES, Body, Layer, body
from nasrun.ranges import require_at_least, require_positive
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.mobile_skeleton import block_cost, ends_cost
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Objective, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

ABSENT = "0"  # what stands for a layer that a network does not have


@dataclass
class MobileNetV3(ConditionalSpace):
    """The space of Cai et al., "Once-for-All" (ICLR 2020), section 3.2 and appendix A.

    Five stages of ``depths`` layers, each an inverted residual block with one of ``kernels`` and
    one of ``expansions``, and images of one of ``resolutions``. Decisions: the five depths, the
    kernel of every layer, its expansion, the resolution. A layer beyond its stage's depth does not
    exist, so that a network has one encoding. The network scales images to its resolution; with
    no ``resolutions`` there is no such decision, and it takes the task's.

    The defaults are the authors': ``width`` 1.0 or 1.2 multiplies all ``channels``, rounded to
    multiples of 8.

    Raises:
        ConfigError: lists that are empty, repeat a value or have another length, kernels that are
            even, or what has two digits but for the resolutions and channels.
    """

    name: str = "mobilenet_v3"
    width: float = 1.0
    channels: list[int] = field(default_factory=lambda: [16, 16, 24, 40, 80, 112, 160, 960, 1280])
    strides: list[int] = field(default_factory=lambda: [2, 2, 2, 2, 1, 2])
    depths: list[int] = field(default_factory=lambda: [2, 3, 4])
    kernels: list[int] = field(default_factory=lambda: [3, 5, 7])
    expansions: list[int] = field(default_factory=lambda: [3, 4, 6])
    resolutions: list[int] = field(default_factory=lambda: list(range(128, 225, 4)))

    def __post_init__(self) -> None:
        require_positive(self, "space", "width")
        names = ("channels", "strides", "depths", "kernels", "expansions", "resolutions")
        require_at_least(self, "space", 1, *names)
        for name, length in (("channels", STAGES + 4), ("strides", STAGES + 1)):
            if len(getattr(self, name)) != length:
                raise ConfigError(
                    f"space.{name} must list {length} numbers, got {getattr(self, name)}"
                )
        require_at_least(self, "space", 2, "expansions")  # so that every block widens
        for name in ("depths", "kernels", "expansions"):
            values: list[int] = getattr(self, name)
            if not values or sorted(set(values)) != values or values[-1] > 9:
                raise ConfigError(
                    f"space.{name} must list digits above 0 in rising order, got {values}"
                )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ConfigError(f"space.kernels must be odd numbers, got {self.kernels}")
        if sorted(set(self.resolutions)) != list(self.resolutions):
            raise ConfigError(
                f"space.resolutions must list pixels in rising order, got {self.resolutions}"
            )

    @property
    def most(self) -> int:
        """Layers that a stage has at most."""
        return self.depths[-1]

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Depths, kernels, expansions, and the resolution."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        layers = STAGES * self.most
        choices = [(STAGES, "d", self.depths), (layers, "k", self.kernels)]
        choices += [(layers, "e", self.expansions), (bool(self.resolutions), "r", self.resolutions)]
        rows = [(tuple(f"{letter}{v}" for v in values),) * n for n, letter, values in choices]
        return tuple(row for group in rows for row in group)

    def parts(self, archs: Archs) -> tuple[Archs, Archs, Archs, Archs]:
        """Options ``(n, 5)`` of depths, ``(n, layers)`` of kernels and expansions, ``(n, 1 or 0)``.

        The last is the resolution's.
        """
        layers = STAGES * self.most
        depths, kernels, expansions, resolution = np.split(
            archs, [STAGES, STAGES + layers, STAGES + 2 * layers], axis=1
        )
        return depths, kernels, expansions, resolution

    def present(self, archs: Archs) -> Mask:
        """``(n, layers)`` which layers a network has."""
        depths = np.array(self.depths)[archs[:, :STAGES]]
        return np.tile(np.arange(self.most), STAGES) < np.repeat(depths, self.most, axis=1)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` all options, but only the first for a layer that does not exist."""
        n, place = prefix.shape
        legal, layers = np.ones((n, self._counts[place]), np.bool_), STAGES * self.most
        if STAGES <= place < STAGES + 2 * layers:
            stage, at = divmod((place - STAGES) % layers, self.most)
            legal[prefix[:, stage] < self._deep[at], 1:] = False
        return legal

    @cached_property
    def _counts(self) -> list[int]:
        return self.arity.tolist()

    @cached_property
    def _deep(self) -> list[int]:
        """The first option of a depth by which each layer of a stage exists."""
        return [bisect_right(self.depths, at) for at in range(self.most)]

    @property
    def networks(self) -> int:
        """How many different networks there are."""
        kinds = len(self.kernels) * len(self.expansions)
        stage = sum(kinds**depth for depth in self.depths)
        return stage**STAGES * max(1, len(self.resolutions))

    # Texts

    def text(self, arch: Archs) -> str:
        """Kernels, expansions, depths, resolution: ``7500...,3600...,22222,224``.

        The digits of HELP's table, with 0 for a layer that does not exist.
        """
        parts, present = self.parts(arch[None]), self.present(arch[None])[0]
        depths, kernels, expansions, resolution = (part[0] for part in parts)

        def digits(options: Ints, values: Sequence[int]) -> str:
            pairs = zip(options, present, strict=True)
            return "".join(str(values[option]) if there else ABSENT for option, there in pairs)

        fields = [digits(kernels, self.kernels), digits(expansions, self.expansions)]
        fields += ["".join(str(self.depths[option]) for option in depths)]
        fields += [str(self.resolutions[option]) for option in resolution]
        return ",".join(fields)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of such a text.

        What stands for layers that do not exist is passed over, as HELP's table has it.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("a MobileNetV3", text)
        scanner.blanks()
        start, layers = scanner.place, STAGES * self.most
        kernels = [scanner.digit(10) for _ in range(layers)]
        scanner.exactly(",")
        expansions = [scanner.digit(10) for _ in range(layers)]
        scanner.exactly(",")
        found = [self._option(scanner, self.depths) for _ in range(STAGES)]
        present = self.present(np.array([found]))[0]
        for offset, digits, values in (
            (start, kernels, self.kernels),
            (start + layers + 1, expansions, self.expansions),
        ):
            for at, (digit, there) in enumerate(zip(digits, present, strict=True)):
                if there and digit not in values:
                    why = f"expected one of {', '.join(map(str, values))}"
                    raise scanner.bad(why, offset + at)
                found.append(values.index(digit) if there else 0)
        if self.resolutions:
            scanner.exactly(",")
            place = scanner.place
            pixels = scanner.number(self.resolutions[-1] + 1, "a resolution")
            if pixels not in self.resolutions:
                raise scanner.bad("expected one of space.resolutions", place)
            found.append(self.resolutions.index(pixels))
        scanner.end("text")
        return np.array(found, np.int64)

    def _option(self, scanner: Scanner, values: Sequence[int]) -> int:
        place, digit = scanner.place, scanner.digit(10)
        if digit not in values:
            raise scanner.bad(f"expected one of {', '.join(map(str, values))}", place)
        return values.index(digit)

    # Encodings

    @property
    def encodings(self) -> tuple[str, ...]:
        """Also ``layers`` and ``layers_by_area``: see ``encode``."""
        return (*super().encodings, "layers", "layers_by_area")

    @property
    def cost_encoding(self) -> str:
        """What a layer costs grows with the pixels that it works on."""
        return "layers_by_area"

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` of a named encoding.

        ``layers`` has the kernel and expansion of each layer, one-hot, and zeros where there is no
        layer, as the authors' accuracy predictor reads them ([OFA] ``accuracy_predictor.py``), then
        the resolution, one-hot. ``layers_by_area`` has, in place of the latter, the same numbers
        times the area of the images, the area and the width, each as a share of the largest.
        """
        encoding = self.require_encoding(encoding)
        if encoding not in ("layers", "layers_by_area"):
            return super().encode(archs, encoding)
        flat = archs.reshape(-1, archs.shape[-1])
        _, kernels, expansions, resolution = self.parts(flat)
        present = self.present(flat)[..., None]
        layers = [
            np.eye(len(values))[options] * present
            for options, values in ((kernels, self.kernels), (expansions, self.expansions))
        ]
        widths = [part.shape[1] * part.shape[2] for part in layers]
        flattened = [p.reshape(len(flat), width) for p, width in zip(layers, widths, strict=True)]
        features = np.concatenate(flattened, axis=1)
        if self.resolutions and encoding == "layers":
            onehot = np.eye(len(self.resolutions))[resolution[:, 0]]
            features = np.concatenate([features, onehot], axis=1)
        elif self.resolutions:
            pixels = np.array(self.resolutions, np.float64)
            width = (pixels / pixels[-1])[resolution]
            features = np.concatenate([features, features * width**2, width**2, width], axis=1)
        return features.reshape(*archs.shape[:-1], features.shape[1])

    # Graphs

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output, and what a layer is: its stage's depth, its kernel and its expansion."""
        return self._dag_operations

    @cached_property
    def _dag_operations(self) -> tuple[str, ...]:
        kinds = product(self.depths, self.kernels, self.expansions)
        return ("input", "output", *(f"d{d}_k{k}_e{e}" for d, k, e in kinds))

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as chains, of 22 vertices by default, without the resolution.

        As in MetaD2A's MobileNetV3 search: a layer's vertex says the depth of its stage, too. A
        layer that does not exist has the first kernel and expansion.
        """
        depths, kernels, expansions, _ = self.parts(archs)
        of_layer = np.repeat(depths, self.most, axis=1)
        kinds = (of_layer * len(self.kernels) + kernels) * len(self.expansions) + expansions
        at = np.arange(STAGES * self.most)
        return line_graph(at, at + 1, 2 + kinds, outputs=[len(at)])

    def of_vertices(self, operations: Ints) -> Archs:
        """``(n, L)`` architectures with these ``operations (n, V)``, at the highest resolution.

        A stage is as deep as its first layer says.
        """
        kinds = np.clip(operations[:, 1:-1] - 2, 0, None)
        kinds, expansions = np.divmod(kinds, len(self.expansions))
        depths, kernels = np.divmod(kinds, len(self.kernels))
        depths = depths[:, :: self.most] % len(self.depths)
        resolution = np.full((len(kinds), int(bool(self.resolutions))), len(self.resolutions) - 1)
        archs = np.concatenate([depths, kernels, expansions, resolution], axis=1)
        return self.mended(archs.astype(np.int64))

    def graph(self, arch: Archs) -> Edges:
        """The chain of layers that there are."""
        _, kernels, expansions, _ = self.parts(arch[None])
        there = np.flatnonzero(self.present(arch[None])[0])
        names = [
            f"k{self.kernels[kernels[0, at]]}_e{self.expansions[expansions[0, at]]}" for at in there
        ]
        return [(str(at), str(at + 1), name) for at, name in enumerate(names)]

    # Networks

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        One FLOP a multiplication, or a bias of the classifier, at the network's own resolution.
        """
        totals = np.zeros((2, len(archs)), np.int64)
        pixels = self.pixels(archs, task)
        for px in np.unique(pixels).tolist():
            rows = np.flatnonzero(pixels == px)
            totals[:, rows] = self._costs(archs[rows], self._body(Scale()), px, task.classes)
        return in_millions(totals)

    def pixels(self, archs: Archs, task: Task) -> Ints:
        """``(n,)`` width of the images that a network works on."""
        resolution = self.parts(archs)[-1]
        if not self.resolutions:
            return np.full(len(archs), task.image_px)
        return np.array(self.resolutions)[resolution[:, 0]]

    def _costs(self, archs: Archs, body: Body, px: int, classes: int) -> Ints:
        """``(2, n)`` of networks that work on images of ``px`` pixels."""
        _, kernels, expansions, _ = self.parts(archs)
        present, at = self.present(archs), 0
        start = px = -(-px // body.ends.stride)
        totals = np.repeat(block_cost(body.first, px)[:, None], len(archs), axis=1)
        for stage in body.stages:
            known = dict[tuple[Layer, int], Ints]()
            for layer in stage:
                if (layer, px) not in known:
                    known[layer, px] = self._by_option(layer, px)
                own = known[layer, px][:, kernels[:, at], expansions[:, at]]
                totals += own * present[:, at]
                px, at = -(-px // layer.place.stride), at + 1
        return totals + ends_cost(body.ends, start, px, classes)[:, None]

    def _by_option(self, layer: Layer, px: int) -> Ints:
        """``(2, kernels, expansions)`` costs of a layer's blocks."""
        costs = [block_cost(layer.block(k, e), px) for k in self.kernels for e in self.expansions]
        return np.stack(costs, axis=1).reshape(2, len(self.kernels), len(self.expansions))

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``.

        Raises:
            UnsupportedError: a number of cells, or a task that is not to name a class.
        """
        from nasrun.nets.inverted_residual import Network

        objective, body = self._objective(task), self._body(scale)
        return Network(
            [body.first, *self.blocks(arch, body)], body.ends, objective, px=self._resized(arch)
        )

    def blocks(self, arch: Archs, body: Body) -> list[Block]:
        """Those of the layers that ``arch (L,)`` has."""
        _, kernels, expansions, _ = self.parts(arch[None])
        layers = [layer for stage in body.stages for layer in stage]
        return [
            layers[at].block(self.kernels[kernels[0, at]], self.expansions[expansions[0, at]])
            for at in np.flatnonzero(self.present(arch[None])[0])
        ]

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """The largest network, of which all others are parts; mixing rows are the decisions.

        Its normalisation judges by the batch even where ``track`` asks for running statistics,
        which subnetworks of many widths cannot share.

        Raises:
            UnsupportedError: channels that bypass the blocks; see ``build`` for the others.
        """
        from nasrun.nets.once_for_all import OnceForAll

        if share > 1:
            raise UnsupportedError(
                f"space={self.name} has blocks that change the number of channels, which cannot "
                "pass them by as algorithm=pc_darts and drnas want it: choose another algorithm"
            )
        choices = self.depths, self.kernels, self.expansions, self.resolutions
        objective = self._objective(task)
        return OnceForAll(self.decisions, self._body(scale), choices, self.mended, objective)

    def mended(self, archs: Archs) -> Archs:
        """``(n, L)`` the same with the option 0 for layers that do not exist."""
        _, kernels, expansions, _ = self.parts(archs)
        there = self.present(archs)
        mended, layers = archs.copy(), there.shape[1]
        mended[:, STAGES : STAGES + layers] = kernels * there
        mended[:, STAGES + layers : STAGES + 2 * layers] = expansions * there
        return mended

    def _resized(self, arch: Archs) -> int | None:
        return self.resolutions[arch[-1]] if self.resolutions else None

    def _objective(self, task: Task) -> Objective:
        from nasrun.nets.classification import Classification, objective_of

        objective = objective_of(task)
        if not isinstance(objective, Classification):
            raise UnsupportedError(
                f"space={self.name} ends in a layer behind the pooling, which names classes, and "
                f"that is not what task={task.name} is for: set space=proxyless or another one"
            )
        return objective

    def _body(self, scale: Scale) -> Body:
        if scale.cells is not None:
            raise UnsupportedError(
                f"space={self.name} decides on the depth of each stage: leave the number of cells "
                "at null"
            )
        factor = self.width
        if scale.channels is not None:
            factor = scale.channels / self.channels[0]
        by = 8 if scale.channels is None else 1
        return body([divisible(c * factor, by) for c in self.channels], self.strides, self.most)
