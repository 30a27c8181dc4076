"""What all tasks with images share: where files are looked for, and how parts become splits."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.checksum import sha256
from nasrun.errors import ConfigError, DataError
from nasrun.images import Images, Labels, Splits
from nasrun.spec import Task
from nasrun.streams import Ints
from nasrun.tasks.index_lists import draw, read_index_lists
from nasrun.tasks.parts import Part, Published, channel_moments
from nasrun.tasks.resize import resized


class ValidFrom(Enum):
    """Which published part is cut in two to get the images that a search is judged on."""

    train = "train"
    test = "test"


LISTS = {ValidFrom.train: ("train", "valid"), ValidFrom.test: ("xvalid", "xtest")}


@dataclass
class ImageTask(Task):
    """A task with images. Subclasses say how its published parts are read.

    One published part is cut in two: the training part (then the final training sees both pieces)
    or the test part. ``split_list`` is the published cut; without it, the pieces are drawn by
    ``seed``. Counts below those of the data take that many pictures of each piece, by ``seed``.

    Raises:
        ConfigError: a count below 1, or moments that are not three each.
    """

    test_images: int = 10_000  # size of the test part of final_split
    data_dir: str | None = None
    cache_dir: str | None = None
    download: bool = False
    seed: int = 0
    valid_from: ValidFrom = ValidFrom.train
    split_list: str | None = None  # file of index lists, below data_dir
    mean: list[float] = field(default_factory=list[float])  # by channel, of 0 to 255
    std: list[float] = field(default_factory=list[float])
    flip: bool = True  # whether a mirrored picture shows the same thing

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_images < 1 or self.seed < 0:
            raise ConfigError(
                f"task.test_images must be at least 1 and task.seed at least 0, got "
                f"{self.test_images} and {self.seed}"
            )
        if len(self.mean) != len(self.std) or len(self.mean) not in (0, 3):
            raise ConfigError(
                "task.mean and task.std must hold three numbers each, or none to measure them, "
                f"got {self.mean} and {self.std}"
            )

    @abstractmethod
    def read(self) -> Published:
        """The parts as published.

        Raises:
            DataError: files that are missing or damaged; says which, and what to do.
        """

    def load(self) -> Splits:
        """The images, read once and kept.

        Raises:
            DataError: files that are missing or damaged, or another data set than the task's.
        """
        return self._loaded

    def subset(self, classes: Sequence[int]) -> Task:
        """The same images, of these classes alone, numbered anew in the order given.

        Raises:
            ConfigError: a class twice, or one that there is not.
        """
        from nasrun.tasks.subset import ClassSubset

        return ClassSubset.of(self, classes)

    @cached_property
    def _loaded(self) -> Splits:
        published = self.read()
        pieces, cut = self._cut(published)
        if self.valid_from is ValidFrom.train:
            halves, whole = pieces, self._some(published.test.labels, None, self.test_images)
            both = self._take(published.train, np.concatenate(halves))
            search = _head(both, len(halves[0])), _tail(both, len(halves[0]))
            final = both, self._take(published.test, whole)
        else:
            halves, whole = pieces, self._some(published.train.labels, None, self.train_images)
            both = self._take(published.test, np.concatenate(halves))
            train = self._take(published.train, whole)
            search = train, _head(both, len(halves[0]))
            final = train, _tail(both, len(halves[0]))
        for images in (*search, *final):
            self._check_classes(images.labels)
        measured = channel_moments(search[0].pixels) if not self.mean else None
        mean, std = measured or (tuple(self.mean), tuple(self.std))
        source, files = f"{published.origin}; {cut}", dict(published.files)
        if (path := self._split_path()) is not None:
            files |= self.hashes([path])
        return Splits(*search, *final, mean, std, self.flip, source, files)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and worker processes read the images themselves."""
        return {key: value for key, value in self.__dict__.items() if key != "_loaded"}

    # Cutting

    def _cut(self, published: Published) -> tuple[tuple[Ints, Ints], str]:
        """Rows of the two pieces of the part that is cut, and in words how it was cut."""
        of_train = self.valid_from is ValidFrom.train
        labels = published.train.labels if of_train else published.test.labels
        sizes = (
            (self.train_images, self.valid_images)
            if of_train
            else (self.valid_images, self.test_images)
        )
        path = self._split_path()
        if path is not None:
            first, second = read_index_lists(path, LISTS[self.valid_from])
            if max(first.max(), second.max()) >= len(labels):
                raise DataError(
                    f"{path}: names row {max(first.max(), second.max())}, but task={self.name} has "
                    f"{len(labels)} pictures in that part: it belongs to other data"
                )
            words = f"split by {path.name}"
        else:
            valid = draw(labels, self.valid_images, self.seed, f"{self.name}/valid")
            rest = np.setdiff1d(np.arange(len(labels)), valid)
            first, second = (rest, valid) if of_train else (valid, rest)
            missing = f", {Path(self.split_list).name} not being at hand" if self.split_list else ""
            words = f"split drawn by seed {self.seed}{missing}"
        pieces = self._some(labels, first, sizes[0]), self._some(labels, second, sizes[1])
        return pieces, words

    def _some(self, labels: Labels, rows: Ints | None, count: int) -> Ints:
        """``(count,)`` of these rows (None: of all)."""
        rows = np.arange(len(labels)) if rows is None else rows
        if count > len(rows):
            raise DataError(
                f"task={self.name} expects {count} pictures in a part that has {len(rows)}: the "
                "files are incomplete or not this data set's; get them again, or lower "
                "task.train_images, task.valid_images or task.test_images"
            )
        if count == len(rows):
            return rows
        return rows[draw(labels[rows], count, self.seed, f"{self.name}/fewer")]

    def _take(self, part: Part, rows: Ints) -> Images:
        images = part.take(rows)
        return Images(resized(images.pixels, self.image_px), images.labels)

    def _check_classes(self, labels: Labels) -> None:
        counts = np.bincount(labels, minlength=self.classes)
        if len(counts) > self.classes:
            raise DataError(
                f"task={self.name} has labels up to {len(counts) - 1}, but task.classes is "
                f"{self.classes}: set task.classes={len(counts)}, or get the right files"
            )
        if (counts == 0).any():
            empty = np.flatnonzero(counts == 0)
            raise DataError(
                f"task={self.name} has no picture of class {', '.join(map(str, empty[:5]))} in one "
                f"of its parts: add some, take more pictures, or lower task.classes"
            )

    # Files

    def folders(self) -> list[Path]:
        """Where files are looked for, in the order of preference."""
        data = [Path(self.data_dir).expanduser()] if self.data_dir else []
        return [*data, *(folder / "images" for folder in data), self.downloads()]

    def downloads(self) -> Path:
        """Where downloaded files are kept."""
        return self._cache() / "downloads" / "images"

    def find(self, names: Sequence[str]) -> Path | None:
        """The first of these files or folders that exists."""
        candidates = (folder / name for name in names for folder in self.folders())
        return next((path for path in candidates if path.exists()), None)

    def require(self, names: Sequence[str], fetch: Callable[[], None] | None, cure: str) -> Path:
        """The first of these files or folders; downloaded if that was asked for.

        Raises:
            DataError: it is not there; says where it was looked for, and ``cure``.
        """
        path = self.find(names)
        if path is None and self.download and fetch is not None:
            fetch()
            path = self.find(names)
        if path is None:
            flag = " or set task.download=true" if fetch is not None and not self.download else ""
            where = " or ".join(str(folder) for folder in self.folders())
            raise DataError(
                f"task={self.name} finds no {' or '.join(names)} in {where}: {cure}{flag}"
            )
        return path

    def hashes(self, paths: Sequence[Path]) -> dict[str, str]:
        """File names below ``images/`` and their sha256; that of big ones is remembered."""
        memory = self._cache() / "images" / "sha256.json"
        return {f"images/{path.name}": sha256(path, memory) for path in paths}

    def _split_path(self) -> Path | None:
        return self.find([self.split_list]) if self.split_list else None

    def _cache(self) -> Path:
        from nasrun.files import cache_folder

        return Path(self.cache_dir) if self.cache_dir else cache_folder()


def _head(images: Images, count: int) -> Images:
    return Images(images.pixels[:count], images.labels[:count])


def _tail(images: Images, count: int) -> Images:
    return Images(images.pixels[count:], images.labels[count:])
