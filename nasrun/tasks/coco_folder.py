"""A folder or zip file of one's own pictures with boxes, annotated as COCO is."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nasrun.errors import DataError
from nasrun.images import draw
from nasrun.input_files import shown
from nasrun.spec import NamedTask, Task
from nasrun.streams import Ints
from nasrun.tasks.annotated import Annotated, read_annotated
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.coco_file import Instances
from nasrun.tasks.detection import DetectionTask, Detector, JudgedBy
from nasrun.tasks.folder_maker import FolderMaker
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit
from nasrun.tasks.trees import Tree

PARTS = ("train", "val", "test")
FOLDERS = ("annotations", ".")  # where instances files are looked for
NOTHING = Annotated(Instances((), (), ()), ())


@dataclass
class CocoTask(DetectionTask):
    """Annotated pictures that were listed when the task was made; made by CocoFolder.

    Raises:
        ConfigError: see ImageTask.
    """

    train: Annotated = NOTHING
    test: Annotated = NOTHING
    cut: tuple[Ints, Ints] | None = None  # rows of the part that ``valid_from`` names, in two
    origin: str = ""

    def paths(self) -> dict[str, Path]:
        """The zip file, or the folders that have pictures."""
        return self.train.folders() | self.test.folders()

    def read(self) -> Published:
        """The listed pictures.

        Raises:
            DataError: a picture that cannot be decoded, or is of another size than annotated.
        """
        return Published(
            self.train.part(self.decoder),
            self.test.part(self.decoder),
            self.origin,
            self.places.hashes(self.paths()),
            self.cut,
            self.train.instances.names,
            Fit.squash.value,
        )


@dataclass
class CocoFolder(FolderMaker):
    """Pictures with ``annotations/instances_train.json``, and ``…_val``, ``…_test`` beside it.

    Names need only hold the part's, such as ``instances_val2017.json``; a single file is that of
    the training pictures, and ``train_file``, ``val_file``, ``test_file`` name others. Where there
    is a ``val`` and no ``test``, ``val`` is the test part, as COCO is reported. A part that is not
    there is drawn from the training pictures by ``seed``: ``test_share`` and ``valid_share`` of
    them. Where all three are there, the final training leaves ``val`` out, or with
    ``valid_from=train`` learns from it, too; drawn validation pictures it always learns from.

    Raises:
        ConfigError: see FolderMaker.
    """

    name: str = "coco_folder"
    train_file: str | None = None
    val_file: str | None = None
    test_file: str | None = None
    valid_from: ValidFrom = ValidFrom.test
    image_px: int = 256
    detector: Detector = Detector.fcos
    judged_by: JudgedBy = JudgedBy.map
    channels: int = 64
    layers: int = 2
    finest: int = 4
    extra_levels: int = 0
    reach: float = 4.0

    def make(self, named: NamedTask) -> Task:
        """The task, with as many classes and pictures as the files have.

        Raises:
            ConfigError: ``path`` names neither a folder nor a file.
            DataError: instances files or pictures that are missing or damaged.
        """
        root = self.place(
            "a folder or a zip file with pictures and an instances file as COCO has them"
        )
        train, valid, test = self._parts(Tree(root))
        origin = shown(Path(root.name))
        if test is None:
            train, test = self._test_drawn(train)
            origin += f"; test pictures drawn by seed {self.seed}"
        given, cut = self.given(len(train), len(test), None), None
        if valid is not None:
            given |= {"train_images": len(train), "valid_images": len(valid)}
            given["valid_from"] = self.valid_from
            if self.valid_from is ValidFrom.train:
                cut, train = _halves(train, valid), train + valid
            else:
                cut, test = _halves(valid, test), valid + test
        return CocoTask(
            **given,
            classes=len((train + test).instances.names),
            detector=self.detector,
            judged_by=self.judged_by,
            channels=self.channels,
            layers=self.layers,
            finest=self.finest,
            extra_levels=self.extra_levels,
            reach=self.reach,
            train=train,
            test=test,
            cut=cut,
            origin=origin,
        )

    def _parts(self, tree: Tree) -> tuple[Annotated, Annotated | None, Annotated | None]:
        """Training, validation and test part, as far as they are there."""
        named = {"train": self.train_file, "val": self.val_file, "test": self.test_file}
        files = {part: name for part, name in named.items() if name} or _found(tree)
        if "train" not in files:
            raise DataError(
                f"{shown(tree.root)}: expected an instances file of training pictures, such as "
                f"annotations/instances_train.json, found {', '.join(files.values()) or 'none'}: "
                "name it with task.train_file"
            )
        train, valid, test = (
            read_annotated(tree, files[part]) if part in files else None for part in named
        )
        assert train is not None
        return (train, valid, test) if test else (train, None, valid)

    def _test_drawn(self, train: Annotated) -> tuple[Annotated, Annotated]:
        """Training pictures in two: those that stay, and those that test."""
        count = max(round(self.test_share * len(train)), 1)
        chosen = draw(np.zeros(len(train)), count, self.seed, "coco_folder/test")
        return train.some(np.setdiff1d(np.arange(len(train)), chosen)), train.some(chosen)


def _halves(first: Annotated, second: Annotated) -> tuple[Ints, Ints]:
    """Rows of two parts in the part that both make up."""
    rows = np.arange(len(first) + len(second))
    return rows[: len(first)], rows[len(first) :]


def _found(tree: Tree) -> dict[str, str]:
    """Instances files by part, told by their names.

    Raises:
        DataError: two of one part.
    """
    names = tree.named(".json", FOLDERS)
    own = [name for name in names if PurePosixPath(name).name.startswith("instances")] or names
    if len(own) == 1:
        return {"train": own[0]}
    found = dict[str, str]()
    for name in own:
        parts = [part for part in PARTS if part in PurePosixPath(name).stem]
        if len(parts) == 1 and (other := found.setdefault(parts[0], name)) != name:
            raise DataError(
                f"{shown(tree.root)}: expected one instances file of each part, found {other} and "
                f"{name}: name the one that is meant with task.{parts[0]}_file"
            )
    return found
