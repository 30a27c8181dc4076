"""Street View House Numbers, from the official cropped digits."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Images
from nasrun.input_files import require_file, too_large
from nasrun.tasks.base import ImageTask
from nasrun.tasks.class_names import DIGITS
from nasrun.tasks.downloads import SVHN, fetch_archives
from nasrun.tasks.parts import Published, in_memory

LIMIT = 2**32  # numbers in a file; the extra pictures, the largest, have 1.7 billion
TRAIN, TEST = "train_32x32.mat", "test_32x32.mat"


@dataclass
class Svhn(ImageTask):
    """Netzer et al., "Reading digits in natural images" (2011), without the extra pictures.

    Raises:
        ConfigError: see ImageTask.
    """

    def paths(self) -> dict[str, Path]:
        """The official files.

        Raises:
            DataError: one is not there.
        """
        return {
            name: self.places.require(
                [name],
                f"{TRAIN} and {TEST}",
                lambda: fetch_archives(SVHN, self.places.downloads),
            )
            for name in (TRAIN, TEST)
        }

    def read(self) -> Published:
        """The official training and test digits.

        Raises:
            DataError: files that are missing or damaged.
        """
        paths = self.paths()
        files = self.places.hashes(paths)
        train, test = (in_memory(_read(paths[name])) for name in (TRAIN, TEST))
        return Published(train, test, "SVHN, official files", files, class_names=DIGITS)


def _read(path: Path) -> Images:
    from scipy.io import loadmat, whosmat

    require_file(path)
    try:
        claimed = sum(math.prod(shape) for _, shape, _ in whosmat(path))
        if claimed > LIMIT:
            raise too_large(path, f"its arrays have {claimed} numbers,", LIMIT)
        content = loadmat(path, variable_names=["X", "y"])
        pixels = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))
        labels = content["y"].ravel().astype(np.int64) % 10  # the files call the digit 0 ten
        if pixels.dtype != np.uint8 or len(labels) != len(pixels):
            raise ValueError(f"{len(labels)} labels for {len(pixels)} pictures of {pixels.dtype}")
    except DataError:
        raise
    except Exception as error:  # a damaged file can fail in any way
        raise DataError(
            f"{path}: not a complete file of cropped digits ({type(error).__name__}: {error}); "
            "get it again"
        ) from None
    return Images(pixels, labels)
