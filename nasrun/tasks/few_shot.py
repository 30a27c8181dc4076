"""New classes to be told apart by a few pictures of each: a data set, parted by class."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.errors import ConfigError
from nasrun.images import Images, Splits
from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.spec import NamedTask, Task, TaskMaker
from nasrun.streams import Streams
from nasrun.tasks.base import ImageTask
from nasrun.tasks.class_subset import check_classes
from nasrun.tasks.kept_images import DerivedTask

if TYPE_CHECKING:
    from nasrun.nets.few_shot import FewShot

Parts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass
class FewShotMaker(TaskMaker):
    """Episodes of ``ways`` classes with ``shots`` pictures of each, from the task ``of``.

    Its classes, not its pictures, are parted into those of the search's training, its validation
    and the test, as published where they are (mini-ImageNet: 64, 16 and 20), else drawn by ``seed``
    with the shares of ``parts``. All pictures of a class are in its part.

    Raises:
        ConfigError: a count or share out of its range, or not three shares.
    """

    name: str = "few_shot"
    of: str = "in32"
    ways: int = 5
    shots: int = 1
    queries: int = 15
    parts: list[float] = field(default_factory=lambda: [0.64, 0.16, 0.2])
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # of the other task
    download: bool = False  # handed on to the other task

    def __post_init__(self) -> None:
        if self.of == self.name:
            raise ConfigError(f"task.of={self.of} must name another task")
        require_at_least(self, "task", 2, "ways")
        require_at_least(self, "task", 1, "shots", "queries")
        require_positive(self, "task", "parts")
        require_not_negative(self, "task", "seed")
        if len(self.parts) != 3 or sum(self.parts) > 1.0 + 1e-9:
            raise ConfigError(
                "task.parts must hold three shares of the classes, for training, validation and "
                f"test, that make 1 at most, got {self.parts}"
            )

    def make(self, named: NamedTask) -> Task:
        """The task, named after its data and its episodes: ``in32_5way_1shot``.

        Raises:
            ConfigError: a part of fewer classes than an episode has.
        """
        whole = named(self.of, self.settings)
        published = whole.parts_by_class if isinstance(whole, ImageTask) else None
        parts = published or self._drawn(whole)
        words = "as published" if published else f"drawn by seed {self.seed}"
        if min(map(len, parts)) < self.ways:
            raise ConfigError(
                f"task.ways={self.ways} classes do not fit into parts of "
                f"{', '.join(str(len(part)) for part in parts)} classes of {self.of}: lower "
                "task.ways, or change task.parts"
            )
        name = f"{whole.name}_{self.ways}way_{self.shots}shot"
        each = (whole.train_images + whole.valid_images) / whole.classes
        train, valid, test = (len(part) for part in parts)
        return FewShotTask(
            name=name,
            classes=train,
            image_px=whole.image_px,
            search_split=f"{whole.name}, {train}+{valid} classes {words}",
            final_split=f"{whole.name}, {train}+{test} classes {words}",
            valid_images=round(each * valid),
            train_images=round(each * train),
            source=whole,
            parts=parts,
            words=words,
            ways=self.ways,
            shots=self.shots,
            queries=self.queries,
        )

    def _drawn(self, whole: Task) -> Parts:
        count = whole.classes
        order = (
            Streams([self.seed], f"few_shot/{whole.name}").uniform(count)[0].argsort(kind="stable")
        )
        ends = [round(end * count) for end in np.cumsum(self.parts).tolist()]
        first, second, third = np.split(order[: ends[2]], ends[:2])
        train, valid, test = (tuple(sorted(own.tolist())) for own in (first, second, third))
        return train, valid, test


@dataclass
class FewShotTask(DerivedTask):
    """A task whose parts have different classes; in each they are numbered from 0.

    A search sees the pictures of the training and the validation classes, never those of the test
    classes. Its counts suppose classes of equal size.
    """

    parts: Parts
    words: str
    ways: int
    shots: int
    queries: int

    @property
    def objective(self) -> "FewShot":
        """Telling new classes apart; it has no head for ordinary training."""
        from nasrun.nets.few_shot import FewShot

        return FewShot(self.ways, self.shots, self.queries)

    def _splits(self) -> Splits:
        for part in self.parts:
            check_classes(self.source, part)
        whole = self.source.load()
        train, valid, test = (self._of(whole, part) for part in self.parts)
        classes = "+".join(str(len(part)) for part in self.parts)
        return replace(
            whole,
            search_train=train,
            search_valid=valid,
            final_train=train,
            final_test=test,
            class_names=(),
            source=f"{whole.source}; {classes} classes {self.words}",
        )

    def _of(self, whole: Splits, part: tuple[int, ...]) -> Images:
        """All pictures of some classes, whichever part of the source they are in."""
        number = np.full(self.source.classes, -1, np.int64)
        number[list(part)] = np.arange(len(part))
        taken = [
            (images.pixels[rows], number[images.labels[rows]])
            for images in (whole.search_train, whole.search_valid, whole.final_test)
            if len(rows := np.flatnonzero(number[images.labels] >= 0))
        ]
        pixels, labels = (np.concatenate(own) for own in zip(*taken, strict=True))
        return Images(pixels, labels)
