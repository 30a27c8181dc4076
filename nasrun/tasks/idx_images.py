"""Data sets in the IDX format of MNIST: grey pictures, raw or compressed by gzip."""

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Images
from nasrun.input_files import BROKEN, opened_unpacked, read_up_to, too_large
from nasrun.tasks import class_names
from nasrun.tasks.base import ImageTask
from nasrun.tasks.downloads import FASHION_MNIST, MNIST, fetch_archives
from nasrun.tasks.parts import Part, Published, in_memory
from nasrun.tasks.places import by_name

PICTURES, LABELS = 0x803, 0x801  # unsigned bytes in three and in one dimension
LIMIT = 2**31  # bytes of pictures; all of EMNIST are a quarter of that
PARTS = ("train", "t10k")
SIDES = ("images", "idx3"), ("labels", "idx1")


class Publisher(Enum):
    """Whose files they are, for downloading."""

    mnist = "MNIST"
    fashion_mnist = "Fashion-MNIST"


NAMES = {
    Publisher.mnist: class_names.DIGITS,
    Publisher.fashion_mnist: class_names.FASHION_MNIST,
}
ARCHIVES = {Publisher.mnist: MNIST, Publisher.fashion_mnist: FASHION_MNIST}


@dataclass
class IdxImages(ImageTask):
    """MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017).

    The grey pictures become three equal channels of ``image_px``, as in MetaD2A's experiments
    (Lee et al., ICLR 2021), so that networks for colour pictures take them.

    Raises:
        ConfigError: see ImageTask.
    """

    publisher: Publisher = Publisher.mnist

    def paths(self) -> dict[str, Path]:
        """Pictures and labels of the training part, then those of the test part.

        Raises:
            DataError: one is not there.
        """
        found = [
            self._path(f"{part}-{side}", f"{kind}-ubyte") for part in PARTS for side, kind in SIDES
        ]
        return by_name(found)

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: files that are missing or damaged.
        """
        paths = self.paths()
        found = iter(paths.values())
        train, test = (self._part(next(found), next(found)) for _ in PARTS)
        files = self.places.hashes(paths)
        origin = f"{self.publisher.value}, grey as three equal channels"
        return Published(train, test, origin, files, class_names=NAMES[self.publisher])

    def _path(self, side: str, kind: str) -> Path:
        # Many copies have a dot, and beside such a file a folder may have the name with a dash.
        name, dotted = f"{side}-{kind}", f"{side}.{kind}"
        return self.places.require(
            [dotted, f"{dotted}.gz", name, f"{name}.gz"],
            f"the {self.publisher.value} files, as {self.folders[0]}/{name}.gz,",
            self._fetch,
        )

    def _fetch(self) -> None:
        fetch_archives(ARCHIVES[self.publisher], self.places.downloads)

    def _part(self, pictures: Path, labels: Path) -> Part:
        pixels = _read(pictures, PICTURES)
        numbers = _read(labels, LABELS)
        if len(pixels) != len(numbers):
            raise DataError(
                f"{labels}: {len(numbers)} labels for the {len(pixels)} pictures of "
                f"{pictures.name}; get both again"
            )
        return in_memory(Images(pixels[:, None], numbers.astype(np.int64)))


def _read(path: Path, kind: int) -> np.ndarray:
    """The array of an IDX file: a header of big-endian numbers, then as many bytes as it says."""
    try:
        with opened_unpacked(path) as stream:
            header = np.frombuffer(stream.read(4 * (1 + (kind & 0xFF))), ">u4")
            found, *shape = header.tolist()
            if found != kind:
                raise ValueError(f"it begins with {found:#x}, expected {kind:#x}")
            size = math.prod(shape)
            if size > LIMIT:
                raise too_large(path, f"its header claims shape {tuple(shape)},", LIMIT)
            return np.frombuffer(read_up_to(stream, path, size), np.uint8).reshape(shape)
    except BROKEN as error:
        raise DataError(f"{path}: not a complete IDX file ({error}); get it again") from None
