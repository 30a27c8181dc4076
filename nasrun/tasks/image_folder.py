"""A folder of one's own pictures, with a folder for each class."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.spec import NamedTask, Task
from nasrun.tasks.folder_listing import list_folder
from nasrun.tasks.folder_maker import FolderMaker
from nasrun.tasks.folder_task import FolderTask
from nasrun.tasks.picture_files import Fit


@dataclass
class ImageFolder(FolderMaker):
    """Pictures in ``path/CLASS/``, or in ``path/train/CLASS/`` and so on where they are parted.

    Parts besides ``train`` are ``test`` and ``val`` (or ``valid``). A part that is not there is
    drawn from the training pictures by ``seed``, each class alike: ``test_share`` and
    ``valid_share`` of them. What becomes of pictures that are not 8 bits of red, green and blue,
    stands in ``tasks/decoding.py``.

    Raises:
        ConfigError: see FolderMaker.
    """

    name: str = "image_folder"
    fit: Fit = Fit.crop

    def make(self, named: NamedTask) -> Task:
        """The task, with as many classes and pictures as the folder has.

        Raises:
            ConfigError: ``path`` names no folder.
            DataError: a class without pictures, or parts with different classes.
        """
        folder = self.place("a folder that has a folder of pictures for each class", Path.is_dir)
        listing = list_folder(folder, self.test_share, self.seed)
        return FolderTask(
            **self.given(len(listing.train.labels), len(listing.test.labels), listing.cut),
            classes=len(listing.classes),
            listing=listing,
            fit=self.fit,
        )
