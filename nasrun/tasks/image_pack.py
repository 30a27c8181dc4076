"""Data sets that come as packs alone."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.tasks.base import ImageTask
from nasrun.tasks.image_packs import pack_files, read_pack_parts
from nasrun.tasks.parts import Published
from nasrun.tasks.places import by_name


@dataclass
class ImagePack(ImageTask):
    """Tiny-ImageNet's 200 classes, reduced to 16 or 32 pixels, or a part of another data set.

    Tiny-ImageNet is not the ImageNet16-120 of NAS-Bench-201: other classes and pictures (crops of
    64 pixels, reduced once more), so that accuracies cannot be compared with that benchmark's. Nor
    can those of a part with those of the whole.

    Raises:
        ConfigError: see ImageTask.
    """

    pack: str = "in16"
    title: str = "Tiny-ImageNet"
    test_part: str = "val"

    def paths(self) -> dict[str, Path]:
        """The packs.

        Raises:
            DataError: they are not there.
        """
        path = self.places.require(
            [f"{self.pack}_train_0.zip"], f"the packs {self.pack}_*.zip", None
        )
        return by_name(pack_files(path.parent, self.pack, self._parts))

    def read(self) -> Published:
        """The training pictures and those that the packs have for tests.

        Raises:
            DataError: a pack that is missing or damaged.
        """
        paths = list(self.paths().values())
        return read_pack_parts(self.places, paths, self._parts, self.title)

    @property
    def _parts(self) -> tuple[str, str]:
        return ("train", self.test_part)
