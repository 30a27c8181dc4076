"""Cityscapes (Cordts et al., CVPR 2016): 19 classes of street scenes."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.images import IGNORED
from nasrun.tasks.mask_listing import pairs_in, places_of
from nasrun.tasks.masked_pictures import MaskIds, Pair
from nasrun.tasks.parts import Published
from nasrun.tasks.segmentation_task import SegmentationTask
from nasrun.tasks.trees import Tree

NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
    "bicycle",
)  # fmt: skip
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # of NAMES
ENDS = ("_leftImg8bit", "_gtFine_labelIds")
IDS = MaskIds({label: at for at, label in enumerate(LABEL_IDS)}, others=IGNORED)


@dataclass
class Cityscapes(SegmentationTask):
    """The fine annotations: ``leftImg8bit/PART/CITY/`` and ``gtFine/PART/CITY/*_labelIds.png``.

    The official test part has no masks in public: the final score is that of ``val``, and the
    pictures that judge a search are drawn from ``train``. The other label ids (-1 of licence
    plates, which a file of 8 bits has as 255, among them) are ignored, as the benchmark does.

    Raises:
        ConfigError: see SegmentationTask.
    """

    def paths(self) -> dict[str, Path]:
        """The folders of the cities.

        Raises:
            DataError: they are not there.
        """
        tree = self._tree()
        train, val = _pairs(tree)
        return places_of(tree, [*train, *val])

    def read(self) -> Published:
        """The parts ``train`` and ``val``.

        Raises:
            DataError: a picture without a mask, or one that cannot be decoded.
        """
        train, val = (self._part(pairs, IDS) for pairs in _pairs(self._tree()))
        hashes = self.places.hashes(self.paths())
        name, fit = "Cityscapes, fine", self.fit.value
        return Published(train, val, name, hashes, class_names=NAMES, fit=fit)

    def _tree(self) -> Tree:
        cure = "leftImg8bit/ and gtFine/ of cityscapes-dataset.com (after a login), unpacked,"
        return Tree(self.places.require(["leftImg8bit/train"], cure, None).parents[1])


def _pairs(tree: Tree) -> list[list[Pair]]:
    """Pictures and masks of ``train`` and of ``val``."""
    return [
        pairs_in(tree, f"leftImg8bit/{part}", f"gtFine/{part}", ENDS) for part in ("train", "val")
    ]
