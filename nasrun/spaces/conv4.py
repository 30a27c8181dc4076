"""MAML's networks: four modules of convolution and pooling, each with its number of filters."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Scale, Task

if TYPE_CHECKING:
    from torch import nn

MODULES = 4
LEAST_PX = 2**MODULES  # of an image whose last maps have a pixel
LONGEST = 10_000  # of a number in a text


@dataclass
class Conv4(CategoricalSpace):
    """The filters of four modules of 3x3 convolution, batch normalisation, ReLU and 2x2 pooling.

    Finn et al., "Model-Agnostic Meta-Learning" (ICML 2017), section 5.2, after Vinyals et al.,
    "Matching Networks" (NIPS 2016), section 4.1.1: ``64-64-64-64``, and for mini-ImageNet
    ``32-32-32-32`` against overfitting, the baseline of few-shot searches. The classifier reads all
    pixels of the last maps. That filters may differ by module is ours: it makes a small space of it
    that can be searched.

    Raises:
        ConfigError: no filters, a number below 1 or one given twice.
    """

    name: str = "conv4"
    filters: list[int] = field(default_factory=lambda: [16, 32, 48, 64])

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "filters")
        if not self.filters or len(set(self.filters)) < len(self.filters):
            raise ConfigError(f"space.filters must hold numbers, each once, got {self.filters}")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The numbers of filters, for each of the four modules."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        return (tuple(map(str, self.filters)),) * MODULES

    def filters_of(self, archs: Archs) -> Ints:
        """``(..., 4)`` filters of each module of ``archs (..., 4)``."""
        return np.array(self.filters)[archs]

    def text(self, arch: Archs) -> str:
        """Such as ``32-32-32-32``."""
        return "-".join(map(str, self.filters_of(arch)))

    def parse(self, text: str) -> Archs:
        """``(4,)`` architecture of a text.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner, arch = Scanner("a conv4", text), list[int]()
        for module in range(MODULES):
            if module:
                scanner.expect("-")
            scanner.blanks()
            start = scanner.place
            count = scanner.number(LONGEST, "a number of filters")
            if count not in self.filters:
                known = ", ".join(map(str, self.filters))
                raise scanner.bad(f"expected one of {known}", start)
            arch.append(self.filters.index(count))
        scanner.end("list")
        return np.array(arch, np.int64)

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the numbers of filters."""
        return ("input", "output", *map(str, self.filters))

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 4)`` as chains of six vertices: input, modules, output."""
        modules = np.arange(MODULES)
        return line_graph(modules, modules + 1, 2 + archs, outputs=[MODULES])

    def graph(self, arch: Archs) -> Edges:
        """The chain of modules, by their filters."""
        counts = self.filters_of(arch)
        return [(str(at), str(at + 1), f"conv 3x3 {count}") for at, count in enumerate(counts)]

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions; NaN for images that are too small.

        With a classifier of ``task.classes``. FLOPs are one a multiplication.
        """
        side = task.image_px
        if task.objective is not None or side < LEAST_PX:
            return super().footprint(archs, task)
        cost, before = np.zeros((2, len(archs)), np.int64), np.full(len(archs), 3)
        for count in self.filters_of(archs).T:
            cost += conv(3, before, count, side)
            cost[0] += count  # biases
            before, side = count, side // 2
        return in_millions(cost + (before * side**2 + 1) * task.classes)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (4,)``; ``scale.channels`` are those of the fewest filters.

        Raises:
            UnsupportedError: images that are too small, or a number of cells.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.conv4 import Conv4Network

        if task.image_px < LEAST_PX:
            raise UnsupportedError(
                f"space=conv4 halves images four times and needs at least {LEAST_PX} pixels, "
                f"task={task.name} has {task.image_px}: raise task.image_px"
            )
        if scale.cells is not None:
            raise UnsupportedError(
                "space=conv4 always has four modules: leave evaluator.cells at null"
            )
        fewest = min(self.filters)
        counts = self.filters_of(arch) * (scale.channels or fewest) // fewest
        return Conv4Network(counts.tolist(), task.image_px, objective_of(task))
