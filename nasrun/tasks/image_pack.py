"""Data sets that come as packs alone."""

from dataclasses import dataclass

from nasrun.tasks.base import ImageTask
from nasrun.tasks.image_packs import read_pack_parts
from nasrun.tasks.parts import Published


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

    def read(self) -> Published:
        """The training pictures and those that the packs have for tests.

        Raises:
            DataError: a pack that is missing or damaged.
        """
        path = self.places.require(
            [f"{self.pack}_train_0.zip"], f"the packs {self.pack}_*.zip", None
        )
        parts = ("train", self.test_part)
        return read_pack_parts(self.places, path.parent, self.pack, parts, self.title)
