"""Small pictures themselves as features: a control that knows nothing."""

from dataclasses import dataclass

import numpy as np

from nasrun.images import Pixels
from nasrun.ranges import require_at_least
from nasrun.spec import Features, Floats, Vectors

GREY = 127.5  # the middle of 0 to 255


@dataclass
class PixelFeatures(Features):
    """Pictures made ``px`` pixels wide and high by averaging, less the middle grey, at length 1.

    Grey pictures count as coloured ones whose three channels are the same.

    Raises:
        ConfigError: less than one pixel.
    """

    name: str = "pixels"
    px: int = 8

    def __post_init__(self) -> None:
        require_at_least(self, "features", 1, "px")

    def of(self, pixels: Pixels) -> Vectors:
        """``(n, 3 px px)`` unit vectors of ``pixels (n, C, H, W)``."""
        import torch
        from torch.nn.functional import interpolate

        planes = torch.from_numpy(np.ascontiguousarray(pixels)).float() - GREY
        small = interpolate(planes, (self.px, self.px), mode="area")
        return unit(small.expand(-1, 3, -1, -1).flatten(1).numpy())


def unit(vectors: Vectors | Floats) -> Vectors:
    """``(n, d)`` vectors of length 1 in the same directions; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)
