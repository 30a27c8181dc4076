"""A task whose pictures were listed when it was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.input_files import shown
from nasrun.tasks.base import ImageTask
from nasrun.tasks.folder_listing import NO_LISTING, Listing
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit, PictureFiles


@dataclass
class FolderTask(ImageTask):
    """The pictures of a folder; made by ImageFolder.

    Raises:
        ConfigError: see ImageTask.
    """

    listing: Listing = NO_LISTING
    fit: Fit = Fit.crop

    def paths(self) -> dict[str, Path]:
        """The folders that have pictures."""
        return self.listing.folders()

    def _without(self, classes: Sequence[int]) -> str:
        """Classes by their folders: their number is none that a person could lower."""
        names = ", ".join(shown(Path(self.listing.classes[number])) for number in classes)
        return (
            f"task={self.name} has too few pictures of {names} for one in each part: add some, "
            "raise task.valid_share or task.test_share, or take the folder out"
        )

    def read(self) -> Published:
        """The listed pictures.

        Raises:
            DataError: a picture that cannot be decoded.
        """
        listing = self.listing
        decoder = PictureFiles(self.image_px, self.fit, self.places.cache / "images")
        train, test = (
            decoder.part(files.paths, files.labels) for files in (listing.train, listing.test)
        )
        hashes = self.places.hashes(self.paths())
        names = [shown(Path(name)) for name in listing.classes]
        return Published(train, test, listing.origin, hashes, listing.cut, names, self.fit.value)
