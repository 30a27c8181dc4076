"""The operations of NAS-Bench-201's cell, as [A] ``models/cell_operations.py`` defines them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.pooling import average_pool

FEW = 8  # channels


def beside(*maps: Tensor, networks: int = 1) -> Tensor:
    """Channels of several maps ``(B, networks * C, H, W)`` one after the other, by network."""
    if networks == 1:
        return torch.cat(maps, dim=1)
    return torch.cat([m.unflatten(1, (networks, -1)) for m in maps], dim=2).flatten(1, 2)


class _Thinned(nn.Conv2d):
    """A 1x1 convolution of every ``step``-th pixel, the others being left out beforehand."""

    def __init__(self, c_in: int, c_out: int, step: int, bias: bool) -> None:
        super().__init__(c_in, c_out, 1, bias=bias)
        self.step = step

    def forward(self, input: Tensor) -> Tensor:
        """``(B, c_out, ceil(H / step), ceil(W / step))`` of ``input (B, c_in, H, W)``."""
        return super().forward(input[:, :, :: self.step, :: self.step])

    def extra_repr(self) -> str:
        """Networks of other steps are of another shape."""
        return f"{super().extra_repr()}, step={self.step}"


def pointwise(c_in: int, c_out: int, stride: int, bias: bool = False) -> nn.Conv2d:
    """A 1x1 convolution of ``stride``.

    With fewer than ``FEW`` input channels the pixels are left out beforehand, which is the same:
    for a stride of 2, torch 2.13 writes the gradient of so narrow a weight past its end on the CPU
    if channels come last, and the process aborts.
    """
    if stride > 1 and c_in < FEW:
        return _Thinned(c_in, c_out, stride, bias)
    return nn.Conv2d(c_in, c_out, 1, stride, bias=bias)


class ReLUConvNorm(nn.Module):
    """ReLU, a convolution, batch normalisation; ``of_positive`` is the part after the ReLU.

    A cell applies the ReLU once to a node that several convolutions read.

    Args:
        kernel: width of the convolution's window.
        c_in: channels of the input.
        c_out: channels of the output.
        stride: 2 halves the image.
        affine: whether the normalisation has weights; if not, the convolution has a bias.
        track: whether the normalisation keeps running statistics for judging.
    """

    per_channel = True

    def __init__(
        self, kernel: int, c_in: int, c_out: int, stride: int, affine: bool, track: bool
    ) -> None:
        super().__init__()
        self.conv = (
            pointwise(c_in, c_out, stride, bias=not affine)
            if kernel == 1
            else nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=not affine)
        )
        self.norm = nn.BatchNorm2d(c_out, affine=affine, track_running_stats=track)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H', W')`` of ``x (B, c_in, H, W)``."""
        return self.of_positive(F.relu(x))

    def of_positive(self, x: Tensor) -> Tensor:
        """The same for an ``x`` that has gone through a ReLU."""
        return self.norm(self.conv(x))


class AvgPool(nn.Module):
    """The mean over 3x3 windows; padding does not count.

    Where channels change, a 1x1 convolution goes first.
    """

    per_channel = True

    def __init__(self, c_in: int, c_out: int, stride: int, affine: bool, track: bool) -> None:
        super().__init__()
        same = c_in == c_out
        self.fit = nn.Identity() if same else ReLUConvNorm(1, c_in, c_out, 1, affine, track)
        self.pool = average_pool(stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H', W')`` of ``x (B, c_in, H, W)``."""
        return self.pool(self.fit(x))


class Widen(nn.Module):
    """A skip between different channel counts: a 1x1 convolution and normalisation, no ReLU."""

    per_channel = True

    def __init__(self, c_in: int, c_out: int, affine: bool, track: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=not affine)
        self.norm = nn.BatchNorm2d(c_out, affine=affine, track_running_stats=track)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H, W)`` of ``x (B, c_in, H, W)``."""
        return self.norm(self.conv(x))


class HalvedSkip(nn.Module):
    """A skip at stride 2: two 1x1 convolutions on every other pixel, one of them shifted by one."""

    per_channel = True
    networks = 1  # whose channels are side by side

    def __init__(self, c_in: int, c_out: int, affine: bool, track: bool) -> None:
        super().__init__()
        parts = (c_out // 2, c_out - c_out // 2)
        self.convs = nn.ModuleList(pointwise(c_in, c, 2, bias=not affine) for c in parts)
        self.norm = nn.BatchNorm2d(c_out, affine=affine, track_running_stats=track)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, ceil(H / 2), ceil(W / 2))`` of ``x (B, c_in, H, W)``."""
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(beside(self.convs[0](x), self.convs[1](shifted), networks=self.networks))


class Zero(nn.Module):
    """Zeros of the right shape. A single network has none of these: what is zero is left out."""

    def __init__(self, c_out: int, stride: int) -> None:
        super().__init__()
        self.c_out, self.stride = c_out, stride

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, ceil(H / stride), ceil(W / stride))`` zeros for ``x (B, c_in, H, W)``."""
        height, width = (-(-side // self.stride) for side in x.shape[2:])
        return x.new_zeros(len(x), self.c_out, height, width)


def operation(
    name: str, c_in: int, c_out: int, stride: int = 1, affine: bool = True, track: bool = True
) -> nn.Module:
    """The module of an operation that NAS-Bench-201 names.

    Args:
        name: ``none``, ``skip_connect``, ``nor_conv_1x1``, ``nor_conv_3x3`` or ``avg_pool_3x3``.
        c_in: channels of the input.
        c_out: channels of the output.
        stride: 2 halves the image.
        affine: whether batch normalisation has weights; supernets go without.
        track: whether batch normalisation keeps running statistics.

    Raises:
        KeyError: another name.
    """
    if name == "skip_connect":
        if stride > 1:
            return HalvedSkip(c_in, c_out, affine, track)
        return nn.Identity() if c_in == c_out else Widen(c_in, c_out, affine, track)
    if name == "none":
        return Zero(c_out, stride)
    if name == "avg_pool_3x3":
        return AvgPool(c_in, c_out, stride, affine, track)
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
    return ReLUConvNorm(kernel, c_in, c_out, stride, affine, track)
