"""TransNAS-Bench-101's networks: a stem that quarters the image, cells, the objective's head."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from nasrun.nets.operations import ReLUConvNorm, pointwise
from nasrun.spec import Objective

CellFactory = Callable[[int, int, int], nn.Module]  # of channels in and out, and a stride


class Stem(nn.Module):
    """Two 3x3 convolutions of stride 2: to half of the channels, then to all."""

    per_channel = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = -(-channels // 2)
        self.conv = nn.Conv2d(3, half, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(half)
        self.second = ReLUConvNorm(3, half, channels, 2, affine=True, track=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H / 4, W / 4)`` of ``x (B, 3, H, W)``."""
        return self.second(self.norm(self.conv(x)))


class Block(nn.Module):
    """The macro space's cell: twice ReLU, 3x3 convolution, normalisation, beside a shortcut."""

    per_channel = True

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = ReLUConvNorm(3, c_in, c_out, stride, affine=True, track=True)
        self.second = ReLUConvNorm(3, c_out, c_out, 1, affine=True, track=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or c_in != c_out:
            fit = pointwise(c_in, c_out, stride)
            self.shortcut = nn.Sequential(fit, nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H / stride, W / stride)`` of ``x (B, c_in, H, W)``."""
        return self.shortcut(x) + self.second(self.first(x))


class Network(nn.Module):
    """Stem, cells, head.

    Args:
        cell: makes a cell.
        plan: channels into and out of each cell, and its stride.
        objective: what the network is trained for.
    """

    per_channel = True

    def __init__(
        self, cell: CellFactory, plan: Sequence[tuple[int, int, int]], objective: Objective
    ) -> None:
        super().__init__()
        self.stem = Stem(plan[0][0])
        self.cells = nn.Sequential(*(cell(*sizes) for sizes in plan))
        self.classifier = objective.head(plan[-1][1])

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.classifier(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """``(B, channels, H', W')`` the feature maps that the head reads."""
        return self.cells(self.stem(x))
