"""CIFAR-100, from the official Python version."""

from dataclasses import dataclass

from nasrun.tasks.base import ImageTask
from nasrun.tasks.downloads import CIFAR100, fetch_archives
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.pickled_batches import read_batches

FOLDER = "cifar-100-python"
PX = 32
MD5 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}


@dataclass
class Cifar100(ImageTask):
    """Krizhevsky, "Learning multiple layers of features from tiny images" (2009); fine labels.

    Raises:
        ConfigError: see ImageTask.
    """

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: no official files, or damaged ones.
        """
        folder = self.require(
            [FOLDER],
            lambda: fetch_archives(CIFAR100, self.downloads()),
            "put the extracted cifar-100-python.tar.gz into one of them",
        )
        parts = [read_batches(folder, {name: MD5[name]}, "fine_labels", PX) for name in MD5]
        train, test = (in_memory(part) for part in parts)
        files = self.hashes([folder / name for name in MD5])
        return Published(train, test, "CIFAR-100, official files", files)
