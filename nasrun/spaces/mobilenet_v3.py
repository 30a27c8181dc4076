"""Once-for-all's MobileNetV3 space: depths, kernels, expansions, and the images' size."""

from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from nasrun.benchmarks.accuracy_predictor import INPUTS, size_onehot, tells_apart
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.mobile_blocks import Block, MobileLayers, divisible
from nasrun.nets.mobilenet_v3 import STAGES, Body, Layer, body
from nasrun.ranges import require_at_least, require_positive
from nasrun.spaces.elastic import ElasticSpace
from nasrun.spaces.mobile_skeleton import block_cost, ends_cost
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Archs, Floats, Ints, Objective, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn


@dataclass
class MobileNetV3(ElasticSpace):
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

    @property
    def encodings(self) -> tuple[str, ...]:
        """Also that of the authors' accuracy predictor, if it knows these networks."""
        own = (INPUTS,) if self.resolutions and all(map(tells_apart, self.resolutions)) else ()
        return (*super().encodings, *(own if self._as_published else ()))

    @property
    def _as_published(self) -> bool:
        """But for the resolutions."""
        own = fields(MobileNetV3)
        names = [each.name for each in own if each.name not in ("name", "resolutions")]
        default = MobileNetV3(resolutions=[])
        return all(getattr(self, name) == getattr(default, name) for name in names)

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` of a named encoding: see ElasticSpace.

        ``once_for_all`` is ``layers`` with the eight sizes of images that the authors' predictor
        tells apart in the place of the resolutions.
        """
        encoding = self.require_encoding(encoding)
        if encoding != INPUTS:
            return super().encode(archs, encoding)
        layers = super().encode(archs, "layers")[..., : -len(self.resolutions)]
        sizes = size_onehot(np.array(self.resolutions))[archs[..., -1]]
        return np.concatenate([layers, sizes], axis=-1)

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

        objective, (blocks, ends, _) = self._objective(task), self.layers(arch, task, scale)
        return Network(blocks, ends, objective, px=self._resized(arch))

    def layers(self, arch: Archs, task: Task, scale: Scale) -> MobileLayers:
        """Those of the network of ``arch (L,)``.

        Raises:
            UnsupportedError: a number of cells.
        """
        body = self._body(scale)
        px = self._resized(arch) or task.image_px
        return MobileLayers((body.first, *self.blocks(arch, body)), body.ends, px)

    def covering(self) -> Archs:
        """``(n, L)`` networks that have every block of the space between them, at all sizes."""
        layers = STAGES * self.most
        deepest, sized = [len(self.depths) - 1] * STAGES, bool(self.resolutions)
        counts = len(self.kernels), len(self.expansions), max(1, len(self.resolutions))
        rows = [
            deepest + [kernel] * layers + [expansion] * layers + [size] * sized
            for kernel, expansion, size in product(*map(range, counts))
        ]
        return np.array(rows, np.int64)

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
