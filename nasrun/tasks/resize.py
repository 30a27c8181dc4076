"""Pictures of one size brought to another, many at a time."""

import numpy as np

from nasrun.images import Pixels

STRIP = 1_000  # planes a strip of pictures has; bounds the memory, changes no value


def resized(pixels: Pixels, px: int) -> Pixels:
    """``(n, C, px, px)`` pictures: Pillow's bilinear filter, squares from whatever they were.

    Pillow filters rows first and columns then, and a row knows nothing of the next one. So planes
    are stacked to one tall strip for the first pass and laid side by side for the second: the
    values are those of ``Image.resize`` picture by picture, at a fraction of its time.
    """
    n, channels, height, width = pixels.shape
    if (height, width) == (px, px):
        return pixels
    planes = pixels.reshape(-1, height, width)
    out = np.empty((n * channels, px, px), np.uint8)
    for first in range(0, len(planes), STRIP):
        strip = planes[first : first + STRIP]
        rows = _filtered(strip.reshape(-1, width), (px, len(strip) * height))
        wide = rows.reshape(len(strip), height, px).transpose(1, 0, 2).reshape(height, -1)
        columns = _filtered(wide, (len(strip) * px, px))
        out[first : first + STRIP] = columns.reshape(px, len(strip), px).transpose(1, 0, 2)
    return out.reshape(n, channels, px, px)


def _filtered(plane: Pixels, size: tuple[int, int]) -> Pixels:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))
