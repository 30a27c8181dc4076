"""Networks of cells that each read the outputs of the two cells before."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from nasrun.spec import Objective

STEM = 3  # times the channels of the first cells


class Cell(nn.Module):
    """Reads two cells' outputs and the rate of drop-path; its output has ``width`` channels."""

    width: int


# Of the channels of both inputs and its own, whether it halves the image, and whether the cell
# before did.
MakeCell = Callable[[tuple[int, int, int], bool, bool], Cell]


class StackedCells(nn.Module):
    """A stem, cells one behind the other, a head, and a second head on the way.

    In training it returns two outputs, the second of the auxiliary head, if it has one.
    ``drop_path`` is set from outside, epoch by epoch.

    Args:
        make_cell: gives a cell.
        channels: of the first cells; doubled by each cell that halves.
        halving: which of the cells halve the image.
        branches_off: number of the cell behind which the auxiliary head stands.
        objective: what the network is trained for.
        auxiliary: whether there is an auxiliary head.
    """

    def __init__(
        self,
        make_cell: MakeCell,
        channels: int,
        halving: Sequence[bool],
        branches_off: int,
        objective: Objective,
        auxiliary: bool,
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
        for halves in halving:
            channels *= 2 if halves else 1
            cell = make_cell((before, last, channels), halves, halved)
            self.cells.append(cell)
            before, last, halved = last, cell.width, halves
            widths.append(last)
        self._branches_off = branches_off
        width = widths[branches_off]
        self.auxiliary = objective.auxiliary_head(width) if auxiliary else None
        self.classifier = objective.head(last)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The head's output for ``x (B, 3, H, W)``, in training with the second head's."""
        before = last = self.stem(x)
        second: Tensor | None = None
        for number, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self._drop_rate(number))
            if number == self._branches_off and self.auxiliary is not None and self.training:
                second = self.auxiliary(last)
        output = self.classifier(self._at_the_end(last))
        return output if second is None else (output, second)

    def _drop_rate(self, number: int) -> float:
        """Rate of drop-path in a cell."""
        return self.drop_path

    def _at_the_end(self, last: Tensor) -> Tensor:
        """What the head reads of the last cell's output."""
        return last
