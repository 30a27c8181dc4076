"""A task made of some classes of another one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.images import Images, Splits
from nasrun.spec import Task
from nasrun.tasks.kept_images import DerivedTask


@dataclass
class ClassSubset(DerivedTask):
    """A task made of another one's classes; its counts suppose classes of equal size."""

    chosen: tuple[int, ...]  # classes of the source, in the order of the new labels

    @classmethod
    def of(cls, source: Task, classes: Sequence[int]) -> "ClassSubset":
        """The subset, named after its source and classes: ``cifar10[0,3]``.

        Raises:
            ConfigError: a class twice, or one that there is not.
        """
        check_classes(source, classes)
        name = f"{source.name}[{','.join(map(str, classes))}]"
        share = len(classes) / source.classes
        return cls(
            name=name,
            classes=len(classes),
            image_px=source.image_px,
            search_split=name,
            final_split=name,
            valid_images=round(source.valid_images * share) or 1,
            train_images=round(source.train_images * share) or 1,
            source=source,
            chosen=tuple(classes),
        )

    def _splits(self) -> Splits:
        whole = self.source.load()
        return replace(
            whole,
            search_train=self._of(whole.search_train),
            search_valid=self._of(whole.search_valid),
            final_train=self._of(whole.final_train),
            final_test=self._of(whole.final_test),
            class_names=tuple(whole.class_names[at] for at in self.chosen if whole.class_names),
            source=f"{whole.source}; classes {', '.join(map(str, self.chosen))}",
        )

    def subset(self, classes: Sequence[int]) -> Task:
        """Some of these classes, as a subset of the source."""
        check_classes(self, classes)
        return self.source.subset([self.chosen[at] for at in classes])

    def _of(self, images: Images) -> Images:
        new = np.full(self.source.classes, self.classes, np.int64)
        new[list(self.chosen)] = np.arange(self.classes)
        labels = new[images.labels]
        rows = np.flatnonzero(labels < self.classes)
        if len(np.unique(labels[rows])) < self.classes:
            raise DataError(
                f"task={self.name}: a part of {self.source.name} has no picture of some of these "
                "classes: take more pictures or other classes"
            )
        return Images(images.pixels[rows], labels[rows])


def check_classes(task: Task, classes: Sequence[int]) -> None:
    """Refuse classes that a task does not have.

    Raises:
        ConfigError: a class twice, or one that there is not.
    """
    if len(set(classes)) < len(classes) or not set(classes) <= set(range(task.classes)):
        raise ConfigError(
            f"classes of {task.name} must be different numbers from 0 to {task.classes - 1}, got "
            f"{', '.join(map(str, classes))}"
        )
