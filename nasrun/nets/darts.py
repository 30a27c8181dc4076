"""The network that cells of the DARTS space are judged in."""

from collections.abc import Sequence

from torch import Tensor, nn

from nasrun.nets.darts_cells import INPUTS, Branch
from nasrun.nets.darts_operations import darts_operation, drop_path
from nasrun.nets.operations import HalvedSkip, ReLUConvNorm, beside
from nasrun.spec import Objective

STEM = 3  # times the channels of the first cells


def reductions(cells: int) -> set[int]:
    """Numbers of the cells that halve the image: at a third and two thirds of the depth."""
    return {cells // 3, 2 * cells // 3} if cells > 1 else set()


def fit(c_in: int, c_out: int, halve: bool, affine: bool = True, track: bool = True) -> nn.Module:
    """What gives a cell's input the cell's channels, and its size where the cell before halved."""
    if halve:
        return HalvedSkip(c_in, c_out, affine, track)
    return ReLUConvNorm(1, c_in, c_out, 1, affine, track)


class EvaluationCell(nn.Module):
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


class DARTSNet(nn.Module):
    """Stacked cells on small images (the authors' ``NetworkCIFAR``).

    In training it returns two outputs, the second of the auxiliary head, if it has one.
    ``drop_path`` is set from outside, epoch by epoch.

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
        super().__init__()
        self.drop_path = 0.0
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM * channels),
        )
        before = last = STEM * channels
        halved = False
        self.cells = nn.ModuleList()
        self._branches_off = 2 * cells // 3
        widths: list[int] = []
        for number in range(cells):
            halves = number in reductions(cells)
            channels *= 2 if halves else 1
            branches = reduce if halves else normal
            cell = EvaluationCell(branches, operations, (before, last, channels), halves, halved)
            self.cells.append(cell)
            before, last, halved = last, len(branches) * channels, halves
            widths.append(last)
        width = widths[self._branches_off]
        self.auxiliary = objective.auxiliary_head(width) if auxiliary else None
        self.classifier = objective.head(last)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The head's output for ``x (B, 3, H, W)``, in training with the second head's."""
        before = last = self.stem(x)
        second: Tensor | None = None
        for number, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self.drop_path)
            if number == self._branches_off and self.auxiliary is not None and self.training:
                second = self.auxiliary(last)
        output = self.classifier(last)
        return output if second is None else (output, second)
