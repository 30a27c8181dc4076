"""The operations of DARTS cells (Liu et al., ICLR 2019, section 3.1)."""

from torch import Tensor, nn

from nasrun.nets.operations import HalvedSkip
from nasrun.nets.pooling import average_pool

SKIP = "skip_connect"
POOLS = ("max_pool_3x3", "avg_pool_3x3")


def depthwise(
    c_in: int, c_out: int, kernel: int, stride: int, dilation: int, affine: bool, track: bool
) -> list[nn.Module]:
    """ReLU, a convolution of each channel by itself, one across channels, normalisation."""
    pad = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(c_in, c_in, kernel, stride, pad, dilation, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1, bias=False),
        nn.BatchNorm2d(c_out, affine=affine, track_running_stats=track),
    ]


def darts_operation(
    name: str,
    channels: int,
    stride: int,
    affine: bool = True,
    track: bool = True,
    norm_pool: bool = False,
) -> nn.Module:
    """The module of an operation; a separable convolution is applied twice.

    Args:
        name: ``skip_connect``, ``max_pool_3x3``, ``avg_pool_3x3``, ``sep_conv_KxK`` or
            ``dil_conv_KxK``.
        channels: of input and output.
        stride: 2 halves the image.
        affine: whether batch normalisation has weights; supernets go without.
        track: whether batch normalisation keeps running statistics.
        norm_pool: whether a pooling is normalised; in searches, as in DARTS's code but not UNAS's.

    Raises:
        KeyError: another name.
    """
    if name == SKIP:
        return nn.Identity() if stride == 1 else HalvedSkip(channels, channels, affine, track)
    if name in POOLS:
        pool = (
            nn.MaxPool2d(3, stride, padding=1) if name.startswith("max") else average_pool(stride)
        )
        norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=track)
        return nn.Sequential(pool, norm) if norm_pool else pool
    kind, _, size = name.partition("_conv_")
    kernel = int(size.partition("x")[0])
    twice = {"sep": True, "dil": False}[kind]
    if not twice:
        return nn.Sequential(*depthwise(channels, channels, kernel, stride, 2, affine, track))
    first = depthwise(channels, channels, kernel, stride, 1, affine, track)
    return nn.Sequential(*first, *depthwise(channels, channels, kernel, 1, 1, affine, track))


def drop_path(x: Tensor, rate: float) -> Tensor:
    """``x (B, ...)`` with some images zeroed, and the others scaled up to make up for it."""
    kept = x.new_empty(len(x), *(1,) * (x.dim() - 1)).bernoulli_(1.0 - rate)
    return x * kept / (1.0 - rate)
