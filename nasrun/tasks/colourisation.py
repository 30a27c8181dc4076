"""The pretext of pictures without colours."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasrun.images import Images, Pixels, Targets
from nasrun.ranges import require_at_least
from nasrun.spec import Objective
from nasrun.streams import Floats, Ints
from nasrun.tasks.pretext import Pretext

# Linear sRGB to CIE XYZ, and the white of daylight (D65): IEC 61966-2-1, CIE 15.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)
BEND = 6 / 29  # below its cube, CIE Lab is linear
CHUNK = 500  # pictures that are converted at once
LEVELS = np.arange(0, 256, 5)  # of each channel, of which the colours that there are made


@dataclass
class Colourisation(Pretext):
    """Lightness is seen, and the label of every pixel is the class of its colour.

    Liu et al., "Are Labels Necessary for Neural Architecture Search?" (ECCV 2020), section 3.1,
    after Zhang et al. (ECCV 2016): the input is L of CIE Lab; classes are the fields of a grid over
    a and b that colours of a screen fall in; cross-entropy without weights; accuracy by pixel.

    Departures: Zhang et al. have 313 fields of side 10 from a file, here they are those that hold a
    colour of sRGB, 260 at side 10; the input has L three times, so that networks need not change.

    Raises:
        ConfigError: a grid of less than 1.
    """

    name: str = "colourisation"
    grid: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 1, "grid")

    @property
    def outputs(self) -> int:
        """One for each field of the grid."""
        return len(self.fields)

    @property
    def flip(self) -> bool:
        """Labels are mirrored with their pictures."""
        return True

    @cached_property
    def fields(self) -> Ints:
        """``(classes, 2)`` the fields of the grid, by class."""
        levels = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1)
        return np.unique(self._field(lab(levels.reshape(-1, 3))[:, 1:]), axis=0)

    def objective(self, px: int) -> Objective:
        """To name the class of each pixel's colour."""
        from nasrun.nets.pretext import Colours

        return Colours(self.outputs, px)

    def relabelled(self, images: Images, part: str) -> Images:
        """``n`` pictures in grey, and ``(n, H, W)`` classes."""
        made = list(self._chunks(images.pixels))
        lightness, labels = (np.concatenate(own) for own in zip(*made, strict=True))
        return Images(np.repeat(lightness[:, None], 3, axis=1), labels)

    def _chunks(self, pixels: Pixels) -> Iterator[tuple[Pixels, Targets]]:
        for first in range(0, len(pixels), CHUNK):
            found = lab(pixels[first : first + CHUNK].transpose(0, 2, 3, 1))
            lightness = np.rint(found[..., 0] * 2.55).astype(np.uint8)
            yield lightness, self._classes(found[..., 1:]).astype(np.int16)

    def _field(self, ab: Floats) -> Ints:
        return np.rint(ab / self.grid).astype(np.int64)

    def _classes(self, ab: Floats) -> Ints:
        """``(...)`` the class of colours ``ab (..., 2)``: that of the nearest field there is."""
        places, inverse = np.unique(self._field(ab).reshape(-1, 2), axis=0, return_inverse=True)
        distance = ((places[:, None] - self.fields) ** 2).sum(axis=2)
        return distance.argmin(axis=1)[inverse.ravel()].reshape(ab.shape[:-1])


def lab(rgb: Ints | Pixels) -> Floats:
    """``(..., 3)`` CIE Lab of sRGB values 0 to 255: L from 0 to 100."""
    value = rgb / 255.0
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    ratio = linear @ TO_XYZ.T / WHITE
    root = np.where(ratio > BEND**3, np.cbrt(ratio), ratio / (3 * BEND**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
