"""CIFAR-100, from the official Python version."""

from dataclasses import dataclass

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

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: no official files, or damaged ones.
        """
        path = self.places.require(
            ["train"],
            "the folder cifar-100-python of cifar-100-python.tar.gz",
            lambda: fetch_archives(CIFAR100, self.places.downloads),
        )
        folder = path.parent
        train, test = (
            in_memory(read_batches(folder, {name: md5}, "fine_labels", PX))
            for name, md5 in MD5.items()
        )
        files = self.places.hashes({name: folder / name for name in MD5})
        return Published(
            train, test, "CIFAR-100, official files", files, class_names=CIFAR100_NAMES
        )
