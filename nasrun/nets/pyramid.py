"""A feature pyramid, and branches of convolutions that all of its levels share."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import ConfigError

GROUP = 8  # channels that are normalised together: FCOS's, 256 in 32 groups


class Pyramid(nn.Module):
    """Lin et al., "Feature pyramid networks for object detection" (CVPR 2017).

    Args:
        widths: channels of all of a backbone's maps.
        strides: how many times smaller than the image they are.
        finest: least stride of a map that is used.
        channels: of each level.
        extra: levels beyond the backbone's, by convolutions of stride 2 (RetinaNet's P6 and P7).

    Raises:
        ConfigError: no map of such a stride.
    """

    def __init__(
        self,
        widths: Sequence[int],
        strides: Sequence[int],
        finest: int,
        channels: int,
        extra: int,
    ) -> None:
        super().__init__()
        used = [place for place, stride in enumerate(strides) if stride >= finest]
        if not used:
            raise ConfigError(
                f"task.finest={finest} asks for maps that are {finest} times smaller than the "
                f"image, but the network's strides are {list(strides)}: lower it"
            )
        self._first = used[0]
        own = list(strides[self._first :])
        self.strides = (*own, *(own[-1] * 2**more for more in range(1, extra + 1)))
        self.lateral = nn.ModuleList(nn.Conv2d(widths[at], channels, 1) for at in used)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, 1) for _ in used)
        self.extra = nn.ModuleList(nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(extra))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """``(B, channels, h_i, w_i)`` of each level, the finest first."""
        used = maps[self._first :]
        inner = [conv(x) for conv, x in zip(self.lateral, used, strict=True)]
        for coarse, fine in pairwise(reversed(range(len(inner)))):
            size = inner[fine].shape[2:]
            inner[fine] = inner[fine] + F.interpolate(inner[coarse], size=size, mode="nearest")
        levels = [conv(x) for conv, x in zip(self.smooth, inner, strict=True)]
        for number, conv in enumerate(self.extra):
            levels.append(conv(F.relu(levels[-1]) if number else levels[-1]))
        return levels


def groups_of(channels: int) -> int:
    """Groups of ``GROUP`` channels, or fewer and larger ones, so that they come out even."""
    return math.gcd(channels, max(channels // GROUP, 1))


def branch(channels: int, layers: int) -> nn.Sequential:
    """Convolutions with GroupNorm (Wu and He, ECCV 2018), whose statistics are each level's own.

    With BatchNorm in a branch that levels share, running statistics would be those of no level.
    """
    parts = list[nn.Module]()
    for _ in range(layers):
        conv = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        parts += [conv, nn.GroupNorm(groups_of(channels), channels), nn.ReLU()]
    return nn.Sequential(*parts)
