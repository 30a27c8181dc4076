"""CIFAR-10, from the official Python version or from a pack."""

from dataclasses import dataclass, replace
from pathlib import Path

from nasrun.tasks.base import ImageTask
from nasrun.tasks.class_names import CIFAR10 as CIFAR10_NAMES
from nasrun.tasks.downloads import CIFAR10, fetch_archives
from nasrun.tasks.image_packs import pack_files, read_pack_parts
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.pickled_batches import read_batches
from nasrun.tasks.places import by_name

PX = 32
PARTS = ("train", "test")  # of a pack
TEST = "test_batch"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    TEST: "40351d587109b95175f43aff81a1287e",
}


@dataclass
class Cifar10(ImageTask):
    """Krizhevsky, "Learning multiple layers of features from tiny images" (2009).

    The official files and the pack hold the same pictures in the same order: NAS-Bench-201's index
    list cuts both alike. The official files are taken where both are at hand.

    Raises:
        ConfigError: see ImageTask.
    """

    def paths(self) -> dict[str, Path]:
        """The official files, or else the packs.

        Raises:
            DataError: neither is there.
        """
        path = self.places.require(
            ["data_batch_1", "cifar10_train_0.zip"],
            "the folder of cifar-10-python.tar.gz, or the packs,",
            lambda: fetch_archives(CIFAR10, self.places.downloads),
        )
        if path.suffix == ".zip":
            return by_name(pack_files(path.parent, "cifar10", PARTS))
        return {name: path.parent / name for name in MD5}

    def read(self) -> Published:
        """The official parts.

        Raises:
            DataError: neither the official files nor a pack, or damaged ones.
        """
        paths = self.paths()
        if TEST not in paths:
            packs = read_pack_parts(self.places, list(paths.values()), PARTS, "CIFAR-10")
            return replace(packs, class_names=CIFAR10_NAMES)
        folder = paths[TEST].parent
        training = {name: md5 for name, md5 in MD5.items() if name != TEST}
        train = read_batches(folder, training, "labels", PX)
        test = read_batches(folder, {TEST: MD5[TEST]}, "labels", PX)
        return Published(
            in_memory(train),
            in_memory(test),
            "CIFAR-10, official files",
            self.places.hashes(paths),
            class_names=CIFAR10_NAMES,
        )
