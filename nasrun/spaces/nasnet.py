"""The NASNet and AmoebaNet spaces: a normal and a reduction cell of five blocks each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasrun.nets.block_cells import INPUTS, Block, CellArrays
from nasrun.spaces.blocks import BlockSpace
from nasrun.spec import Archs


@dataclass
class NASNet(BlockSpace):
    """Every block of either cell is there: independent decisions.

    Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition" (CVPR 2018),
    section 3: 13 operations, blocks that add or concatenate, 50 decisions. With the operations and
    the one combiner of Real et al., "Regularized Evolution for Image Classifier Architecture
    Search" (AAAI 2019), section 3: 40 decisions, and changing one of them is their mutation.
    """

    name: str = "nasnet"

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """By cell and block: state, state, operation, operation, and the combiner if several."""
        return self._decided

    @cached_property
    def _decided(self) -> tuple[tuple[str, ...], ...]:
        operations, decided = tuple(self.operations), list[tuple[str, ...]]()
        for _ in self.cell_names:
            for block in range(self.blocks):
                states = tuple(str(state) for state in range(INPUTS + block))
                decided += [states, states, operations, operations, *self._combined]
        return tuple(decided)

    def arrays(self, archs: Archs) -> CellArrays:
        """The cells of ``archs (n, L)``."""
        parts = archs.reshape(len(archs), len(self.cell_names), self.blocks, -1)
        combiners = parts[..., 4] if self._combined else np.zeros(parts.shape[:3], np.int64)
        there = np.ones(parts.shape[:3], np.bool_)
        return CellArrays(parts[..., 0:2], parts[..., 2:4], combiners, there)

    def of_cells(self, cells: Sequence[Sequence[Block]]) -> Archs:
        """``(L,)`` the decisions of blocks by cell."""
        decisions: list[int] = []
        for block in (block for cell in cells for block in cell):
            (one, first), (other, second) = block.branches
            decisions += [first, second, one, other]
            decisions += [block.combiner] if self._combined else []
        return np.array(decisions, np.int64)
