"""The DARTS space: a normal and a reduction cell of separable convolutions, pools and skips."""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.nets.darts_cells import CELLS, INPUTS, Layout
from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph, side_by_side
from nasrun.spaces.genotype import read_genotype, write_genotype
from nasrun.spec import Archs, Dag, Edges, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

SEARCH = Scale(channels=16, cells=8)  # of the supernet; [U] A, the authors' train_search.py
FINAL = Scale(channels=36, cells=20)  # of the network that is judged


class Kind(Enum):
    """How a node's two branches are decided on."""

    standard = "standard"  # a pair of different earlier nodes, and an operation for each
    factorised = "factorised"  # twice an earlier node and an operation, each for itself


@dataclass
class DARTS(CategoricalSpace):
    """Cells of Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019, section 3.1).

    Each of ``nodes`` nodes has two branches from earlier nodes. ``kind=factorised`` is the cell of
    UNAS (Vahdat et al., CVPR 2020, section 4.1), whose branches may read the same node.

    Raises:
        ConfigError: an operation twice or none at all, or an unknown one.
    """

    name: str = "darts"
    kind: Kind = Kind.standard
    nodes: int = 4
    operations: list[str] = field(default_factory=list[str])
    auxiliary: bool = True  # whether the network that is judged has an auxiliary head

    _final: ClassVar[Scale] = FINAL

    def __post_init__(self) -> None:
        if not self.operations or len(set(self.operations)) < len(self.operations):
            raise ConfigError(
                f"space.operations must name each operation once, got {self.operations}"
            )
        require_at_least(self, "space", 1, "nodes")

    @cached_property
    def layout(self) -> Layout:
        """How decisions and edges belong together."""
        return Layout(self.nodes, len(self.operations), self.kind is Kind.factorised)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Per node of either cell: pair, operation, operation; or source, operation, twice."""
        return self._decided

    @cached_property
    def _decided(self) -> tuple[tuple[str, ...], ...]:
        operations, decided = tuple(self.operations), list[tuple[str, ...]]()
        for _ in CELLS:
            for node in range(self.nodes):
                if self.kind is Kind.factorised:
                    sources = tuple(str(source) for source in range(self.layout.sources(node)))
                    decided += [sources, operations] * 2
                else:
                    pairs = tuple(f"{one}+{two}" for one, two in self.layout.pairs(node))
                    decided += [pairs, operations, operations]
        return tuple(decided)

    def canonical(self, arch: Archs) -> str:
        """The text with the branches of every node in order: a node is their sum.

        Cells whose nodes are only numbered otherwise keep different keys.
        """
        cells = [
            [(min(pair, key=_order), max(pair, key=_order)) for pair in cell]
            for cell in self.layout.branches(arch)
        ]
        return write_genotype(cells, self.operations)

    def text(self, arch: Archs) -> str:
        """The published notation, on one line."""
        return write_genotype(self.layout.branches(arch), self.operations)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a genotype.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        repeats = self.kind is Kind.factorised
        return self.layout.arch(read_genotype(text, self.operations, self.nodes, repeats))

    def graph(self, arch: Archs) -> Edges:
        """The normal cell, then the reduction cell; ``N`` and ``R`` are their outputs."""
        edges: Edges = []
        for letter, cell in zip("NR", self.layout.branches(arch), strict=True):
            names = [
                f"{letter}-2",
                f"{letter}-1",
                *(f"{letter}{node}" for node in range(self.nodes)),
            ]
            for node, pair in enumerate(cell):
                target = names[INPUTS + node]
                edges += [(names[source], target, self.operations[op]) for op, source in pair]
            edges += [(name, letter, "concat") for name in names[INPUTS:]]
        return edges

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """The two inputs, either cell's output, and the operations."""
        return ("input-2", "input-1", *CELLS, *self.operations)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs of the normal and the reduction cell side by side.

        In each, the two inputs, two vertices a node for its branches' operations, and the output,
        which has the name of its cell, so that exchanging the cells gives another graph: 11
        vertices with 4 nodes, 22 in all. An operation leads to those that read the node it is
        summed into; all nodes are side by side in the output, so all operations lead to it.
        """
        inputs, nodes = range(INPUTS), range(INPUTS, INPUTS + self.nodes)
        sources, operations = self.layout.arrays(archs)
        first = INPUTS + len(CELLS)
        cells = [
            line_graph(
                sources[:, cell].reshape(len(archs), -1),
                np.repeat(nodes, 2),
                first + operations[:, cell].reshape(len(archs), -1),
                inputs=inputs,
                outputs=nodes,
                ends=(*inputs, INPUTS + cell),
            )
            for cell in range(len(CELLS))
        ]
        return side_by_side(cells)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of 20 stacked cells and 36 channels by default, with its auxiliary head."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.darts import DARTSNet

        normal, reduce = self.layout.branches(arch)
        channels = scale.channels or self._final.channels
        cells = scale.cells or self._final.cells
        assert channels is not None
        assert cells is not None
        objective = objective_of(task)
        return DARTSNet(normal, reduce, self.operations, channels, cells, objective, self.auxiliary)

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """All operations on all edges: 8 cells and 16 channels by default.

        Raises:
            ConfigError: channels that cannot be shared out.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.darts_supernet import DARTSSupernet

        channels, cells = scale.channels or SEARCH.channels, scale.cells or SEARCH.cells
        assert channels is not None
        assert cells is not None
        if channels % share:
            raise ConfigError(
                f"this algorithm gives one channel in {share} to the operations: set "
                f"scale.channels to a multiple of it, not {channels}"
            )
        return DARTSSupernet(
            self.layout,
            self.operations,
            self.decisions,
            channels,
            cells,
            objective_of(task),
            share,
            track,
        )


def _order(branch: tuple[int, int]) -> tuple[int, int]:
    operation, source = branch
    return source, operation
