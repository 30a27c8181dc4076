"""mini-ImageNet, from the lists of its published split and a folder of pictures."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.csv_input import read_csv_input
from nasrun.errors import DataError
from nasrun.images import draw
from nasrun.input_files import MIB, read_bytes
from nasrun.tasks.base import ImageTask
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit, PictureFiles

LISTS = ("train.csv", "val.csv", "test.csv")
CLASSES = (64, 16, 20)
TEST_SHARE = 1 / 6
LIST_LIMIT = 64 * MIB


@dataclass
class MiniImageNet(ImageTask):
    """100 classes of ImageNet with 600 pictures each (Vinyals et al., NeurIPS 2016).

    Files as Ravi and Larochelle (ICLR 2017) publish the split: ``train.csv``, ``val.csv`` and
    ``test.csv`` with the columns ``filename`` and ``label`` of 64, 16 and 20 classes, beside the
    folder ``images``. Classes are numbered list by list, by label in each.

    The split is one of classes, which ``task=few_shot`` takes. As an ordinary data set (this task
    by itself), a sixth of all classes' pictures is drawn by ``seed`` for tests.

    Raises:
        ConfigError: see ImageTask.
    """

    fit: Fit = Fit.crop

    @property
    def parts_by_class(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The published 64, 16 and 20 classes."""
        first, second, third = CLASSES
        numbers = tuple(range(first + second + third))
        return numbers[:first], numbers[first : first + second], numbers[first + second :]

    def paths(self) -> dict[str, Path]:
        """The three lists and the folder of pictures.

        Raises:
            DataError: the first list is not there.
        """
        path = self.places.require(
            LISTS[:1], f"the lists {', '.join(LISTS)} and the folder images", None
        )
        return {name: path.parent / name for name in (*LISTS, "images")}

    def read(self) -> Published:
        """All pictures, a sixth of each class drawn for tests.

        Raises:
            DataError: files that are missing or damaged.
        """
        found = self.paths()
        *lists, folder = found.values()
        rows = [_listed(path, count) for path, count in zip(lists, CLASSES, strict=True)]
        names = [label for part in rows for label in sorted({label for _, label in part})]
        if len(set(names)) < len(names):
            raise DataError(f"{folder.parent}: a class is in two of its lists; get them again")
        number = {name: at for at, name in enumerate(names)}
        pairs = [pair for part in rows for pair in part]
        paths = [folder / name for name, _ in pairs]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise DataError(
                f"{folder}: {len(missing)} pictures are missing, such as {missing[0]}; copy the "
                "whole folder there"
            )
        labels = np.array([number[label] for _, label in pairs], np.int64)
        tested = draw(labels, math.ceil(TEST_SHARE * len(labels)), self.seed, f"{self.name}/test")
        rest = np.setdiff1d(np.arange(len(labels)), tested)
        decoder = PictureFiles(self.image_px, self.fit, self.places.cache / "images")
        train, test = (
            decoder.part([paths[row] for row in own], labels[own]) for own in (rest, tested)
        )
        return Published(
            train,
            test,
            "mini-ImageNet, lists of Ravi and Larochelle",
            self.places.hashes(found),
            class_names=names,
            fit=self.fit.value,
        )


def _listed(path: Path, classes: int) -> list[tuple[str, str]]:
    """File name and label of every line."""
    cure = "get the published list again"
    table = read_csv_input(read_bytes(path, LIST_LIMIT), path, cure)
    names, labels = table.column("filename"), table.column("label")
    if bad := [name for name in names if not name or name != Path(name).name]:
        raise DataError(f"{path}: expected names of files in images, found {bad[0]!r}; {cure}")
    if (found := len(set(labels))) != classes:
        raise DataError(f"{path}: expected {classes} classes, found {found}; {cure}")
    return list(zip(names, labels, strict=True))
