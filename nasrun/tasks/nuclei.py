"""Nuclei of cells under a fluorescence microscope, from a zip."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.tasks.coco_file import read_instances
from nasrun.tasks.masked_pictures import MaskIds, Pair
from nasrun.tasks.parts import Published
from nasrun.tasks.places import by_name
from nasrun.tasks.segmentation_task import SegmentationTask
from nasrun.tasks.trees import Member

IDS = MaskIds({0: 0}, others=1)  # masks number the nuclei


@dataclass
class Nuclei(SegmentationTask):
    """330 pictures of the 2018 Data Science Bowl in two classes: background and nucleus.

    ``nuclei.zip`` holds ``images/ID.png`` and ``instances/ID.png``, whose numbers count the nuclei
    of a picture, and in ``annotations/instances_PART.json`` which pictures each part has. A few
    hundred pictures of one domain: for tests and small experiments.

    Raises:
        ConfigError: see SegmentationTask.
    """

    def paths(self) -> dict[str, Path]:
        """The zip.

        Raises:
            DataError: it is not there.
        """
        return by_name([self.places.require(["nuclei.zip"], "the zip", None)])

    def read(self) -> Published:
        """Its parts ``train`` and ``val``.

        Raises:
            DataError: it is damaged.
        """
        files = self.paths()
        parts = (_pairs(files["nuclei.zip"], part) for part in ("train", "val"))
        train, val = (self._part(pairs, IDS) for pairs in parts)
        hashes, names = self.places.hashes(files), ("background", "nucleus")
        return Published(train, val, "nuclei", hashes, class_names=names, fit=self.fit.value)


def _pairs(path: Path, part: str) -> list[Pair]:
    """Pictures and masks of a part, in the order of its instances file."""
    pictures = read_instances(Member(path, f"annotations/instances_{part}.json")).pictures
    return [
        (Member(path, f"images/{one.name}"), Member(path, f"instances/{one.name}"))
        for one in pictures
    ]
