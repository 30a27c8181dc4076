"""CIFAR-100, from the official Python version."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.tasks.base import ImageTask
from nasrun.tasks.class_names import CIFAR100 as CIFAR100_NAMES
from nasrun.tasks.downloads import CIFAR100, fetch_archives
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.pickled_batches import read_batches

PX = 32
MD5 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}


@dataclass
class Cifar100(ImageTask):
    """Krizhevsky, "Learning multiple layers of features from tiny images" (2009); fine labels.

    Raises:
        ConfigError: see ImageTask.
    """

    def paths(self) -> dict[str, Path]:
        """The official files.

        Raises:
            DataError: there are none.
        """
        path = self.places.require(
            ["train"],
            "the folder cifar-100-python of cifar-100-python.tar.gz",
            lambda: fetch_archives(CIFAR100, self.places.downloads),
        )
        return {name: path.parent / name for name in MD5}

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: no official files, or damaged ones.
        """
        paths = self.paths()
        train, test = (
            in_memory(read_batches(paths[name].parent, {name: md5}, "fine_labels", PX))
            for name, md5 in MD5.items()
        )
        files = self.places.hashes(paths)
        return Published(
            train, test, "CIFAR-100, official files", files, class_names=CIFAR100_NAMES
        )
