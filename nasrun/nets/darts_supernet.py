"""Supernets of DARTS cells: mixing rows by edge, or by the decisions of factorised cells."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nasrun.nets.darts import fit, reductions
from nasrun.nets.darts_cells import CELLS, INPUTS, Layout
from nasrun.nets.darts_operations import darts_operation
from nasrun.nets.stacked_cells import STEM
from nasrun.nets.supernet import NONE, Knobs, Row, SharedNet, add, mixed
from nasrun.spec import Objective
from nasrun.streams import Floats, Ints


class MixedEdge(nn.Module):
    """All operations of an edge; see SharedCell of NAS-Bench-201's supernet for ``share``."""

    def __init__(
        self,
        options: Sequence[str],
        channels: int,
        stride: int,
        share: int,
        track: bool,
        norm_pool: bool,
        knobs: Knobs,
    ) -> None:
        super().__init__()
        self._share, self._width, self._knobs = share, channels // share, knobs
        shape = {"channels": self._width, "stride": stride}
        self.options = nn.ModuleDict(
            {
                str(number): darts_operation(
                    name, **shape, affine=False, track=track, norm_pool=norm_pool
                )
                for number, name in enumerate(options)
                if name != NONE
            }
        )
        self._halve = nn.MaxPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor, row: Row) -> Tensor | None:
        """``(B, channels, H', W')`` mixture; None: nothing in it is alive."""
        part = x[:, : self._width]
        options = {int(at): partial(self._passed, module) for at, module in self.options.items()}
        total = mixed(part, row, options)
        if self._share == 1:
            return total
        rest = row.bypass(self._halve(x[:, self._width :]))
        whole = rest.new_zeros(len(x), self._width, *rest.shape[2:]) if total is None else total
        joined = torch.cat([whole, rest.to(whole.dtype)], dim=1)
        groups = joined.unflatten(1, (self._share, -1))
        return groups.transpose(1, 2).flatten(1, 2)

    def _passed(self, module: nn.Module, x: Tensor) -> Tensor:
        plain = isinstance(module, nn.Identity)
        return self._knobs.skipped(x) if plain else self._knobs.dropped(module(x))


