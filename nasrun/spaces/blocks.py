"""What the spaces of the NASNet family share: cells of blocks, and the network they stand in."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.nets.block_cells import COMBINERS, INPUTS, OPERATIONS, Block, CellArrays, canonical
from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.block_footprint import block_footprint
from nasrun.spaces.block_genotype import read_blocks, write_blocks
from nasrun.spaces.dags import side_by_side
from nasrun.spec import Archs, Dag, Edges, Floats, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

VERTICES = 3  # of a block in a graph: its two operations, and the combiner


@dataclass
class BlockSpace(CategoricalSpace):
    """Cells of blocks: each joins two operations on earlier blocks or on the cell's two inputs.

    Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition" (CVPR 2018),
    section 3. A subclass says which decisions make the ``cell_names``. Where there is one cell, it
    halves the image, too. ``channels`` and ``cells`` (normal cells in each of three stages) are
    those of the network that is judged, unless the evaluator says otherwise.

    Raises:
        ConfigError: an operation or combiner twice or none at all, or an unknown one.
    """

    name: str
    blocks: int = 5
    operations: list[str] = field(default_factory=list[str])
    combiners: list[str] = field(default_factory=list[str])
    channels: int = 32
    cells: int = 6
    auxiliary: bool = True  # whether the network that is judged has an auxiliary head

    cell_names: ClassVar[tuple[str, ...]] = ("normal", "reduce")
    fewest: ClassVar[int | None] = None  # blocks of a cell; None: as many as the most

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "blocks", "channels", "cells")
        for key, known in (("operations", OPERATIONS), ("combiners", COMBINERS)):
            names: list[str] = getattr(self, key)
            if not names or len(set(names)) < len(names) or not set(names) <= set(known):
                raise ConfigError(
                    f"space.{key} must name some of {', '.join(known)}, each once, got {names}"
                )

    @abstractmethod
    def arrays(self, archs: Archs) -> CellArrays:
        """The cells of ``archs (n, L)``."""

    @abstractmethod
    def of_cells(self, cells: Sequence[Sequence[Block]]) -> Archs:
        """``(L,)`` the decisions of blocks by cell."""

    def cells_of(self, arch: Archs) -> list[list[Block]]:
        """The blocks of ``arch (L,)`` by cell."""
        return self.arrays(arch[None]).cells()[0]

    @cached_property
    def _combined(self) -> list[tuple[str, ...]]:
        """The decision on a block's combiner, where there is a choice."""
        return [tuple(self.combiners)] if len(self.combiners) > 1 else []

    def text(self, arch: Archs) -> str:
        """The notation of DARTS's authors for these cells, on one line."""
        return self._written(self.cells_of(arch))

    def canonical(self, arch: Archs) -> str:
        """The text with branches and blocks in an order that does not depend on their numbers.

        Two architectures have the same key exactly where renumbering blocks and exchanging branches
        makes one of the other; side by side, that only permutes channels.
        """
        return self._written([canonical(cell) for cell in self.cells_of(arch)])

    def _written(self, cells: Sequence[Sequence[Block]]) -> str:
        return write_blocks(cells, self.cell_names, self.operations, self.combiners)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text; see ``block_genotype``.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        fewest = self.blocks if self.fewest is None else self.fewest
        what = f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"
        cells = read_blocks(
            what, text, self.cell_names, self.operations, self.combiners, fewest, self.blocks
        )
        return self.of_cells(cells)

    def graph(self, arch: Archs) -> Edges:
        """Cell after cell; blocks are numbered from 0, and ``N`` and ``R`` are the outputs."""
        edges: Edges = []
        for cell_name, cell, ends in zip(
            self.cell_names, self.cells_of(arch), self._ends(arch), strict=True
        ):
            letter = cell_name[0].upper()
            marks = ["|" if self.combiners[block.combiner] == "concat" else "" for block in cell]
            names = [f"{letter}-2", f"{letter}-1"]
            names += [f"{letter}{at}{mark}" for at, mark in enumerate(marks)]
            for block, target in zip(cell, names[INPUTS:], strict=True):
                edges += [(names[src], target, self.operations[op]) for op, src in block.branches]
            edges += [(names[INPUTS + at], letter, "concat") for at in ends]
        return edges

    def _ends(self, arch: Archs) -> list[list[int]]:
        unread = self.arrays(arch[None]).unread()[0]
        return [np.flatnonzero(cell).tolist() for cell in unread]

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """The two inputs, the cells' outputs, combiners, and operations."""
        return ("input-2", "input-1", *self.cell_names, *self.combiners, *self.operations)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs of the cells side by side: 18 vertices a cell of 5 blocks.

        In each, the two inputs, three vertices a block (its branches' operations, which lead to its
        combiner), and the output, which has the name of its cell and to which the combiners of
        unread blocks lead. A block that a cell lacks has three vertices without an operation.
        """
        cells = self.arrays(archs)
        unread = cells.unread()
        return side_by_side(
            [self._cell_dag(cells, unread[:, at], at) for at in range(len(self.cell_names))]
        )

    def _cell_dag(self, archs: CellArrays, unread: Mask, cell: int) -> Dag:
        """One cell of each architecture, of whose blocks ``unread (n, B)`` make the output."""
        sources, ops, combiners, all_there = (part[:, cell] for part in archs)
        n, blocks = unread.shape
        first = INPUTS + len(self.cell_names)
        joins = INPUTS + VERTICES * np.arange(blocks) + 2
        vertex_of = np.concatenate([np.arange(INPUTS), joins])  # by state
        vertices = INPUTS + VERTICES * blocks + 1
        adjacency = np.zeros((n, vertices, vertices), np.bool_)
        operations = np.full((n, vertices), -1, np.int64)
        operations[:, :INPUTS] = np.arange(INPUTS)
        operations[:, -1] = INPUTS + cell
        rows = np.arange(n)
        for at, join in enumerate(joins.tolist()):
            there = all_there[:, at]
            for branch in range(2):
                vertex = join - 2 + branch
                adjacency[rows, vertex_of[sources[:, at, branch]], vertex] = there
                adjacency[:, vertex, join] = there
                known = first + len(self.combiners) + ops[:, at, branch]
                operations[:, vertex] = np.where(there, known, -1)
            operations[:, join] = np.where(there, first + combiners[:, at], -1)
            adjacency[:, join, -1] = unread[:, at]
        return Dag(adjacency, operations)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, the auxiliary head not counted."""
        return block_footprint(
            self.arrays(archs), self.operations, self.combiners, self.channels, self.cells, task
        )

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``: three stages of normal cells, which two cells halve."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nasnet import NASNetwork

        cells = self.cells_of(arch)
        return NASNetwork(
            cells[0],
            cells[-1],
            self.operations,
            self.combiners,
            scale.channels or self.channels,
            scale.cells or self.cells,
            objective_of(task),
            self.auxiliary,
        )
