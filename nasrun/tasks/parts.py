"""The parts of a data set as its publisher gives them, and the pixels behind their rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.images import Images, Pixels, Targets
from nasrun.streams import Ints


@dataclass(frozen=True)
class Part:
    """``labels (n, ...)`` of pictures, and how to get the pixels of some rows, in their order."""

    labels: Targets
    pixels: Callable[[Ints], Pixels]

    def take(self, rows: Ints) -> Images:
        """The pictures of these rows."""
        return Images(self.pixels(rows), self.labels[rows])


@dataclass(frozen=True)
class Published:
    """A data set's training and test part, where they were found, and their files' sha256.

    ``cut`` holds the rows of the two pieces of one of them where the publisher names them.
    ``class_names`` are in the order of the labels, and empty where the files name none; ``fit``
    says how pictures of any size became square ones.
    """

    train: Part
    test: Part
    origin: str
    files: Mapping[str, str]
    cut: tuple[Ints, Ints] | None = None
    class_names: Sequence[str] = ()
    fit: str = ""


def in_memory(images: Images) -> Part:
    """A part that has been read; its pictures may be grey, ``C = 1``."""

    def rows(order: Ints) -> Pixels:
        everything = len(order) == len(images) and bool((np.diff(order) == 1).all())
        return images.pixels if everything else images.pixels[order]

    return Part(images.labels, rows)


def in_colour(pixels: Pixels) -> Pixels:
    """``(n, 3, H, W)``: grey pictures, ``C = 1``, become three equal channels."""
    return pixels if pixels.shape[1] == 3 else np.repeat(pixels, 3, axis=1)


def channel_moments(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of values 0 to 255; exact sums."""
    counts = np.zeros((pixels.shape[1], 256), np.int64)
    for first in range(0, len(pixels), 10_000):
        chunk = pixels[first : first + 10_000]
        for channel in range(len(counts)):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    values = np.arange(256.0)
    total = counts.sum(axis=1)
    mean = counts @ values / total
    deviation = np.sqrt(counts @ values**2 / total - mean**2)
    return tuple(mean.tolist()), tuple(np.maximum(deviation, 1.0).tolist())
