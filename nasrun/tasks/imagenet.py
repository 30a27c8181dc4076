"""ImageNet-1k, from its folder of pictures."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.benchmarks.ilsvrc import development_kit
from nasrun.errors import DataError
from nasrun.input_files import MIB, read_bytes, shown
from nasrun.tasks.base import ImageTask
from nasrun.tasks.folder_listing import Files
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit, PictureFiles, is_picture

TRUTH = "ILSVRC2012_validation_ground_truth.txt"  # a number a line, by the names of the pictures
SOLUTION = "LOC_val_solution.csv"  # "ILSVRC2012_val_00048981,n03995372 85 1 499 272 ..."
LARGEST = 64 * MIB  # bytes of either; the competition's, which has all boxes, is the larger
# Where these are, from the folder with train and val.
TRUTH_AT = (TRUTH, f"ILSVRC2012_devkit_t12/data/{TRUTH}")
SOLUTION_AT = (SOLUTION, f"../{SOLUTION}", f"../../{SOLUTION}", f"../../../{SOLUTION}")


@dataclass
class ImageNet(ImageTask):
    """Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (IJCV 2015).

    The folder has ``train/WNID/*.JPEG`` and ``val``: with the same folders or, as published, with
    all pictures side by side and the development kit's ``ILSVRC2012_validation_ground_truth.txt``
    beside it (or in ``ILSVRC2012_devkit_t12/data``), or the competition's ``LOC_val_solution.csv``
    up to three folders above. Classes are numbered by their sorted ids. Pictures are decoded once
    to squares of ``image_px``: at 224 pixels, 200 GB of ``cache_dir``.

    Raises:
        ConfigError: see ImageTask.
    """

    fit: Fit = Fit.crop

    def paths(self) -> dict[str, Path]:
        """The folders with pictures of the classes, and the file of labels if there is one.

        Raises:
            DataError: one that is missing.
        """
        root = self.places.require(["train"], "the folder train of ILSVRC", None).parent
        ids, found = self._ids(root), dict[str, Path]()
        if not (root / "val").is_dir():
            raise DataError(
                f"task={self.name} finds {shown(root / 'train')} but no val beside it: put the "
                "validation pictures there"
            )
        for part in ("train", "val"):
            if part == "val" and not _folders(root / part):
                return {**found, part: root / part, "labels": _labels_file(root)}
            missing = sorted(set(ids) - set(_folders(root / part)))
            if missing:
                raise DataError(
                    f"{shown(root / part)}: expected a folder for each class of train, found none "
                    f"of {missing[0]}"
                )
            found |= {f"{part}/{name}": root / part / name for name in ids}
        return found

    def _ids(self, root: Path) -> list[str]:
        """The first ``classes`` ids.

        Raises:
            DataError: there are fewer.
        """
        ids = sorted(_folders(root / "train"))
        if len(ids) < self.classes:
            raise DataError(
                f"{shown(root / 'train')}: expected folders of {self.classes} classes, found "
                f"{len(ids)}: set task.classes={len(ids)}, or get the right files"
            )
        return ids[: self.classes]

    def read(self) -> Published:
        """The pictures of the first ``classes`` ids, which are all of them by default.

        Raises:
            DataError: files that are missing or damaged.
        """
        paths = self.paths()
        ids = [name.removeprefix("train/") for name in paths if name.startswith("train/")]
        train = _of_classes([paths[f"train/{name}"] for name in ids])
        if "labels" in paths:
            valid = _side_by_side(paths["val"], paths["labels"], ids)
        else:
            valid = _of_classes([paths[f"val/{name}"] for name in ids])
        decoder = PictureFiles(self.image_px, self.fit, self.places.cache / "images")
        first, second = (decoder.part(own.paths, own.labels) for own in (train, valid))
        hashes = self.places.hashes(paths)
        return Published(
            first, second, "ImageNet's folder", hashes, class_names=ids, fit=self.fit.value
        )


def _folders(folder: Path) -> list[str]:
    return [
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    ]


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_picture(path))


def _of_classes(folders: Sequence[Path]) -> Files:
    """The pictures of folders, which are numbered in their order."""
    found = [_pictures(folder) for folder in folders]
    labels = np.repeat(np.arange(len(folders)), [len(paths) for paths in found])
    return Files([path for paths in found for path in paths], labels)


def _labels_file(root: Path) -> Path:
    """The file with the labels of validation pictures that lie side by side.

    Raises:
        DataError: there is none.
    """
    files = [root / name for name in (*TRUTH_AT, *SOLUTION_AT)]
    found = next((path for path in files if path.is_file()), None)
    if found is None:
        raise DataError(
            f"{shown(root / 'val')}: expected a folder for each class, or {TRUTH} or {SOLUTION} "
            "beside it with the labels of its pictures"
        )
    return found.resolve()


def _side_by_side(folder: Path, labels: Path, ids: Sequence[str]) -> Files:
    """Validation pictures as published; those of other classes are left out.

    Raises:
        DataError: labels of other pictures.
    """
    paths, numbers = _pictures(folder), {name: number for number, name in enumerate(ids)}
    named = (_by_name if labels.name == SOLUTION else _by_number)(labels, paths)
    kept = [row for row, name in enumerate(named) if name in numbers]
    own = np.array([numbers[named[row]] for row in kept], np.int64)
    return Files([paths[row] for row in kept], own)


def _text(path: Path) -> str:
    """A file's text; what is none is in no row that is looked for."""
    return read_bytes(path, LARGEST).decode("utf-8", "replace")


def _by_number(truth: Path, paths: Sequence[Path]) -> list[str]:
    """A line is the number of a class in the development kit, in the order of the pictures."""
    known, lines = development_kit(), _text(truth).split()
    sound = all(line.isdigit() and 0 < int(line) <= len(known) for line in lines)
    if len(lines) != len(paths) or not sound:
        raise DataError(
            f"{shown(truth)}: expected a number from 1 to {len(known)} for each of {len(paths)} "
            f"pictures, found {len(lines)} lines{'' if sound else ', not all of them numbers'}"
        )
    return [known[int(line) - 1] for line in lines]


def _by_name(solution: Path, paths: Sequence[Path]) -> list[str]:
    """A row is the name of a picture, and its class in front of a box."""
    lines = csv.reader(_text(solution).splitlines())
    rows = {row[0]: row[1].partition(" ")[0] for row in lines if len(row) > 1}
    missing = [path for path in paths if path.stem not in rows]
    if missing:
        raise DataError(f"{shown(solution)}: expected a row for {missing[0].name}, found none")
    return [rows[path.stem] for path in paths]
