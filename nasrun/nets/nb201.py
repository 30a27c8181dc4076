"""NAS-Bench-201's networks: a cell, and the skeleton that repeats it ([A] ``tiny_network.py``)."""

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.operations import ReLUConvNorm, operation
from nasrun.spec import Edges, Objective

if TYPE_CHECKING:
    from nasrun.nets.fused import Fuser

# Makes the cell from c_in to c_out channels; a supernet's is called with more than the image.
CellFactory = Callable[[int, int], nn.Module]


class Cell(nn.Module):
    """A graph of operations; a node is the sum of its incoming edges.

    Every operation but ``none`` has its weights, as in the benchmark's parameter counts, but only
    those are computed that reach the output. A node without incoming edges is zero; an operation
    on it is zero too, save a convolution, whose normalisation turns zeros into its bias. That bias
    is added, because the benchmark's networks learn it.

    Args:
        edges: by target; the first source is the input, the last target the output.
        c_in: channels of the input node.
        c_out: channels of all other nodes.
        stride: of the operations on the input; 2 halves the image.
    """

    def __init__(self, edges: Edges, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self._input, self._output = edges[0][0], edges[-1][1]
        self.nodes = tuple(dict.fromkeys((self._input, *(end for _, end, _ in edges))))
        self.c_in, self.c_out, self.stride = c_in, c_out, stride
        present = [edge for edge in edges if edge[2] != "none"]
        sizes = {True: (c_in, c_out, stride), False: (c_out, c_out, 1)}
        self.operations = nn.ModuleDict(
            {
                f"{start}-{end}": operation(name, *sizes[start == self._input])
                for start, end, name in present
            }
        )
        used = {self._output}
        for start, end, _ in reversed(present):
            if end in used:
                used.add(start)
        self._plan = [(start, end) for start, end, _ in present if end in used]

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H / stride, W / stride)``, rounded up, of ``x (B, c_in, H, W)``."""
        nodes, positive = {self._input: x}, dict[str, Tensor]()
        for start, end in self._plan:
            module = self.operations[f"{start}-{end}"]
            if start in nodes:
                term = _applied(module, start, nodes, positive)
            elif isinstance(module, ReLUConvNorm):
                term = self._bias(module, x)
            else:
                continue
            nodes[end] = nodes[end] + term if end in nodes else term
        if self._output not in nodes:
            return x.new_zeros(x.shape[0], self.c_out, *self._sides(x))
        return nodes[self._output]

    def fused_shape(self) -> Hashable | None:
        """Cells of the same nodes and widths are fused, whatever their operations.

        None where the input does not reach the output: what comes before has no gradient then, and
        so does not even decay, as it would beside networks where it has one.
        """
        reached = {self._input}
        for end in self.nodes[1:]:
            if reached & self.terms_into(end):
                reached.add(end)
        shape = (Cell, self.nodes, self.c_in, self.c_out, self.stride)
        return shape if self._output in reached else None

    def fused_with(self, modules: Sequence["Cell"], fuser: "Fuser") -> nn.Module:
        """One module of cells of this shape."""
        from nasrun.nets.fused_cell import FusedCell

        return FusedCell(modules, fuser)

    def terms_into(self, end: str) -> set[str]:
        """Nodes whose maps are computed on the way to ``end``."""
        return {start for start in self._into(end) if self._exists(start)}

    def biases_into(self, end: str) -> list[str]:
        """Nodes without incoming edges that a convolution on the way to ``end`` reads."""
        return [
            start
            for start in self._into(end)
            if not self._exists(start)
            and isinstance(self.operations[f"{start}-{end}"], ReLUConvNorm)
        ]

    def _into(self, end: str) -> list[str]:
        return [start for start, other in self._plan if other == end]

    def _exists(self, node: str) -> bool:
        """Whether anything is added up at a node."""
        return node == self._input or bool(self.terms_into(node) or self.biases_into(node))

    def _bias(self, module: ReLUConvNorm, x: Tensor) -> Tensor:
        """What a convolution makes of zeros, as large as the output for ``x``."""
        bias = module.norm.bias.to(x.dtype)[None, :, None, None]
        return bias.expand(x.shape[0], -1, *self._sides(x))

    def _sides(self, x: Tensor) -> tuple[int, int]:
        """Height and width of the output for ``x``."""
        height, width = (-(-side // self.stride) for side in x.shape[2:])
        return height, width


def _applied(
    module: nn.Module, start: str, nodes: dict[str, Tensor], positive: dict[str, Tensor]
) -> Tensor:
    """The operation's result on a node, whose ReLU is computed once."""
    if not isinstance(module, ReLUConvNorm):
        return module(nodes[start])
    if start not in positive:
        positive[start] = F.relu(nodes[start])
    return module.of_positive(positive[start])


class Residual(nn.Module):
    """The block between two stages: two 3x3 convolutions, and a shortcut that halves alike."""

    per_channel = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = ReLUConvNorm(3, c_in, c_out, 2, affine=True, track=True)
        self.second = ReLUConvNorm(3, c_out, c_out, 1, affine=True, track=True)
        # Rounded up as the convolutions do; the same as the benchmark's on images of even width.
        self.halve = nn.AvgPool2d(2, 2, ceil_mode=True)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, ceil(H / 2), ceil(W / 2))`` of ``x (B, c_in, H, W)``."""
        return self.shortcut(self.halve(x)) + self.second(self.first(x))


class Skeleton(nn.Module):
    """Stem, stages of cells with halving blocks between them, and the objective's head.

    Args:
        cell: makes the cells.
        stages: for each stage the channels that its cells return, one by one.
        objective: what the network is trained for.
        stem: channels of the first convolution; None: those of the first cell.
        reductions: channels of each halving block; None: those of the next stage's first cell.
    """

    per_channel = True

    def __init__(
        self,
        cell: CellFactory,
        stages: Sequence[Sequence[int]],
        objective: Objective,
        stem: int | None = None,
        reductions: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        width = stages[0][0] if stem is None else stem
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        halved = [stage[0] for stage in stages[1:]] if reductions is None else reductions
        self.cells = nn.ModuleList()
        for number, stage in enumerate(stages):
            if number:
                self.cells.append(Residual(width, halved[number - 1]))
                width = halved[number - 1]
            for c_in, c_out in pairwise((width, *stage)):
                self.cells.append(cell(c_in, c_out))
            width = stage[-1]
        self.norm = nn.BatchNorm2d(width)
        self.classifier = objective.head(width)

    def forward(self, x: Tensor, *shared: object) -> Tensor:
        """The head's output for ``x (B, C, H, W)``; cells are called with ``shared`` too."""
        return self.classifier(self.features(x, *shared))

    def features(self, x: Tensor, *shared: object) -> Tensor:
        """``(B, channels, H', W')`` the feature maps that the head reads."""
        x = self.stem(x)
        for part in self.cells:
            x = part(x) if isinstance(part, Residual) else part(x, *shared)
        return F.relu(self.norm(x))


def topology_stages(channels: int, cells: int) -> list[list[int]]:
    """Channels by stage and cell of a topology network: three stages, doubled from each to next."""
    return [[channels * factor] * cells for factor in (1, 2, 4)]
