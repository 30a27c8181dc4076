"""CIFAR-10, from the official Python version or from a pack."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.errors import DataError
from nasrun.images import Images
from nasrun.tasks.base import ImageTask
from nasrun.tasks.downloads import CIFAR10, fetch_archives
from nasrun.tasks.image_packs import pack_files, read_packs
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.pickled_batches import read_batches

FOLDER = "cifar-10-batches-py"
PX = 32
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


@dataclass
class Cifar10(ImageTask):
    """Krizhevsky, "Learning multiple layers of features from tiny images" (2009).

    The official files and the pack hold the same pictures in the same order: NAS-Bench-201's index
    list cuts both alike. The official files are taken where both are at hand.

    Raises:
        ConfigError: see ImageTask.
    """

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: neither the official files nor a pack, or damaged ones.
        """
        folder = self.find([FOLDER])
        pack = None if folder else self.find(["cifar10_train_0.zip"])
        if pack is not None:
            return self._read_pack(pack.parent)
        folder = self.require(
            [FOLDER, "cifar10_train_0.zip"],
            lambda: fetch_archives(CIFAR10, self.downloads()),
            "put the extracted cifar-10-python.tar.gz or the packs into one of them",
        )
        return self._read_official(folder)

    def _read_official(self, folder: Path) -> Published:
        train = read_batches(folder, {k: MD5[k] for k in MD5 if k != "test_batch"}, "labels", PX)
        test = read_batches(folder, {"test_batch": MD5["test_batch"]}, "labels", PX)
        files = self.hashes([folder / name for name in MD5])
        return _published(train, test, "CIFAR-10, official files", files)

    def _read_pack(self, folder: Path) -> Published:
        paths = {part: pack_files(folder, "cifar10", part) for part in ("train", "test")}
        if not paths["test"]:
            raise DataError(f"{folder}: cifar10_test_0.zip is missing; copy it there")
        files = self.hashes([*paths["train"], *paths["test"]])
        train, test = (read_packs(paths[part]) for part in ("train", "test"))
        return _published(train, test, "CIFAR-10, image pack", files)


def _published(train: Images, test: Images, origin: str, files: dict[str, str]) -> Published:
    return Published(in_memory(train), in_memory(test), origin, files)
