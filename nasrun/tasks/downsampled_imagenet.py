"""Downsampled ImageNet, from the authors' batches, pickled or as ``.npz``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.errors import ConfigError
from nasrun.images import Images
from nasrun.tasks.base import ImageTask
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.pickled_batches import NPZ, check_present, read_batches

# The 16x16 files as NAS-Bench-201 uses them ([A] DownsampledImageNet.py). For the larger ones no
# checksum of single files is published.
MD5_16 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
VALIDATION = "val_data"
SIZES = (16, 32, 64)


@dataclass
class DownsampledImageNet(ImageTask):
    """Chrabaszcz et al., "A downsampled variant of ImageNet" (2017), all or the first classes.

    The files number classes from 1, and NAS-Bench-201's ImageNet16-120 is those up to 120. The test
    images of ImageNet have no labels, so that its validation images are the test part here.

    Raises:
        ConfigError: a size that there is not, or see ImageTask.
    """

    stored_px: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stored_px not in SIZES:
            raise ConfigError(f"task.stored_px must be one of {SIZES}, got {self.stored_px}")

    def paths(self) -> dict[str, Path]:
        """The ten training batches and the validation images.

        Raises:
            DataError: they are not there.
        """
        path = self.places.require(
            [VALIDATION, f"{VALIDATION}{NPZ}"],
            f"the folder {' or '.join(self.folders)} with train_data_batch_1 to 10 and val_data, "
            "pickled or as .npz (image-net.org offers it after a login),",
            None,
        )
        check_present(path.parent, names := [f"{name}{path.suffix}" for name in MD5_16])
        return {name: path.parent / name for name in names}

    def read(self) -> Published:
        """Training and validation images of the first classes.

        Raises:
            DataError: files that are missing or damaged.
        """
        paths = self.paths()
        *training, validation = paths
        known = MD5_16 if self.stored_px == 16 else {}
        folder = paths[validation].parent
        train = self._first_classes(folder, {name: known.get(name) for name in training})
        valid = self._first_classes(folder, {validation: known.get(validation)})
        files = self.places.hashes(paths)
        origin = f"ImageNet at {self.stored_px}x{self.stored_px}, official batches"
        return Published(in_memory(train), in_memory(valid), origin, files)

    def _first_classes(self, folder: Path, batches: Mapping[str, str | None]) -> Images:
        """Batch by batch, because all 1,000 classes may not fit the memory where a few do."""
        kept = list[Images]()
        for name, md5 in batches.items():
            images = read_batches(folder, {name: md5}, "labels", self.stored_px)
            rows = np.flatnonzero(images.labels <= self.classes)
            kept.append(Images(images.pixels[rows], images.labels[rows] - 1))
        return Images(
            np.concatenate([images.pixels for images in kept]),
            np.concatenate([images.labels for images in kept]),
        )
