"""Pictures in memory with what belongs to them, and the parts that a data set is split into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import DataError
from nasrun.streams import Ints, Streams

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Targets = NDArray[Any]
IGNORED = -100  # in a mask: a pixel that counts for nothing; the number that torch's losses skip
NO_BOX = -1.0  # class of a row that pads the boxes of a picture to the number of the fullest one
BOX_COLUMNS = range(5, 8)  # x0, y0, x1, y1 in pixels, the class; then perhaps crowd and area


@dataclass(frozen=True)
class Images:
    """``pixels (n, C, H, W)``, 0 to 255, and ``labels``: what a network is to say of each picture.

    Classes ``(n,)``, numbered from 0; masks ``(n, H, W)`` of a class for each pixel, or
    ``IGNORED``; boxes ``(n, M, 5 or more)`` with ``BOX_COLUMNS`` in floating point, of which those
    of class ``NO_BOX`` are padding; or ``(n, k)`` numbers. The task's objective knows which.
    Of a text, ``pixels (n, T)`` are numbers of tokens, and so are ``labels (n, T)``.
    """

    pixels: Pixels
    labels: Targets

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The parts of a task's images.

    A search trains on ``search_train`` and judges on ``search_valid``; the found architecture is
    trained on ``final_train`` and judged on ``final_test``, which no search may look at.
    """

    search_train: Images
    search_valid: Images
    final_train: Images
    final_test: Images
    mean: tuple[float, ...]  # by channel, of pixel values 0 to 255
    std: tuple[float, ...]
    flip: bool  # whether a mirrored picture is the same thing (not so with digits)
    source: str  # in words: where the pictures come from and how they were split
    files: Mapping[str, str]  # files read and their sha256
    class_names: tuple[str, ...] = ()  # by label; empty where the files name none
    fit: str = ""  # how pictures of any size became square; empty where they were
    still: bool = False  # whether a picture moved by a few pixels would be something else

    @property
    def pictures(self) -> "Pictures":
        """What a network that was trained on them takes and gives."""
        px = self.final_train.pixels.shape[-1]
        return Pictures(px, self.mean, self.std, self.class_names, self.fit)

    @property
    def search(self) -> "SearchImages":
        """What a search may see of them."""
        parts = (self.search_train, self.search_valid)
        return SearchImages(*parts, self.mean, self.std, self.flip, self.files, self.class_names)


@dataclass(frozen=True)
class Pictures:
    """What a network trained on these pictures takes and gives.

    ``mean`` and ``std`` are those of its training, by channel, of pixel values 0 to 255;
    ``class_names`` are in the order of the logits, empty where they are not known; ``fit`` says how
    a picture of any size becomes a square one (``crop`` or ``squash``), empty where all are square.
    """

    px: int
    mean: Sequence[float]
    std: Sequence[float]
    class_names: Sequence[str] = ()
    fit: str = ""

    @property
    def described(self) -> dict[str, Any]:
        """What a file says of its input and output, as JSON has it."""
        return {
            "image_px": self.px,
            "mean": list(self.mean),
            "std": list(self.std),
            "class_names": list(self.class_names),
            "fit": self.fit,
        }


@dataclass(frozen=True)
class SearchImages:
    """The parts of a task's images that a search may look at, normalised as ``Splits`` says."""

    train: Images
    valid: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    files: Mapping[str, str]
    class_names: tuple[str, ...] = ()  # by label; empty where the files name none


def are_classes(targets: Targets) -> bool:
    """Whether there is one class for each picture: integers ``(n,)``."""
    return targets.ndim == 1 and bool(np.issubdtype(targets.dtype, np.integer))


def are_masks(targets: Targets) -> bool:
    """Whether there is a class for each pixel of a picture: integers ``(n, H, W)``."""
    return targets.ndim == 3 and bool(np.issubdtype(targets.dtype, np.signedinteger))


def are_boxes(targets: Targets) -> bool:
    """Whether there are boxes for each picture: floats ``(n, M, 5 or more)``."""
    wide = targets.ndim == 3 and targets.shape[2] in BOX_COLUMNS
    return wide and bool(np.issubdtype(targets.dtype, np.floating))


def draw(targets: Targets, count: int, seed: int, purpose: str) -> Ints:
    """``(count,)`` ascending rows, each class with the same share as near as can be.

    Where targets are no classes, any rows.

    A larger count draws the same rows and more. ``purpose`` names the use: other uses of a seed,
    other rows.
    """
    labels = targets if are_classes(targets) else np.zeros(len(targets), np.int64)
    chance = Streams([seed], purpose).uniform(len(labels))[0]
    order = np.lexsort((chance, labels))
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    share = (place + 0.5) / np.repeat(sizes, sizes)
    first = np.lexsort((chance[order], share))[:count]
    return np.sort(order[first])


def of_each_class(labels: Labels, count: int, streams: Streams, names: Sequence[str] = ()) -> Ints:
    """``(C, k)`` rows of pictures of each class: ``count``, or what the smallest class has.

    ``names`` of the classes are for the error.

    Raises:
        DataError: a class with a single picture, or none.
    """
    sizes = np.bincount(labels)
    if sizes.min() < 2:
        smallest = int(sizes.argmin())
        which = names[smallest] if names else smallest
        found = "one picture" if sizes[smallest] else "no picture"
        raise DataError(
            f"class {which} has {found} to search with, which tells nothing of how its pictures "
            "differ: give it two or more besides those for validation and test"
        )
    order = np.lexsort((streams.uniform(len(labels))[0], labels))
    first = np.cumsum(sizes) - sizes
    return order[first[:, None] + np.arange(min(count, int(sizes.min())))]
