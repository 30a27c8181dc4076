"""The PNAS space: one cell, of one block at first and more as a search goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import ClassVar

import numpy as np

from nasrun.nets.block_cells import INPUTS, Block, CellArrays
from nasrun.spaces.blocks import BlockSpace
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spec import Archs, Floats, Ints, Mask

WIDTH = 4  # decisions of a block
BLOCKS = "blocks"  # an encoding
ABSENT = 0  # the option by which a block and all after it are absent


@dataclass
class PNAS(BlockSpace, ConditionalSpace):
    """One cell of one to five blocks that add, which halves the image at stride 2, too.

    Liu et al., "Progressive Neural Architecture Search" (ECCV 2018), section 3. The first decision
    of every block but the first may be ``absent``, and then no block follows. So ``sample`` draws
    cells of all sizes, a quarter of them with one block: it is uniform over decisions.
    """

    name: str = "pnas"

    cell_names: ClassVar[tuple[str, ...]] = ("normal",)
    fewest: ClassVar[int | None] = 1

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """By block: state (or ``absent``), state, operation, operation."""
        return self._decided

    @cached_property
    def _decided(self) -> tuple[tuple[str, ...], ...]:
        operations, decided = tuple(self.operations), list[tuple[str, ...]]()
        for block in range(self.blocks):
            states = tuple(str(state) for state in range(INPUTS + block))
            first = ("absent", *states) if block else states
            decided += [first, states, operations, operations, *self._combined]
        return tuple(decided)

    @property
    def _width(self) -> int:
        return WIDTH + len(self._combined)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)``: all, but nothing after a block that is absent."""
        n, place = prefix.shape
        mask = np.ones((n, len(self.decisions[place])), np.bool_)
        width = self._width
        block = place // width
        # A block whose first decision comes next is in question if the one before is there.
        asked = block - 1 if place % width == 0 else block
        if asked > 0:
            mask[prefix[:, asked * width] == ABSENT, 1:] = False
        return mask

    def arrays(self, archs: Archs) -> CellArrays:
        """The cell of ``archs (n, L)``."""
        parts = archs.reshape(len(archs), 1, self.blocks, -1)
        sources = parts[..., 0:2].copy()
        there = np.ones(parts.shape[:3], np.bool_)
        there[..., 1:] = sources[..., 1:, 0] != ABSENT
        sources[..., 1:, 0] -= there[..., 1:]
        combiners = parts[..., 4] if self._combined else np.zeros(parts.shape[:3], np.int64)
        return CellArrays(sources, parts[..., 2:4], combiners, there)

    def of_cells(self, cells: Sequence[Sequence[Block]]) -> Archs:
        """``(L,)`` the decisions of the cell's blocks."""
        arch = np.zeros((self.blocks, self._width), np.int64)
        for at, block in enumerate(cells[0]):
            (one, first), (other, second) = block.branches
            arch[at, :WIDTH] = first + (at > 0), second, one, other
            arch[at, WIDTH:] = block.combiner
        return arch.ravel()

    def sizes(self, archs: Archs) -> Ints:
        """``(n,)`` number of blocks of ``archs (n, L)``."""
        return self.arrays(archs).there.sum(axis=(1, 2))

    def extended(self, arch: Archs | None = None) -> Archs:
        """``(m, L)`` every cell with one block more than ``arch (L,)``; all of one block if None.

        Exchanging the new block's branches makes no new cell: 136 cells of one block with the
        paper's operations, and 300 with a second one for each (section 3.2). Empty where ``arch``
        has all blocks.
        """
        return self._with(0) if arch is None else self.extensions(arch[None])

    def extensions(self, archs: Archs) -> Archs:
        """``(m, L)`` what ``extended`` gives for each of ``archs (n, L)``, by their sizes."""
        sizes = self.sizes(archs)
        parts = [archs[:0]]
        for size in np.unique(sizes[sizes < self.blocks]).tolist():
            parents, new = archs[sizes == size], self._with(size)
            longer = np.repeat(parents, len(new), axis=0)
            columns = slice(size * self._width, (size + 1) * self._width)
            longer[:, columns] = np.tile(new[:, columns], (len(parents), 1))
            parts.append(longer)
        return np.concatenate(parts)

    def _with(self, size: int) -> Archs:
        """``(m, L)`` any cell of ``size`` blocks, with every block that may follow."""
        states = range(INPUTS + size)
        branches = [(op, state) for state in states for op in range(len(self.operations))]
        any_block = Block(((0, 0), (0, 0)))
        new = [
            Block(pair, combiner)
            for pair in combinations_with_replacement(branches, 2)
            for combiner in range(len(self.combiners))
        ]
        return np.stack([self.of_cells([[*[any_block] * size, block]]) for block in new])

    @property
    def encodings(self) -> tuple[str, ...]:
        """Those of graphs, and ``blocks``."""
        return (*super().encodings, BLOCKS)

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)``; ``blocks``: shares of the blocks with each state and operation.

        By branch. That is what the paper's perceptrons learn from (section 3.3): embeddings of a
        block's four tokens, averaged over the blocks, so that cells of any size have one length.
        """
        if self.require_encoding(encoding) != BLOCKS:
            return super().encode(archs, encoding)
        cells = self.arrays(archs.reshape(-1, archs.shape[-1]))
        states, operations = INPUTS + self.blocks - 1, len(self.operations)
        parts = [
            np.eye(options)[figures[:, 0, :, branch]]
            for figures, options in ((cells.sources, states), (cells.operations, operations))
            for branch in range(INPUTS)
        ]
        if self._combined:
            parts.append(np.eye(len(self.combiners))[cells.combiners[:, 0]])
        there = cells.there[:, 0, :, None]
        means = (np.concatenate(parts, axis=2) * there).sum(axis=1) / there.sum(axis=1)
        return means.reshape(*archs.shape[:-1], -1)
