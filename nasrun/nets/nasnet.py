"""The network that the NASNet family's cells are judged in."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.block_cells import INPUTS, Block, unread
from nasrun.nets.darts import fit
from nasrun.nets.darts_operations import drop_path
from nasrun.nets.nasnet_operations import block_operation
from nasrun.nets.stacked_cells import Cell, StackedCells
from nasrun.spec import Objective

STAGES = 3


class BlockCell(Cell):
    """A cell of blocks; its output are those that no other block reads, side by side.

    An input that no block reads is not fitted either.

    Args:
        blocks: of the cell.
        operations: names of the operations.
        combiners: names of the combiners.
        widths: channels of the two inputs, and of the operations.
        halves: whether what reads an input has stride 2.
        halved_before: whether the cell before halved, so that the first input is larger.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        operations: Sequence[str],
        combiners: Sequence[str],
        widths: tuple[int, int, int],
        halves: bool,
        halved_before: bool,
    ) -> None:
        super().__init__()
        before, last, channels = widths
        self.sources = [source for block in blocks for _, source in block.branches]
        self.first = fit(before, channels, halved_before) if 0 in self.sources else None
        self.second = fit(last, channels, False) if 1 in self.sources else None
        self.concats = [combiners[block.combiner] == "concat" for block in blocks]
        states = [channels] * INPUTS + [channels * (1 + concat) for concat in self.concats]
        self.branches = nn.ModuleList(
            block_operation(
                operations[op], states[source], channels, 2 if halves and source < INPUTS else 1
            )
            for block in blocks
            for op, source in block.branches
        )
        self._identities = [
            operations[op] == "skip_connect" for block in blocks for op, _ in block.branches
        ]
        self.ends = [INPUTS + at for at in unread(blocks)]
        self.width = sum(states[end] for end in self.ends)

    def forward(self, before: Tensor, last: Tensor, rate: float) -> Tensor:
        """``(B, width, H', W')`` of the two cells' outputs before; ``rate`` of drop-path."""
        states = [
            x if fitted is None else fitted(x)  # what is None is not read
            for fitted, x in ((self.first, before), (self.second, last))
        ]
        for number, concat in enumerate(self.concats):
            one, other = (self._branch(2 * number + at, states, rate) for at in range(2))
            states.append(torch.cat([one, other], dim=1) if concat else one + other)
        return torch.cat([states[end] for end in self.ends], dim=1)

    def _branch(self, at: int, states: Sequence[Tensor], rate: float) -> Tensor:
        x = self.branches[at](states[self.sources[at]])
        drops = self.training and rate > 0 and not self._identities[at]
        return drop_path(x, rate) if drops else x


class NASNetwork(StackedCells):
    """Three stages of normal cells, each but the last followed by a cell that halves the image.

    [NU] ``nasnet.py``, its network for CIFAR: a 3x3 convolution as the stem; ReLU before the
    classifier; ScheduledDropPath ("v3"), by which the cell ``i`` of ``n`` drops at ``(i + 1) / n``
    of the rate that ``drop_path``, set from outside, has in this epoch. Departures: the rate grows
    by epochs and not by batches; both inputs of a cell are always fitted by a 1x1 convolution, the
    second one as in DARTS; there is no dropout before the classifier. In training it returns two
    outputs, the second of the auxiliary head after the second stage, if it has one.

    Args:
        normal: blocks of the cell that keeps the image's size.
        reduce: of the cell that halves it.
        operations: names of the operations.
        combiners: names of the combiners.
        channels: of the operations in the first stage; doubled in each of the others.
        cells: normal cells a stage.
        objective: what the network is trained for.
        auxiliary: whether there is an auxiliary head.
    """

    def __init__(
        self,
        normal: Sequence[Block],
        reduce: Sequence[Block],
        operations: Sequence[str],
        combiners: Sequence[str],
        channels: int,
        cells: int,
        objective: Objective,
        auxiliary: bool = True,
    ) -> None:
        def cell(widths: tuple[int, int, int], halves: bool, halved: bool) -> BlockCell:
            blocks = reduce if halves else normal
            return BlockCell(blocks, operations, combiners, widths, halves, halved)

        stage = [False] * cells
        halving = [*([*stage, True] * (STAGES - 1)), *stage]
        second_stage = 2 * cells  # its last cell
        super().__init__(cell, channels, halving, second_stage, objective, auxiliary)

    def _drop_rate(self, number: int) -> float:
        return self.drop_path * (number + 1) / len(self.cells)

    def _at_the_end(self, last: Tensor) -> Tensor:
        return F.relu(last)
