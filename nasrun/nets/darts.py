"""The network that cells of the DARTS space are judged in."""

from collections.abc import Sequence

from torch import Tensor, nn

from nasrun.nets.darts_cells import INPUTS, Branch
from nasrun.nets.darts_operations import darts_operation, drop_path
from nasrun.nets.operations import HalvedSkip, ReLUConvNorm, beside
from nasrun.nets.stacked_cells import Cell, StackedCells
from nasrun.spec import Objective


def reductions(cells: int) -> set[int]:
    """Numbers of the cells that halve the image: at a third and two thirds of the depth."""
    return {cells // 3, 2 * cells // 3} if cells > 1 else set()


def fit(c_in: int, c_out: int, halve: bool, affine: bool = True, track: bool = True) -> nn.Module:
    """What gives a cell's input the cell's channels, and its size where the cell before halved."""
    if halve:
        return HalvedSkip(c_in, c_out, affine, track)
    return ReLUConvNorm(1, c_in, c_out, 1, affine, track)


class EvaluationCell(Cell):
    """A cell whose nodes have two branches each, with drop-path on all but plain skips."""

    per_channel = True
    networks = 1  # whose channels are side by side

    def __init__(
        self,
        branches: Sequence[tuple[Branch, Branch]],
        operations: Sequence[str],
        widths: tuple[int, int, int],
        halves: bool,
        halved_before: bool,
    ) -> None:
        super().__init__()
        before, last, channels = widths
        self.first = fit(before, channels, halved_before)
        self.second = fit(last, channels, False)
        self.width = len(branches) * channels
        self.sources = [source for pair in branches for _, source in pair]
        self.branches = nn.ModuleList(
            darts_operation(operations[name], channels, 2 if halves and source < INPUTS else 1)
            for pair in branches
            for name, source in pair
        )

    def forward(self, before: Tensor, last: Tensor, rate: float) -> Tensor:
        """``(B, nodes * channels, H', W')`` of the two cells' outputs before."""
        states = [self.first(before), self.second(last)]
        for at in range(0, len(self.branches), 2):
            states.append(self._branch(at, states, rate) + self._branch(at + 1, states, rate))
        return beside(*states[INPUTS:], networks=self.networks)

    def _branch(self, at: int, states: Sequence[Tensor], rate: float) -> Tensor:
        module, x = self.branches[at], states[self.sources[at]]
        drops = self.training and rate > 0 and not isinstance(module, nn.Identity)
        return drop_path(module(x), rate) if drops else module(x)


class DARTSNet(StackedCells):
    """Stacked cells on small images (the authors' ``NetworkCIFAR``).

    Args:
        normal: branches of the cell that keeps the image's size.
        reduce: of the cell that halves it.
        operations: names of the operations.
        channels: of the first cells; doubled by each reduction.
        cells: in all.
        objective: what the network is trained for.
        auxiliary: whether there is an auxiliary head.
    """

    per_channel = True

    def __init__(
        self,
        normal: Sequence[tuple[Branch, Branch]],
        reduce: Sequence[tuple[Branch, Branch]],
        operations: Sequence[str],
        channels: int,
        cells: int,
        objective: Objective,
        auxiliary: bool = True,
    ) -> None:
        def cell(widths: tuple[int, int, int], halves: bool, halved: bool) -> EvaluationCell:
            return EvaluationCell(reduce if halves else normal, operations, widths, halves, halved)

        halving = [number in reductions(cells) for number in range(cells)]
        super().__init__(cell, channels, halving, 2 * cells // 3, objective, auxiliary)
