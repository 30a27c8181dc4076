"""The operations of the NASNet family's cells, between any numbers of channels.

Zoph et al., CVPR 2018, section 3, with the conventions of the authors' code ([NU]
``nasnet_utils.py``): ReLU, convolution, normalisation in this order; separable convolutions are
applied twice; a pooling and an identity whose channels change, and an identity at stride 2, have a
1x1 convolution. Papers and code do not say what a dilated convolution is: here, as in DARTS, which
took it over, one of each channel by itself and then one across channels.
"""

from torch import Tensor, nn

from nasrun.nets.block_cells import OPERATIONS
from nasrun.nets.darts_operations import depthwise
from nasrun.nets.operations import ReLUConvNorm, Widen
from nasrun.nets.pooling import average_pool


class Thinned(nn.Module):
    """Every ``stride``-th pixel: what a 1x1 convolution of that stride reads.

    Such a convolution of few channels must not have the stride; see ``operations.pointwise``.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, ceil(H / stride), ceil(W / stride))`` of ``x (B, C, H, W)``."""
        return x[:, :, :: self.stride, :: self.stride]


def block_operation(name: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """The module of an operation of a block.

    Args:
        name: one of ``OPERATIONS``.
        c_in: channels of the input.
        c_out: channels of the output.
        stride: 2 halves the image.

    Raises:
        KeyError: another name.
    """
    kind, kernel = OPERATIONS[name]
    if kind == "skip":
        plain = stride == 1 and c_in == c_out
        return nn.Identity() if plain else _pointwise(c_in, c_out, stride)
    if kind in {"avg", "max"}:
        pool = (
            average_pool(stride)
            if kind == "avg"
            else nn.MaxPool2d(kernel, stride, padding=kernel // 2)
        )
        return pool if c_in == c_out else nn.Sequential(pool, Widen(c_in, c_out, True, True))
    if kind == "conv":
        if kernel == 1:
            return _pointwise(c_in, c_out, stride)
        return ReLUConvNorm(kernel, c_in, c_out, stride, True, True)
    if kind == "lines":
        return _lines(kernel, c_in, c_out, stride)
    if kind == "dil":
        return nn.Sequential(*depthwise(c_in, c_out, kernel, stride, 2, True, True))
    first = depthwise(c_in, c_out, kernel, stride, 1, True, True)
    return nn.Sequential(*first, *depthwise(c_out, c_out, kernel, 1, 1, True, True))


def _pointwise(c_in: int, c_out: int, stride: int) -> nn.Module:
    """ReLU, a 1x1 convolution, normalisation."""
    convolved = ReLUConvNorm(1, c_in, c_out, 1, True, True)
    return convolved if stride == 1 else nn.Sequential(Thinned(stride), convolved)


def _lines(kernel: int, c_in: int, c_out: int, stride: int) -> nn.Module:
    """ReLU, a convolution along rows and one along columns, normalisation."""
    pad = kernel // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, (1, kernel), (1, stride), (0, pad), bias=False),
        nn.Conv2d(c_out, c_out, (kernel, 1), (stride, 1), (pad, 0), bias=False),
        nn.BatchNorm2d(c_out),
    )
