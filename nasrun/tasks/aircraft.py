"""FGVC-Aircraft, from the official folder."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.input_files import MIB, read_bytes
from nasrun.tasks.base import ImageTask
from nasrun.tasks.downloads import AIRCRAFT, fetch_archives
from nasrun.tasks.parts import Part, Published
from nasrun.tasks.picture_files import Fit, PictureFiles

LIST_LIMIT = 64 * MIB


class Level(Enum):
    """What a class is: 30 manufacturers, 70 families or 100 variants."""

    manufacturer = "manufacturer"
    family = "family"
    variant = "variant"


@dataclass
class Aircraft(ImageTask):
    """Maji et al., "Fine-grained visual classification of aircraft" (2013).

    Trained on the official trainval list. MetaD2A (Lee et al., ICLR 2021) takes manufacturers, at
    32 pixels, and cuts the test list in two.

    Raises:
        ConfigError: see ImageTask.
    """

    level: Level = Level.manufacturer
    fit: Fit = Fit.squash

    def paths(self) -> dict[str, Path]:
        """The lists of both parts, and the folder of pictures.

        Raises:
            DataError: they are not there.
        """
        lists = [f"images_{self.level.value}_{part}.txt" for part in ("trainval", "test")]
        path = self.places.require(
            lists[:1],
            "the folder fgvc-aircraft-2013b of fgvc-aircraft-2013b.tar.gz",
            lambda: fetch_archives(AIRCRAFT, self.places.downloads),
        )
        return {name: path.parent / name for name in (*lists, "images")}

    def read(self) -> Published:
        """The official trainval and test pictures.

        Raises:
            DataError: files that are missing or damaged.
        """
        paths = self.paths()
        *lists, folder = paths.values()
        rows = [_read_list(path) for path in lists]
        names = sorted({label for part in rows for _, label in part})
        decoder = PictureFiles(self.image_px, self.fit, self.places.cache / "images")
        train, test = (_part(folder, part, names, decoder) for part in rows)
        files = self.places.hashes(paths)
        origin = f"FGVC-Aircraft, {self.level.value} level"
        return Published(train, test, origin, files, class_names=names, fit=self.fit.value)


def _read_list(path: Path) -> list[tuple[str, str]]:
    """Picture and label of every line: ``0034309 Boeing``."""
    data = read_bytes(path, LIST_LIMIT)
    try:
        lines = data.decode("utf-8").splitlines()
        pairs = [line.split(" ", 1) for line in lines if line]
        rows = [(number, label.strip()) for number, label in pairs]
        if not rows or not all(number.isdecimal() and label for number, label in rows):
            raise ValueError("a line without, or no line at all")
        return rows
    except ValueError as error:
        raise DataError(
            f"{path}: expected lines of a number and a label ({error}); get the folder again"
        ) from None


def _part(
    folder: Path, rows: list[tuple[str, str]], names: list[str], decoder: PictureFiles
) -> Part:
    paths = [folder / f"{number}.jpg" for number, _ in rows]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} pictures are missing, such as {missing[0]}; copy the whole "
            "folder there"
        )
    number = {name: at for at, name in enumerate(names)}
    return decoder.part(paths, np.array([number[label] for _, label in rows], np.int64))
