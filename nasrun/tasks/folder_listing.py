"""Which pictures a folder of classes holds, and which part each belongs to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Labels, draw
from nasrun.input_files import shown
from nasrun.streams import Ints
from nasrun.tasks.picture_files import is_picture

log = logging.getLogger("nasrun")

VALID_NAMES = ("val", "valid", "validation")


@dataclass(frozen=True)
class Files:
    """Pictures, and ``labels (n,)`` numbered by the sorted names of the classes."""

    paths: list[Path]
    labels: Labels

    def some(self, rows: Ints) -> "Files":
        """The pictures of these rows."""
        return Files([self.paths[row] for row in rows], self.labels[rows])

    def __add__(self, other: "Files") -> "Files":
        return Files(self.paths + other.paths, np.concatenate([self.labels, other.labels]))


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    ``cut`` parts the rows of ``test`` into validation and test pictures where their owner did so.
    """

    root: Path
    classes: Sequence[str]
    train: Files
    test: Files
    cut: tuple[Ints, Ints] | None
    origin: str

    def folders(self) -> dict[str, Path]:
        """Folders with pictures, by their name below the root's."""
        parents = {path.parent for path in self.train.paths + self.test.paths}
        named = {self.root.name / path.relative_to(self.root): path for path in sorted(parents)}
        return {shown(name): path for name, path in named.items()}


NO_FILES = Files([], np.empty(0, np.int64))
NO_LISTING = Listing(Path(), (), NO_FILES, NO_FILES, None, "")


def list_folder(root: Path, test_share: float, seed: int) -> Listing:
    """The pictures below ``root``.

    Files that are no pictures of a class are passed over: others than pictures, hidden ones and
    those in hidden folders, such as the copies in ``.ipynb_checkpoints``, and those beside the
    folders of the classes. ``origin`` says how many.

    Args:
        root: a folder of class folders, or of ``train`` and perhaps ``test`` and ``val`` with them.
        test_share: of the training pictures, where there is no ``test``.
        seed: of that draw.

    Raises:
        DataError: no class, a class without pictures, or parts with different classes.
    """
    parted = (root / "train").is_dir()
    top = root / "train" if parted else root
    classes = sorted(path.name for path in _subfolders(top))
    if not classes:
        raise DataError(f"{shown(top)}: expected a folder of pictures for each class, found none")
    train = _files(top, classes)
    valid = next((root / name for name in VALID_NAMES if (root / name).is_dir()), None)
    parts = [part for part in (top, root / "test", valid) if part] if parted else [top]
    origin = f"folder {shown(Path(root.name))}" + _passed_over(root, parts)
    if parted and (root / "test").is_dir():
        test = _files(root / "test", classes)
    else:
        chosen = draw(train.labels, round(test_share * len(train.labels)), seed, "folder/test")
        rest = np.setdiff1d(np.arange(len(train.labels)), chosen)
        train, test = train.some(rest), train.some(chosen)
        origin += f"; test pictures drawn by seed {seed}"
    if not parted or valid is None:
        return Listing(root, classes, train, test, None, origin)
    judged = _files(valid, classes)
    count, both = len(judged.labels), judged + test
    cut = np.arange(count), np.arange(count, len(both.labels))
    return Listing(root, classes, train, both, cut, origin)


def _files(folder: Path, classes: list[str]) -> Files:
    found = {path.name for path in _subfolders(folder)}
    if found != set(classes):
        odd = ", ".join(shown(Path(name)) for name in sorted(found ^ set(classes))[:5])
        raise DataError(
            f"{shown(folder)}: expected the {len(classes)} classes of the training pictures, found "
            f"{len(found)} (they differ in {odd}); every part needs a folder for every class"
        )
    paths, labels = list[Path](), list[int]()
    for number, name in enumerate(classes):
        own = sorted(path for path in (folder / name).rglob("*") if _belongs(path, folder))
        if not own:
            raise DataError(
                f"{shown(folder / name)}: no picture in it; add some, or delete the folder in "
                "every part"
            )
        paths += own
        labels += [number] * len(own)
    return Files(paths, np.array(labels, np.int64))


def _belongs(path: Path, folder: Path) -> bool:
    """Whether this is a picture in a folder of a class, hidden neither itself nor by a folder."""
    parts = path.relative_to(folder).parts
    return len(parts) > 1 and not any(part.startswith(".") for part in parts) and is_picture(path)


def _passed_over(root: Path, parts: Sequence[Path]) -> str:
    """What ``origin`` says of files that are no pictures of a class."""
    others = [
        path
        for folder in parts
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and not _belongs(path, folder)
    ]
    if not others:
        return ""
    said = f"{len(others)} files that are no pictures of a class"
    example = shown(others[0].relative_to(root))
    log.warning("%s: %s are passed over, such as %s", shown(root), said, example)
    return f"; {said} passed over"


def _subfolders(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
