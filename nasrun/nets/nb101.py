"""NAS-Bench-101's networks: stacks of cells, halved between them, as its model builder makes them.

[N1] ``lib/model_builder.py`` and ``lib/base_ops.py``. Batch normalisation has momentum 0.997 (0.003
in torch's sense) and epsilon 1e-5; weights of convolutions are drawn with variance 1 / fan-in.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.nb101_cells import CONV1X1, CONV3X3, VERTICES, widths
from nasrun.spec import Ints, Mask, Objective

MOMENTUM = 0.003
CUT, CUT_STD = 2.0, 0.87962566103423978  # a normal distribution cut at 2 has this deviation


class ConvNormReLU(nn.Module):
    """A convolution of stride 1 without bias, batch normalisation, ReLU."""

    def __init__(self, kernel: int, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(c_out, momentum=MOMENTUM)
        std = (c_in * kernel * kernel) ** -0.5 / CUT_STD
        nn.init.trunc_normal_(self.conv.weight, std=std, a=-CUT * std, b=CUT * std)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H, W)`` of ``x (B, c_in, H, W)``."""
        return F.relu(self.norm(self.conv(x)))


class Cell(nn.Module):
    """A graph of operations on vertices.

    An inner vertex adds what leads to it, cut to its own channels, and applies its operation; what
    comes from the input goes through a 1x1 projection. The vertices that lead to the output are
    joined channel by channel, and a projection of the input, where an edge leads straight to the
    output, is added.

    Args:
        adjacency: ``(7, 7)`` pruned.
        operations: ``(5,)`` of the inner vertices.
        c_in: channels of the input.
        c_out: channels of the output.
    """

    def __init__(self, adjacency: Mask, operations: Ints, c_in: int, c_out: int) -> None:
        super().__init__()
        width: list[int] = widths(adjacency[None], c_out)[0].tolist()
        last = VERTICES - 1
        self._sources = {
            vertex: [source for source in range(1, vertex) if adjacency[source, vertex]]
            for vertex in range(1, VERTICES)
            if adjacency[:, vertex].any()
        }
        self._width = width
        self.projections = nn.ModuleDict(
            {
                str(vertex): ConvNormReLU(1, c_in, width[vertex])
                for vertex in self._sources
                if adjacency[0, vertex]
            }
        )
        self.operations = nn.ModuleDict(
            {
                str(vertex): _operation(int(operations[vertex - 1]), width[vertex])
                for vertex in self._sources
                if vertex != last
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H, W)`` of ``x (B, c_in, H, W)``."""
        values, last = dict[int, Tensor](), VERTICES - 1
        for vertex, sources in self._sources.items():
            name, terms = str(vertex), list[Tensor]()
            if vertex < last:
                terms = [values[source][:, : self._width[vertex]] for source in sources]
            elif sources:
                terms = [torch.cat([values[source] for source in sources], dim=1)]
            if name in self.projections:
                terms.append(self.projections[name](x))
            total = reduce(add, terms)
            values[vertex] = self.operations[name](total) if vertex < last else total
        return values[last]


def _operation(option: int, channels: int) -> nn.Module:
    """What stands on a vertex."""
    kernels = {CONV3X3: 3, CONV1X1: 1}
    if option in kernels:
        return ConvNormReLU(kernels[option], channels, channels)
    return nn.MaxPool2d(3, 1, 1)


class Network(nn.Module):
    """Stem, stacks of equal cells of which each later one has half the pixels, the head.

    Args:
        adjacency: ``(7, 7)`` pruned, of all cells.
        operations: ``(5,)`` of the inner vertices.
        channels: of the first stack; doubled from each to the next.
        stacks: number of cells of each.
        objective: what the network is trained for.
    """

    def __init__(
        self,
        adjacency: Mask,
        operations: Ints,
        channels: int,
        stacks: Sequence[int],
        objective: Objective,
    ) -> None:
        super().__init__()
        self.stem = ConvNormReLU(3, 3, channels)
        parts, wide = list[nn.Module](), channels
        for number, count in enumerate(stacks):
            narrow = wide
            if number:
                parts.append(nn.MaxPool2d(2, 2, ceil_mode=True))
                wide *= 2
            inputs = [narrow, *[wide] * (count - 1)]
            parts += [Cell(adjacency, operations, c_in, wide) for c_in in inputs]
        self.cells = nn.Sequential(*parts)
        self.classifier = objective.head(wide)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.classifier(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """``(B, channels, H', W')`` the feature maps that the head reads."""
        return self.cells(self.stem(x))
