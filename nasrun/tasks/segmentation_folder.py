"""A folder or zip of one's own pictures, with a mask for each."""

from dataclasses import dataclass, field
from pathlib import Path

from nasrun.images import IGNORED
from nasrun.input_files import MIB
from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec import NamedTask, Task
from nasrun.tasks.folder_maker import FolderMaker
from nasrun.tasks.mask_listing import MaskListing, list_masks, places_of
from nasrun.tasks.masked_pictures import MaskIds, highest_class
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit
from nasrun.tasks.segmentation_task import Head, SegmentationTask
from nasrun.tasks.trees import Tree, read_file

NAMES = "classes.txt"  # of classes, one a line, beside the folders


@dataclass(frozen=True)
class MaskedFolder:
    """What a folder or zip holds, what its masks' numbers mean, and how classes are named."""

    listing: MaskListing
    ids: MaskIds
    class_names: tuple[str, ...]


@dataclass
class FolderSegmentation(SegmentationTask):
    """The pictures and masks of a folder; made by SegmentationFolder.

    Raises:
        ConfigError: see SegmentationTask.
    """

    content: MaskedFolder = field(kw_only=True)

    def paths(self) -> dict[str, Path]:
        """The folders that have pictures or masks, or the zip."""
        own = self.content.listing
        return places_of(own.tree, [*own.train, *own.test])

    def read(self) -> Published:
        """The listed pictures and masks.

        Raises:
            DataError: one that cannot be decoded, or does not fit the other.
        """
        own, ids = self.content.listing, self.content.ids
        return Published(
            self._part(own.train, ids),
            self._part(own.test, ids),
            own.origin,
            self.places.hashes(self.paths()),
            own.cut,
            self.content.class_names,
            self.fit.value,
        )


@dataclass
class SegmentationFolder(FolderMaker):
    """Pictures in ``path/images/`` and their masks, of the same names, in ``path/masks/``.

    Both may be parted, as in ``path/train/images/`` or ``path/images/train/``; see
    ``tasks/mask_listing.py``. A mask has one channel (or a palette), whose numbers are classes from
    0 on; pixels of the number ``ignored`` count for nothing, and any other number is refused. With
    ``binary``, every number above 0 is class 1, as in masks of 0 and 255 and in maps of instances,
    and nothing is ignored. A file ``classes.txt`` may name the classes, one a line.

    Raises:
        ConfigError: see FolderMaker; fewer than two classes, or a negative number to ignore.
    """

    name: str = "segmentation_folder"
    classes: int | None = None
    images: str = "images"
    masks: str = "masks"
    ignored: int | None = 255
    binary: bool = False
    image_px: int = 128
    size: list[int] = field(default_factory=list[int])
    fit: Fit = Fit.crop
    head: Head = Head.bisenet
    head_width: int = 128
    hard: float | None = None
    scales: list[float] = field(default_factory=lambda: [1.0])
    mirrored: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 2, "classes")
        require_not_negative(self, "task", "ignored")

    def make(self, named: NamedTask) -> Task:
        """The task, with as many classes and pictures as the folder has.

        Raises:
            ConfigError: ``path`` names neither folder nor zip.
            DataError: no pictures, one without a mask, or masks of a single class.
        """
        wanted = f"a folder (or a zip) with {self.images}/ and {self.masks}/"
        tree = Tree(self.place(wanted))
        listing = list_masks(tree, self.images, self.masks, self.test_share, self.seed)
        names = _names(tree)
        classes = self._count(listing, names)
        return FolderSegmentation(
            **self.given(len(listing.train), len(listing.test), listing.cut),
            classes=classes,
            size=self.size,
            fit=self.fit,
            head=self.head,
            head_width=self.head_width,
            hard=self.hard,
            scales=self.scales,
            mirrored=self.mirrored,
            content=MaskedFolder(listing, self._ids(classes), names),
        )

    def _count(self, listing: MaskListing, names: tuple[str, ...]) -> int:
        """How many classes there are: as asked for, as named, or as the masks have."""
        if self.binary:
            return 2
        if self.classes is not None or names:
            return self.classes or len(names)
        masks = [mask for _, mask in (*listing.train, *listing.test)]
        return max(highest_class(masks, self.ignored) + 1, 2)

    def _ids(self, classes: int) -> MaskIds:
        if self.binary:
            return MaskIds({0: 0}, others=1)
        ids = {number: number for number in range(classes)}
        return MaskIds(ids if self.ignored is None else {**ids, self.ignored: IGNORED})


def _names(tree: Tree) -> tuple[str, ...]:
    """Names of classes, where a file gives them."""
    file = tree.file(NAMES)
    text = "" if file is None else read_file(file, MIB).decode("utf-8", "replace")
    return tuple(line.strip() for line in text.splitlines() if line.strip())
