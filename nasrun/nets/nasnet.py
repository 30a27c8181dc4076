"""The network that the NASNet family's cells are judged in."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.block_cells import INPUTS, Block, unread
from nasrun.nets.darts import STEM, fit
from nasrun.nets.darts_operations import drop_path
from nasrun.nets.nasnet_operations import block_operation
from nasrun.spec import Objective

STAGES = 3


class BlockCell(nn.Module):
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


class NASNetwork(nn.Module):
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
        super().__init__()
        self.drop_path = 0.0
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM * channels),
        )
        before = last = STEM * channels
        halved, widths = False, list[int]()
        self.cells = nn.ModuleList()
        for number in range(STAGES * (cells + 1) - 1):
            halves = (number + 1) % (cells + 1) == 0
            channels *= 2 if halves else 1
            cell = BlockCell(
                reduce if halves else normal,
                operations,
                combiners,
                (before, last, channels),
                halves,
                halved,
            )
            self.cells.append(cell)
            before, last, halved = last, cell.width, halves
            widths.append(last)
        self._branches_off = 2 * cells  # the last cell of the second stage
        width = widths[self._branches_off]
        self.auxiliary = objective.auxiliary_head(width) if auxiliary else None
        self.classifier = objective.head(last)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The head's output for ``x (B, 3, H, W)``, in training with the second head's."""
        before = last = self.stem(x)
        second: Tensor | None = None
        for number, cell in enumerate(self.cells):
            rate = self.drop_path * (number + 1) / len(self.cells)
            before, last = last, cell(before, last, rate)
            if number == self._branches_off and self.auxiliary is not None and self.training:
                second = self.auxiliary(last)
        output = self.classifier(F.relu(last))
        return output if second is None else (output, second)
