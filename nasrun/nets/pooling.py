"""Average pooling as the cells have it, at a CPU's speed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 3
FAST = (torch.float32, torch.bfloat16)  # formats that convolutions of single channels are fast in


class AveragePool(nn.AvgPool2d):
    """The mean over 3x3 windows at stride 1; padding does not count.

    On a CPU, PyTorch's own operator takes longer than a 3x3 convolution across all channels does.
    There the windows' sums are a convolution of each channel by itself, and the mean is a factor.
    """

    def __init__(self) -> None:
        super().__init__(WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)

    def forward(self, input: Tensor) -> Tensor:
        """``(B, C, H, W)`` of ``input (B, C, H, W)``."""
        x = input
        if _is_recorded() or x.device.type != "cpu" or x.dtype not in FAST:
            return super().forward(x)
        channels, height, width = x.shape[1:]
        ones = x.new_ones(channels, 1, WINDOW, WINDOW)
        sums = F.conv2d(x, ones, padding=WINDOW // 2, groups=channels)
        # 1, 1.5 or 3 by side, which bfloat16 has exactly; a ninth it has not, save as a number.
        counts = _at_border(x, height)[:, None] * _at_border(x, width)
        return sums * counts * (1.0 / WINDOW**2)


def average_pool(stride: int) -> nn.AvgPool2d:
    """The mean over 3x3 windows, padding not counted; a ``stride`` of 2 halves the image."""
    if stride == 1:
        return AveragePool()
    return nn.AvgPool2d(WINDOW, stride, padding=WINDOW // 2, count_include_pad=False)


def _is_recorded() -> bool:
    """Whether a call is traced for a file or compiled, both of which know the plain operator."""
    tracing = torch.jit.is_tracing  # pyright: ignore[reportPrivateImportUsage]
    return tracing() or torch.compiler.is_compiling()


def _at_border(like: Tensor, side: int) -> Tensor:
    """``(side,)`` by how much fewer rows a window has at the border, as a factor of its mean."""
    rows = torch.full((side,), WINDOW)
    rows[0] -= 1
    rows[-1] -= 1
    return (WINDOW / rows).to(like.dtype)
