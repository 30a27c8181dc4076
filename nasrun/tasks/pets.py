"""Oxford-IIIT Pets, from the official folder of pictures."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.images import draw
from nasrun.tasks.base import ImageTask
from nasrun.tasks.downloads import PETS, fetch_archives
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit, PictureFiles, is_picture

TEST_SHARE = 0.15


@dataclass
class Pets(ImageTask):
    """Parkhi et al., "Cats and dogs" (CVPR 2012); a class is a breed.

    MetaD2A (Lee et al., ICLR 2021) trains on 85% of all 7,390 pictures and tests on 15%. Which
    pictures those are stands in pickles only, so here they are drawn by ``seed``, each breed alike.

    Raises:
        ConfigError: see ImageTask.
    """

    fit: Fit = Fit.squash

    def paths(self) -> dict[str, Path]:
        """The folder of pictures.

        Raises:
            DataError: it is not there.
        """
        folder = self.places.require(
            ["images"],
            "the folder images of images.tar.gz",
            lambda: fetch_archives(PETS, self.places.downloads),
        )
        return {"pets": folder}

    def read(self) -> Published:
        """The pictures in the order of their names, parted by ``seed``.

        Raises:
            DataError: files that are missing or damaged.
        """
        folders = self.paths()
        [folder] = folders.values()
        paths = sorted(path for path in folder.iterdir() if is_picture(path))
        breeds = [path.stem.rpartition("_")[0] for path in paths]
        names, labels = np.unique(breeds, return_inverse=True)
        tested = math.ceil(TEST_SHARE * len(paths))
        chosen = draw(labels, tested, self.seed, f"{self.name}/test")
        rest = np.setdiff1d(np.arange(len(paths)), chosen)
        decoder = PictureFiles(self.image_px, self.fit, self.places.cache / "images")
        train, test = (
            decoder.part([paths[row] for row in rows], labels[rows]) for rows in (rest, chosen)
        )
        origin = f"Oxford-IIIT Pets, training and test pictures drawn by seed {self.seed}"
        return Published(
            train,
            test,
            origin,
            self.places.hashes(folders),
            class_names=names.tolist(),
            fit=self.fit.value,
        )
