"""The network that cells of the DARTS space are judged in."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.darts_cells import INPUTS, Branch
from nasrun.nets.darts_operations import darts_operation, drop_path
from nasrun.nets.operations import HalvedSkip, ReLUConvNorm

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
        return torch.cat(states[INPUTS:], dim=1)

    def _branch(self, at: int, states: Sequence[Tensor], rate: float) -> Tensor:
        module, x = self.branches[at], states[self.sources[at]]
        drops = self.training and rate > 0 and not isinstance(module, nn.Identity)
        return drop_path(module(x), rate) if drops else module(x)


def _halves(x: Tensor) -> Tensor:
    """``(B, C, 2, 2)`` means over the quarters of ``x (B, C, H, W)``.

    Where they do not overlap by a pooling whose gradient repeats bit by bit on a GPU, too.
    """
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        return F.adaptive_avg_pool2d(x, 2)
    return F.avg_pool2d(x, (height // 2, width // 2))


class AuxiliaryHead(nn.Module):
    """A second classifier on the features after two thirds of the cells, for training alone."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, classes)`` logits."""
        x = F.relu(x)
        if min(x.shape[2:]) >= 5:
            x = F.avg_pool2d(x, 5, stride=3, count_include_pad=False)
        x = _halves(x)  # nothing happens to an image of 32 pixels, which is 2 here
        return self.classifier(self.features(x).flatten(1))


class DARTSNet(nn.Module):
    """Stacked cells on small images (the authors' ``NetworkCIFAR``).

    In training it returns two logits, the second of the auxiliary head, if it has one.
    ``drop_path`` is set from outside, epoch by epoch.

    Args:
        normal: branches of the cell that keeps the image's size.
        reduce: of the cell that halves it.
        operations: names of the operations.
        channels: of the first cells; doubled by each reduction.
        cells: in all.
        classes: number of logits.
        auxiliary: whether there is an auxiliary head.
    """

    def __init__(
        self,
        normal: Sequence[tuple[Branch, Branch]],
        reduce: Sequence[tuple[Branch, Branch]],
        operations: Sequence[str],
        channels: int,
        cells: int,
        classes: int,
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
        self.auxiliary = AuxiliaryHead(widths[self._branches_off], classes) if auxiliary else None
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """``(B, classes)`` logits of ``x (B, 3, H, W)``, in training with the second head's."""
        before = last = self.stem(x)
        second: Tensor | None = None
        for number, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self.drop_path)
            if number == self._branches_off and self.auxiliary is not None and self.training:
                second = self.auxiliary(last)
        logits = self.classifier(last.mean(dim=(2, 3)))
        return logits if second is None else (logits, second)
