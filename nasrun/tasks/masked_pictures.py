"""Pictures with masks of a class for every pixel, both brought to one size and kept."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import DataError
from nasrun.images import Pixels
from nasrun.streams import Ints
from nasrun.tasks.decoding import ORIENTATION, Fit, decoded, fitted, opened_picture
from nasrun.tasks.kept_array import each, kept_array
from nasrun.tasks.parts import Part
from nasrun.tasks.trees import TreeFile, file_name, file_state

FORMAT = "nasrun-masks-1"  # to be raised whenever the same files would give other masks
MOST_NUMBERS = 2**16  # that a mask's 16 bits can hold
NUMBERED = {"1", "L", "P", "I", "I;16", "I;16B"}  # modes whose values are numbers of something
LYING = range(5, 9)  # EXIF orientations that exchange height and width

Pair = tuple[TreeFile, TreeFile]  # a picture and its mask


@dataclass(frozen=True)
class MaskIds:
    """What the numbers in masks mean: ``classes`` of some, and what all ``others`` are.

    Without ``others`` they are refused; ``nasrun.images.IGNORED`` are pixels that do not count.
    """

    classes: Mapping[int, int]
    others: int | None = None

    def read(self, numbers: NDArray[Any], where: str) -> NDArray[Any]:
        """``(H, W)`` classes of ``numbers (H, W)``.

        Raises:
            DataError: a number that means nothing.
        """
        present = np.flatnonzero(np.bincount(numbers.ravel()))
        table = np.zeros(int(present[-1]) + 1, np.int32)
        for number in present.tolist():
            found = self.classes.get(number, self.others)
            if found is None:
                known = ", ".join(map(str, list(self.classes)[:5]))
                raise DataError(
                    f"{where}: pixels of this mask have the number {number}, which is none of the "
                    f"{len(self.classes)} known ones ({known}, ...): raise task.classes, or set "
                    "task.ignored or task.binary to what the masks hold"
                )
            table[number] = found
        return table[numbers]


@dataclass(frozen=True)
class MaskedPictures:
    """How pictures and masks are decoded.

    Args:
        size: height and width to which both are brought, masks by the nearest pixel.
        fit: how, where the sides have another ratio.
        ids: what the numbers in the masks mean.
        cache: folder where the results are kept.
    """

    size: tuple[int, int]
    fit: Fit
    ids: MaskIds
    cache: Path

    def part(self, pairs: Sequence[Pair]) -> Part:
        """A part whose masks are decoded now, its pictures when their pixels are asked for.

        Raises:
            DataError: a picture or mask that cannot be decoded, of sizes that differ, or with
                numbers that mean nothing.
        """

        def pixels(rows: Ints) -> Pixels:
            return self._pixels([pairs[row][0] for row in rows])

        return Part(self._masks(pairs), pixels)

    def _pixels(self, files: Sequence[TreeFile]) -> Pixels:
        """``(n, 3, H, W)``."""

        def decode(file: TreeFile) -> Pixels:
            return decoded(file, self.size, self.fit)[0].transpose(2, 0, 1)

        return self._kept("pixels", files, (3, *self.size), np.uint8, decode, files)

    def _masks(self, pairs: Sequence[Pair]) -> NDArray[Any]:
        """``(n, H, W)``, in as few bytes as the classes need."""
        highest = max([*self.ids.classes.values(), self.ids.others or 0])
        kind = np.int8 if highest < 2**7 else np.int16
        files = list(chain.from_iterable(pairs))
        return self._kept(f"masks {self.ids}", files, self.size, kind, self._mask, pairs)

    def _mask(self, pair: Pair) -> NDArray[Any]:
        from PIL import Image

        picture, mask = pair
        with opened_picture(picture) as image:
            lies = image.getexif().get(ORIENTATION, 1) in LYING
            size = image.size[::-1] if lies else image.size
        numbers = mask_numbers(mask)
        if numbers.shape != size[::-1]:
            raise DataError(
                f"{file_name(mask)}: this mask has {numbers.shape[1]}x{numbers.shape[0]} pixels, "
                f"but its picture has {size[0]}x{size[1]}: bring them to one size"
            )
        classes = Image.fromarray(self.ids.read(numbers, file_name(mask)))
        return np.asarray(fitted(classes, self.size, self.fit, nearest=True))

    def _kept(
        self,
        what: str,
        files: Sequence[TreeFile],
        shape: tuple[int, ...],
        kind: type[np.generic],
        decode: Callable[[Any], Any],
        items: Sequence[Any],
    ) -> NDArray[Any]:
        """``(n, *shape)`` what ``decode`` makes of each item, from the cache if it is there."""
        digest = hashlib.sha256(f"{FORMAT} {what} {self.size} {self.fit.value}".encode())
        for file in files:
            digest.update(b"\n" + file_state(file))

        def fill(out: NDArray[Any]) -> None:
            for at, found in each(decode, items):
                out[at] = found

        return kept_array(
            self.cache / f"{digest.hexdigest()[:24]}.npy", (len(items), *shape), kind, fill
        )


def mask_numbers(file: TreeFile) -> NDArray[Any]:
    """``(H, W)`` the numbers in a mask; a palette's are the places in it.

    Raises:
        DataError: it cannot be decoded, or has colours in the place of numbers.
    """
    with opened_picture(file) as image:
        if image.mode not in NUMBERED:
            raise ValueError(f"masks have one channel of numbers, and this has mode {image.mode}")
        numbers = np.asarray(image, np.int64)
        if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= MOST_NUMBERS:
            raise ValueError(f"numbers of masks lie from 0 to {MOST_NUMBERS - 1}")
    return numbers


def highest_class(masks: Iterable[TreeFile], ignored: int | None) -> int:
    """The highest number in some masks but that of pixels which are ``ignored``; 0 without any.

    Raises:
        DataError: a mask that cannot be decoded.
    """

    def highest(file: TreeFile) -> int:
        numbers = mask_numbers(file)
        return int(numbers[numbers != (-1 if ignored is None else ignored)].max(initial=0))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return max(pool.map(highest, masks), default=0)
