"""What tasks of a folder of one's own pictures share, whatever is known of the pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasrun.errors import ConfigError, DataError
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import TaskMaker
from nasrun.streams import Ints
from nasrun.tasks.base import ValidFrom


@dataclass
class FolderMaker(TaskMaker):
    """Parts that are there, or are drawn by ``seed``: ``valid_share`` and ``test_share``.

    Raises:
        ConfigError: shares outside (0, 1), a size below 1, or a negative seed.
    """

    name: str = "folder"
    path: str | None = None
    image_px: int = 64
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

    def place(self, wanted: str, fits: Callable[[Path], bool] = Path.exists) -> Path:
        """Where the pictures are.

        Raises:
            ConfigError: ``path`` names nothing that ``fits``; ``wanted`` says what it must name.
        """
        place = Path(self.path).expanduser() if self.path else None
        if place is None or not fits(place):
            raise ConfigError(f"task.path must name {wanted}, got {self.path}")
        return place

    def given(self, train: int, test: int, cut: tuple[Ints, Ints] | None) -> dict[str, Any]:
        """What an ImageTask is told of so many listed pictures, and of ``cut``.

        ``cut`` are rows of the test part that validate and that test; without one, ``valid_share``
        of the training part validates.

        Raises:
            DataError: nothing is left to train or to test on.
        """
        valid = max(round(self.valid_share * train), 1) if cut is None else len(cut[0])
        if cut is None and valid >= train:
            raise DataError(
                f"task={self.name} has {train} pictures to train and validate on, of which "
                f"task.valid_share={self.valid_share} leaves none to train on: lower it or add some"
            )
        if (test if cut is None else len(cut[1])) < 1:
            raise DataError(
                f"task={self.name} has no picture left to test on: add some, or raise "
                "task.test_share"
            )
        return {
            "name": self.name,
            "image_px": self.image_px,
            "search_split": self.name,
            "final_split": self.name,
            "valid_images": max(valid, 1),
            "train_images": max(train - valid * (cut is None), 1),
            "test_images": test if cut is None else len(cut[1]),
            "valid_from": ValidFrom.train if cut is None else ValidFrom.test,
            "mean": self.mean,
            "std": self.std,
            "flip": self.flip,
            "seed": self.seed,
            "cache_dir": self.cache_dir,
        }