class SharedDARTSCell(nn.Module):
    """A cell with all operations on all edges."""

    def __init__(
        self,
        layout: Layout,
        options: Sequence[str],
        widths: tuple[int, int, int],
        shape: tuple[bool, bool],
        share: int,
        track: bool,
        knobs: Knobs,
    ) -> None:
        super().__init__()
        before, last, channels = widths
        halves, halved_before = shape
        self._layout = layout
        self.first = fit(before, channels, halved_before, affine=False, track=track)
        self.second = fit(last, channels, False, affine=False, track=track)
        strides = [2 if halves and source < INPUTS else 1 for source, _ in layout.edges]
        norm_pool = not layout.factorised  # as the code of DARTS has it, and that of UNAS not
        self.edges = nn.ModuleList(
            MixedEdge(options, channels, stride, share, track, norm_pool, knobs)
            for stride in strides
        )
        self._halves, self._channels = halves, channels

    def forward(self, before: Tensor, last: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, nodes * channels, H', W')`` of the two cells' outputs before."""
        states = [self.first(before), self.second(last)]
        for node in range(self._layout.nodes):
            total: Tensor | None = None
            for source in range(self._layout.sources(node)):
                at = self._layout.edge(source, node)
                term = self.edges[at](states[source], rows[at])
                total = total if term is None else add(total, term)
            states.append(self._zero(states[0]) if total is None else total)
        return torch.cat(states[INPUTS:], dim=1)

    def _zero(self, like: Tensor) -> Tensor:
        """A node that nothing leads to."""
        height, width = (-(-side // 2) if self._halves else side for side in like.shape[2:])
        return like.new_zeros(len(like), self._channels, height, width)


class DARTSSupernet(SharedNet):
    """Stacked shared cells (the authors' search network).

    With standard cells there is a row per edge, normal cell first, whose first option is none. With
    factorised ones there is a row per decision, and an edge's weights are the sum over both
    branches of the product of source and operation (UNAS, section 4.1).

    Args:
        layout: of the cells.
        operations: names of the operations.
        decisions: the space's.
        channels: of the first cells; doubled by each reduction.
        cells: in all.
        objective: what the network is trained for.
        share: one channel in so many goes through the operations.
        track: whether normalisation keeps running statistics.
    """

    def __init__(
        self,
        layout: Layout,
        operations: Sequence[str],
        decisions: tuple[tuple[str, ...], ...],
        channels: int,
        cells: int,
        objective: Objective,
        share: int = 1,
        track: bool = True,
    ) -> None:
        super().__init__()
        self.layout = layout
        options = tuple(operations) if layout.factorised else (NONE, *operations)
        by_edge = (options,) * (len(CELLS) * len(layout.edges))
        self.rows = decisions if layout.factorised else by_edge
        self.groups = () if layout.factorised else self._groups()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM * channels),
        )
        before = last = STEM * channels
        halved, knobs = False, Knobs(self)
        self.cells, self.reduces = nn.ModuleList(), list[bool]()
        for number in range(cells):
            halves = number in reductions(cells)
            channels *= 2 if halves else 1
            widths, shape = (before, last, channels), (halves, halved)
            cell = SharedDARTSCell(layout, options, widths, shape, share, track, knobs)
            self.cells.append(cell)
            self.reduces.append(halves)
            before, last, halved = last, layout.nodes * channels, halves
        self.classifier = objective.head(last)

    def _groups(self) -> tuple[tuple[int, ...], ...]:
        layout = self.layout
        return tuple(
            tuple(
                cell * len(layout.edges) + layout.edge(source, node)
                for source in range(layout.sources(node))
            )
            for cell in range(len(CELLS))
            for node in range(layout.nodes)
        )

    @property
    def normal_rows(self) -> Sequence[int]:
        """Rows of the normal cell."""
        return range(len(self.rows) // len(CELLS))

    def rows_of(self, arch: Ints) -> Ints:
        """``(rows,)`` the option that ``arch (L,)`` takes in each row."""
        return arch if self.layout.factorised else self.layout.options(arch)

    def derive(self, scores: Sequence[Floats]) -> Ints:
        """``(L,)`` the best option of each decision, or DARTS's rule for edges."""
        return super().derive(scores) if self.layout.factorised else self.layout.derive(scores)

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, 3, H, W)``."""
        half = len(rows) // len(CELLS)
        before = last = self.stem(x)
        for cell, reduces in zip(self.cells, self.reduces, strict=True):
            own = rows[half:] if reduces else rows[:half]
            before, last = last, cell(before, last, own)
        return self.classifier(last)

    def by_edge(self, mixing: Sequence[Tensor]) -> Sequence[Tensor]:
        """``(operations,)`` or ``(B, operations)`` weights of each edge."""
        if not self.layout.factorised:
            return mixing
        rows: list[Tensor] = []
        for at in range(0, len(mixing), self.layout.width):
            source, operation, other_source, other = mixing[at : at + self.layout.width]
            one = source[..., :, None] * operation[..., None, :]
            two = other_source[..., :, None] * other[..., None, :]
            rows += (one + two).unbind(dim=-2)
        return rows

    def branch_overlap(self, mixing: Sequence[Tensor]) -> Tensor | None:
        """``(B,)`` the product of both branches of a node, summed over nodes and cells."""
        if not self.layout.factorised:
            return None
        total = mixing[0].new_zeros(mixing[0].shape[:-1])
        for at in range(0, len(mixing), self.layout.width):
            source, operation, other_source, other = mixing[at : at + self.layout.width]
            same = (source * other_source).sum(dim=-1) * (operation * other).sum(dim=-1)
            total = total + same
        return total

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, by row, over all cells of its kind."""
        counts = [torch.zeros(len(options)) for options in self.rows]
        half = len(self.rows) // len(CELLS)
        for cell, reduces in zip(self.cells, self.reduces, strict=True):
            assert isinstance(cell, SharedDARTSCell)
            for row, edge in self._rows_and_edges(cell):
                for option, module in edge.options.items():
                    size = sum(parameter.numel() for parameter in module.parameters())
                    counts[row + half * reduces][int(option)] += size
        return counts

    def _rows_and_edges(self, cell: SharedDARTSCell) -> Iterator[tuple[int, MixedEdge]]:
        """Rows that decide on operations, each with an edge whose operations it decides on."""
        layout = self.layout
        for node in range(layout.nodes):
            first = layout.edge(0, node)
            if layout.factorised:  # both operations of a node, whichever edges they will be on
                places = [(layout.width * node + at, first) for at in (1, 3)]
            else:
                places = [
                    (first + source, first + source) for source in range(layout.sources(node))
                ]
            for row, at in places:
                edge = cell.edges[at]
                assert isinstance(edge, MixedEdge)
                yield row, edge
