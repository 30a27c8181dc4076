"""A folder of one's own pictures, with a folder for each class."""

from dataclasses import dataclass, field
from pathlib import Path

from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import NamedTask, Task, TaskMaker
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.folder_listing import list_folder
from nasrun.tasks.folder_task import FolderTask
from nasrun.tasks.picture_files import Fit


@dataclass
class ImageFolder(TaskMaker):
    """Pictures in ``path/CLASS/``, or in ``path/train/CLASS/`` and so on where they are parted.

    Parts besides ``train`` are ``test`` and ``val`` (or ``valid``). A part that is not there is
    drawn from the training pictures by ``seed``, each class alike: ``test_share`` and
    ``valid_share`` of them. What becomes of pictures that are not 8 bits of red, green and blue,
    stands in ``tasks/decoding.py``.

    Raises:
        ConfigError: shares outside (0, 1), or a size below 1.
    """

    name: str = "image_folder"
    path: str | None = None
    image_px: int = 64
    fit: Fit = Fit.crop
    flip: bool = True
    mean: list[float] = field(default_factory=list[float])
    std: list[float] = field(default_factory=list[float])
    valid_share: float = 0.2
    test_share: float = 0.2
    seed: int = 0
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        require_within(self, "task", "(0, 1)", "valid_share", "test_share")
        require_at_least(self, "task", 1, "image_px")
        require_not_negative(self, "task", "seed")

    def make(self, named: NamedTask) -> Task:
        """The task, with as many classes and pictures as the folder has.

        Raises:
            ConfigError: ``path`` names no folder.
            DataError: a class without pictures, or parts with different classes.
        """
        folder = Path(self.path).expanduser() if self.path else None
        if folder is None or not folder.is_dir():
            raise ConfigError(
                "task.path must name a folder that has a folder of pictures for each class, got "
                f"{self.path}"
            )
        listing = list_folder(folder, self.test_share, self.seed)
        if listing.cut is not None:
            valid, test = (len(rows) for rows in listing.cut)
            train = len(listing.train.labels)
        else:
            valid = round(self.valid_share * len(listing.train.labels))
            train, test = len(listing.train.labels) - valid, len(listing.test.labels)
        return FolderTask(
            name=self.name,
            classes=len(listing.classes),
            image_px=self.image_px,
            search_split=self.name,
            final_split=self.name,
            valid_images=max(valid, 1),
            train_images=max(train, 1),
            test_images=max(test, 1),
            cache_dir=self.cache_dir,
            seed=self.seed,
            valid_from=ValidFrom.train if listing.cut is None else ValidFrom.test,
            mean=self.mean,
            std=self.std,
            flip=self.flip,
            listing=listing,
            fit=self.fit,
        )
