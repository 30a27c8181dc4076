"""What all tasks with images share: how published parts become the splits of a search."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.images import Images, Pixels, Splits, Targets, are_classes, draw
from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.spec import Task
from nasrun.streams import Ints
from nasrun.tasks.class_subset import ClassSubset
from nasrun.tasks.downloads import SPLIT_LISTS, fetch_archives
from nasrun.tasks.index_lists import read_index_lists
from nasrun.tasks.kept_images import KeptImages
from nasrun.tasks.parts import Part, Published, channel_moments, in_colour
from nasrun.tasks.places import Places
from nasrun.tasks.resize import resized


class ValidFrom(Enum):
    """Which published part is cut in two to get the images that a search is judged on."""

    train = "train"
    test = "test"


LISTS = {ValidFrom.train: ("train", "valid"), ValidFrom.test: ("xvalid", "xtest")}
SHOWN = 5  # classes without pictures that are named


@dataclass
class ImageTask(KeptImages):
    """A task with images. Subclasses say how its published parts are read.

    One published part is cut in two: the training part (then the final training sees both pieces)
    or the test part. ``split_list`` is the published cut; without it, the pieces are drawn by
    ``seed``. Counts below those of the data take that many pictures, each class alike, by ``seed``.

    Raises:
        ConfigError: a count below 1, or moments that are not three each.
    """

    test_images: int = 10_000  # size of the test part of final_split
    data_dir: str | None = None
    cache_dir: str | None = None
    folders: list[str] = field(default_factory=lambda: ["."])  # names of the folder with the files
    download: bool = False
    seed: int = 0
    valid_from: ValidFrom = ValidFrom.train
    split_list: str | None = None  # file of index lists, below data_dir
    mean: list[float] = field(default_factory=list[float])  # by channel, of 0 to 255
    std: list[float] = field(default_factory=list[float])
    flip: bool = True  # whether a mirrored picture shows the same thing

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 1, "test_images")
        require_not_negative(self, "task", "seed")
        require_positive(self, "task", "std")
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

    def paths(self) -> Mapping[str, Path] | None:
        """Files and folders of the images by name, found but not read; None: reading tells.

        Raises:
            DataError: files that are missing.
        """
        return None

    @property
    def parts_by_class(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
        """Classes for training, validation and test, where those are published; None: they are not.

        For ``task=few_shot``, which is judged on classes that nobody has trained on.
        """
        return None

    @property
    def files(self) -> Mapping[str, str]:
        """The files of ``load`` and their sha256, without reading a picture where ``paths`` tells.

        Raises:
            DataError: files that are missing.
        """
        paths = None if self.loaded else self.paths()
        if paths is None:
            return self.load().files
        return {**self.places.hashes(paths), **self._list_file()}

    @property
    def places(self) -> Places:
        """Where the files may be."""
        return Places(self.name, self.data_dir, self.cache_dir, self.folders, self.download)

    def subset(self, classes: Sequence[int]) -> Task:
        """The same images, of these classes alone, numbered anew in the order given.

        Raises:
            ConfigError: a class twice, or one that there is not.
            UnsupportedError: its pictures are of no class.
        """
        if self.objective is not None:
            raise UnsupportedError(f"task={self.name} has no classes of pictures to choose from")
        return ClassSubset.of(self, classes)

    def _splits(self) -> Splits:
        published = self.read()
        of_train = self.valid_from is ValidFrom.train
        cut, other = (
            (published.train, published.test) if of_train else (published.test, published.train)
        )
        first, second, words = self._pieces(cut.labels, published.cut)
        pieces = self._take(cut, np.concatenate([first, second]))
        head, tail = _halves(pieces, len(first))
        whole = self._take(other, self._uncut(other.labels, of_train))
        search_train, search_valid = (head, tail) if of_train else (whole, head)
        final_train, final_test = (pieces, whole) if of_train else (whole, tail)
        for images in (search_train, search_valid, final_train, final_test):
            self._check_classes(images.labels)
        mean, std = self._moments(search_train)
        source = "; ".join([published.origin, words, *self._fewer(published)])
        files = {**published.files, **self._list_file()}
        return Splits(
            search_train,
            search_valid,
            final_train,
            final_test,
            mean,
            std,
            self.flip,
            source,
            files,
            tuple(published.class_names),
            published.fit,
        )

    def _pieces(self, labels: Targets, cut: tuple[Ints, Ints] | None) -> tuple[Ints, Ints, str]:
        """Rows of the two pieces of the part that is cut, and in words how it was cut."""
        of_train = self.valid_from is ValidFrom.train
        path = self._list_path()
        if cut is not None:
            (first, second), words = cut, "split as published"
        elif path is not None:
            first, second = self._listed(path, len(labels))
            words = f"split by {path.name}"
        else:
            self._check_count(self.valid_images, len(labels))
            valid = draw(labels, self.valid_images, self.seed, f"{self.name}/valid")
            rest = np.setdiff1d(np.arange(len(labels)), valid)
            first, second = (rest, valid) if of_train else (valid, rest)
            missing = f" as {Path(self.split_list).name} is not at hand" if self.split_list else ""
            words = f"split drawn by seed {self.seed}{missing}"
        sizes = (self.train_images, self.valid_images, self.test_images)
        counts = sizes[:2] if of_train else sizes[1:]
        return self._some(labels, first, counts[0]), self._some(labels, second, counts[1]), words

    def _listed(self, path: Path, count: int) -> tuple[Ints, Ints]:
        first, second = read_index_lists(path, LISTS[self.valid_from])
        if (last := max(first.max(initial=0), second.max(initial=0))) >= count:
            raise DataError(
                f"{path}: names row {last}, but the part of task={self.name} that it cuts has "
                f"{count} pictures: it belongs to other data"
            )
        return first, second

    def _uncut(self, labels: Targets, of_train: bool) -> Ints:
        """Rows of the part that is not cut; fewer if fewer are asked for."""
        count = self.test_images if of_train else self.train_images
        return self._some(labels, np.arange(len(labels)), count)

    def _some(self, labels: Targets, rows: Ints, count: int) -> Ints:
        """``(count,)`` of these rows."""
        self._check_count(count, len(rows))
        if count == len(rows):
            return rows
        return rows[draw(labels[rows], count, self.seed, f"{self.name}/fewer")]

    def _check_count(self, count: int, there: int) -> None:
        if count > there:
            raise DataError(
                f"task={self.name} expects {count} pictures in a part that has {there}: the files "
                "are incomplete or of another data set; get them again, or lower "
                "task.train_images, task.valid_images or task.test_images"
            )

    def _fewer(self, published: Published) -> list[str]:
        there = len(published.train.labels) + len(published.test.labels)
        taken = self.train_images + self.valid_images + self.test_images
        return [f"{taken} of {there} pictures taken by seed {self.seed}"] if taken < there else []

    def _take(self, part: Part, rows: Ints) -> Images:
        images = part.take(rows)
        pixels = in_colour(self._sized(images.pixels))
        if images.labels.ndim > 2 and pixels.shape[2:] != images.pixels.shape[2:]:
            raise DataError(
                f"task={self.name} has pictures of {images.pixels.shape[2]} pixels whose masks "
                f"cannot be resized to task.image_px={self.image_px}: set it to the pictures' size"
            )
        return Images(pixels, images.labels)

    def _sized(self, pixels: Pixels) -> Pixels:
        """The pictures in the task's size."""
        return resized(pixels, self.image_px)

    def _moments(self, images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (tuple(self.mean), tuple(self.std)) if self.mean else channel_moments(images.pixels)

    def _list_path(self) -> Path | None:
        """The published list, fetched if that was asked for; None where it is not at hand."""
        path = self.places.below_data(self.split_list)
        if path is None and self.download and self.split_list in SPLIT_LISTS:
            fetch_archives([SPLIT_LISTS[self.split_list]], self.places.downloads)
            path = self.places.below_data(self.split_list)
        return path

    def _list_file(self) -> dict[str, str]:
        path = self._list_path()
        return self.places.hashes({path.name: path}) if path else {}

    def _check_classes(self, labels: Targets) -> None:
        if not are_classes(labels):
            return
        counts = np.bincount(labels, minlength=self.classes)
        if len(counts) > self.classes:
            raise DataError(
                f"task={self.name} has labels up to {len(counts) - 1}, but task.classes is "
                f"{self.classes}: set task.classes={len(counts)}, or get the right files"
            )
        if (counts == 0).any():
            raise DataError(self._without(np.flatnonzero(counts == 0)[:SHOWN].tolist()))

    def _without(self, classes: Sequence[int]) -> str:
        """What is said where a part has no picture of ``classes``."""
        numbers = ", ".join(map(str, classes))
        return (
            f"task={self.name} has no picture of class {numbers} in one of its parts: add some, "
            "take more pictures, or lower task.classes"
        )


def _halves(images: Images, count: int) -> tuple[Images, Images]:
    """The first ``count`` pictures and the others, as views."""
    return (
        Images(images.pixels[:count], images.labels[:count]),
        Images(images.pixels[count:], images.labels[count:]),
    )
