"""Residual networks by their code: base width, blocks, and where maps widen and halve."""

from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from nasrun.draws import pick
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spaces.residual_skeleton import (
    BASE_DEPTHS,
    WIDER,
    Block,
    Stem,
    code_of,
    cost,
    counts_of,
    read_code,
    stages_of,
)
from nasrun.spaces.skeleton import in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Scale, Streams, Task

if TYPE_CHECKING:
    from torch import nn

FIRST_PART = 3  # decisions before those on stages and widths


@dataclass
class Residual(ConditionalSpace):
    """CATCH's space of residual backbones: a base width, and ``depth`` blocks in a chain.

    Chen et al., "CATCH" (ECCV 2020), section 4.3: base channel of 48 to 72, 15 to 30 blocks, 4 or 5
    stages, the blocks of each stage, and those of each width. Decisions are these: base, depth,
    stages, the blocks of all stages but the last, and the blocks of all widths but the last. What
    is last gets the rest; a decision may take no more blocks than leave one for each that follows.
    Every stage but the first halves the maps; a block that ``doublings`` places fall on doubles the
    width; the two are independent of each other.

    The paper's appendix is lost. Block type, stem and strides are those of the code that writes
    such networks as digits (``noah_vega``, ResNetVariantDet): bottlenecks, two 3x3 convolutions of
    stride 2, 1, 2, 2 and, our choice, 2 for a fifth stage; three doublings. With ``stem=resnet``
    and their depths it holds ResNet-50 (``64x16_111-2111-211111-211``) and its relatives exactly.

    Raises:
        ConfigError: a list that is empty or holds a number twice; a count or width out of range; a
            depth that has no block for each stage and width.
    """

    name: str = "residual"
    base_channels: list[int] = field(default_factory=lambda: [48, 56, 64, 72])
    depths: list[int] = field(default_factory=lambda: [15, 20, 25, 30])
    stages: list[int] = field(default_factory=lambda: [4, 5])
    doublings: int = 3
    block: Block = Block.bottleneck
    stem: Stem = Stem.convs
    stem_stride: int = 4

    def __post_init__(self) -> None:
        require_at_least(self, "space", 2, "base_channels")  # the stem begins with half of them
        require_at_least(self, "space", 1, "depths", "stages")
        require_not_negative(self, "space", "doublings")
        for key in ("base_channels", "depths", "stages"):
            values: list[int] = getattr(self, key)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"space.{key} must hold numbers, each once, got {values}")
        if min(self.depths) < (least := max(*self.stages, self.doublings + 1)):
            raise ConfigError(
                f"space.depths must leave a block for each of {least} stages or widths, got "
                f"{min(self.depths)}"
            )
        if self.stem_stride not in (1, 2, 4):
            raise ConfigError(f"space.stem_stride must be 1, 2 or 4, got {self.stem_stride}")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Base, depth, number of stages, then numbers of blocks, from 1 on."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        choices = (self.base_channels, self.depths, self.stages)
        return (
            *(tuple(map(str, options)) for options in choices),
            *(self._counts(max(2, min(self.stages))),) * (max(self.stages) - 1),
            *(self._counts(self.doublings + 1),) * self.doublings,
        )

    def _counts(self, parts: int) -> tuple[str, ...]:
        """Numbers of blocks that one of so many parts can have."""
        return tuple(str(count) for count in range(1, max(self.depths) - parts + 2))

    @property
    def networks(self) -> int:
        """Every encoding that exists is a network of its own: 523,732,540."""
        ways = (
            sum(comb(depth - 1, stages - 1) for stages in self.stages)
            * comb(depth - 1, self.doublings)
            for depth in self.depths
        )
        return len(self.base_channels) * sum(ways)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` numbers of blocks that leave one for each part that follows."""
        return self._ways(prefix) > 0

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures: base, depth and stages uniform, then the places of changes.

        Each set of places is as likely as any other, of stages and of widths. Numbers of blocks
        drawn uniformly one by one would give the first stage half of them.
        """
        uniforms = streams.uniform(len(self.arity))
        archs = np.zeros(uniforms.shape, np.int64)
        for place in range(len(self.arity)):
            archs[:, place] = pick(self._ways(archs[:, :place]), uniforms[:, place])
        return archs

    def _ways(self, prefix: Archs) -> Floats:
        """``(n, options)`` in how many ways the parts that follow an option can be filled.

        An option that is not legal has none; 1 for each option of what is no number of blocks.
        """
        n, place = prefix.shape
        options = len(self.decisions[place])
        if place < FIRST_PART:
            return np.ones((n, options))
        begin, parts = FIRST_PART, np.array(self.stages)[prefix[:, 2]]
        if place >= FIRST_PART + max(self.stages) - 1:
            begin, parts = FIRST_PART + max(self.stages) - 1, np.full(n, self.doublings + 1)
        later = parts - (place - begin) - 1  # parts after this one
        before = (prefix[:, begin:] + 1).sum(axis=1)
        left = np.array(self.depths)[prefix[:, 1]] - before
        rest = left[:, None] - np.arange(1, options + 1)
        # ``rest`` blocks in a row have ``rest - 1`` places between them for ``later - 1`` cuts.
        ways = self._cuts[np.maximum(rest - 1, 0), np.maximum(later - 1, 0)[:, None]]
        ways = np.where(rest > 0, ways, 0.0)
        return np.where((later > 0)[:, None], ways, np.arange(options) == 0)

    @cached_property
    def _cuts(self) -> Floats:
        """``(places, cuts)`` binomial coefficients."""
        places, cuts = max(self.depths), max(*self.stages, self.doublings + 1)
        return np.array([[comb(n, k) for k in range(cuts)] for n in range(places)], np.float64)

    def parts(self, arch: Archs) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Base channel, blocks of each stage, and blocks of each width of ``arch (L,)``."""
        depth, stages = self.depths[arch[1]], self.stages[arch[2]]
        widths_at = FIRST_PART + max(self.stages) - 1
        of_stages = (arch[FIRST_PART : FIRST_PART + stages - 1] + 1).tolist()
        of_widths = (arch[widths_at:] + 1).tolist()
        return (
            self.base_channels[arch[0]],
            (*of_stages, depth - sum(of_stages)),
            (*of_widths, depth - sum(of_widths)),
        )

    def code(self, arch: Archs) -> str:
        """The blocks alone: ``1`` each, ``2`` where the width doubles, ``-`` between stages."""
        _, of_stages, of_widths = self.parts(arch)
        return code_of(of_stages, of_widths)

    def text(self, arch: Archs) -> str:
        """Such as ``64x16_111-2111-211111-211``: base channel, depth and the code of blocks."""
        base, of_stages, _ = self.parts(arch)
        return f"{base}x{sum(of_stages)}_{self.code(arch)}"

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text; ``64_CODE`` and ``r50_64_CODE`` are read, too.

        Raises:
            ConfigError: not in the format, or none of the space; the message shows the place.
        """
        scanner = Scanner("a residual", text)
        if scanner.accept("r"):
            base_depth = scanner.number(1000, "a ResNet's depth")
            if base_depth not in BASE_DEPTHS[self.block]:
                known = ", ".join(f"r{depth}" for depth in BASE_DEPTHS[self.block])
                raise scanner.bad(f"blocks here are {self.block.value}: expected {known}", 0)
            scanner.expect("_")
        base, depth = self._read_option(scanner, self.base_channels, "a base channel"), None
        if scanner.accept("x"):
            depth = self._read_option(scanner, self.depths, "a depth")
        scanner.expect("_")
        start, code = scanner.place, read_code(scanner)
        scanner.end("code")
        of_stages, of_widths = counts_of(code)
        blocks = sum(of_stages)
        if blocks not in self.depths or (depth is not None and self.depths[depth] != blocks):
            wanted = self.depths if depth is None else self.depths[depth : depth + 1]
            raise scanner.bad(f"expected {_either(wanted)} blocks, found {blocks}", start)
        if len(of_stages) not in self.stages:
            raise scanner.bad(
                f"expected {_either(self.stages)} stages, found {len(of_stages)}", start
            )
        if len(of_widths) != self.doublings + 1:
            raise scanner.bad(
                f"expected {self.doublings} doublings, found {len(of_widths) - 1}", start
            )
        absent = [1] * (max(self.stages) - len(of_stages))
        counts = np.array([*of_stages[:-1], *absent, *of_widths[:-1]], np.int64) - 1
        chosen = [base, self.depths.index(blocks), self.stages.index(len(of_stages))]
        return np.concatenate([np.array(chosen, np.int64), counts])

    def _read_option(self, scanner: Scanner, options: list[int], what: str) -> int:
        """Read a number; returns its place among the options."""
        start = scanner.place
        number = scanner.number(10**9, what)
        if number not in options:
            raise scanner.bad(f"expected {what} of {_either(options)}", start)
        return options.index(number)

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output, the stems by their channels, and the four kinds of blocks."""
        stems = (f"stem {channels}" for channels in self.base_channels)
        return ("input", "output", *stems, "block", "wider", "halved", "wider and halved")

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as chains: input, stem, blocks, output; vertices behind are absent."""
        vertices = max(self.depths) + 3
        operations = np.full((len(archs), vertices), -1, np.int64)
        kinds = 2 + len(self.base_channels)
        for row, arch in zip(operations, archs, strict=True):
            stages = self.code(arch).split("-")
            row[:2] = 0, 2 + arch[0]
            blocks = [
                kinds + (digit == WIDER) + 2 * (number > 0 and not at)
                for number, stage in enumerate(stages)
                for at, digit in enumerate(stage)
            ]
            row[2 : 3 + len(blocks)] = [*blocks, 1]
        chain = np.arange(vertices)[:, None] + 1 == np.arange(vertices)
        there = operations >= 0
        return Dag(chain & there[:, :, None] & there[:, None, :], operations)

    def graph(self, arch: Archs) -> Edges:
        """The chain of stem and blocks; blocks of one stage and width are one edge."""
        base, of_stages, of_widths = self.parts(arch)
        names = [f"stem {base}"]
        for number, sizes in enumerate(stages_of(of_stages, of_widths, base, self.block)):
            widths = [width for _, width, _ in sizes]
            for width in dict.fromkeys(widths):
                count, halves = widths.count(width), number > 0 and width == widths[0]
                names.append(f"{count} x {width}{', halved' * halves}")
        return [(str(at), str(at + 1), name) for at, name in enumerate(names)]

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions with a classifier; NaN for other heads."""
        if task.objective is not None:
            return super().footprint(archs, task)
        costs: list[Ints] = []
        for arch in archs:
            base, of_stages, of_widths = self.parts(arch)
            sizes = stages_of(of_stages, of_widths, base, self.block)
            stem = (self.stem, self.stem_stride)
            costs.append(cost(self.block, *stem, sizes, task.image_px, task.classes))
        return in_millions(np.array(costs, np.int64).reshape(-1, 2).T)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``; ``scale.channels`` are those of the least base channel.

        Its stages are ``stage1``, ``stage2``, ...; ``maps(x)`` gives the last maps of each, of
        which ``widths`` and ``strides`` tell channels and resolution.

        Raises:
            UnsupportedError: a number of cells, or too few channels.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.residual import ResidualNetwork

        if scale.cells is not None:
            raise UnsupportedError(
                "space=residual decides on its blocks: leave evaluator.cells at null"
            )
        base, of_stages, of_widths = self.parts(arch)
        least = min(self.base_channels)
        base = base * (scale.channels or least) // least
        if base < 2:
            raise UnsupportedError(
                f"space=residual needs at least 2 channels in its first stage, got {base}: raise "
                "evaluator.channels"
            )
        stages = stages_of(of_stages, of_widths, base, self.block)
        return ResidualNetwork(
            self.block.value, self.stem.value, self.stem_stride, stages, objective_of(task)
        )


def _either(options: list[int]) -> str:
    return " or ".join(map(str, options))
