"""What a network is found for: a data set with its split, or anything else that gives a score."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from nasrun.errors import UnsupportedError
from nasrun.images import Splits
from nasrun.ranges import require_at_least
from nasrun.spec.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from nasrun.spec.objective import Objective

# A name that a task of some classes has; others may have brackets, too.
DRAWN = re.compile(r"(.+?)\[(\d+(?:,\d+)*)\](?:@\d+)?")
# Gives the task of a file, by its name and by values that stand in for those of the file.
NamedTask = Callable[[str, Mapping[str, Any]], "Task"]


class TaskMaker(ABC):
    """What a task file describes: a task, or how to make one of other tasks or of a folder."""

    name: str

    @abstractmethod
    def make(self, named: NamedTask) -> "Task":
        """The task; ``named`` gives the one that another file describes."""


@dataclass
class Task(TaskMaker):
    """What a search is for, in numbers; subclasses bring its images, or whatever it is about.

    A task without images gives its vocabulary or its outputs as ``classes`` and 1 as ``image_px``.
    The data set names that benchmark files use belong to the table that has them, not here.

    Raises:
        ConfigError: a count below 1.
    """

    name: str
    classes: int
    image_px: int
    search_split: str  # training and validation images during the search, in words
    final_split: str  # training and test images of the final score, in words
    valid_images: int  # size of the validation part of search_split
    train_images: int  # size of the training part of search_split

    def __post_init__(self) -> None:
        require_at_least(self, "task", 1, "classes", "image_px", "valid_images", "train_images")

    def make(self, named: NamedTask) -> "Task":
        """The task itself."""
        return self

    @property
    def objective(self) -> "Objective | None":
        """What networks are trained for; None: to tell ``classes`` apart."""
        return None

    @property
    def metric(self) -> Metric:
        """Of the scores: the objective's, unless the task is judged by something else."""
        return ACCURACY if self.objective is None else self.objective.metric

    @property
    def described(self) -> "Task":
        """The task in numbers, without anything that could be read."""
        numbers = {field.name: getattr(self, field.name) for field in fields(Task)}
        return TaskInNumbers(**numbers, own_metric=self.metric, own_objective=self.objective)

    def load(self) -> Splits:
        """The task's images. Read where they are needed: a search by a table needs none."""
        raise UnsupportedError(f"task={self.name} has no images: use evaluator=tabular")

    @property
    def files(self) -> Mapping[str, str]:
        """Data files of the images and their sha256; whoever can names them without reading."""
        return self.load().files

    @property
    def loaded(self) -> Splits | None:
        """The images, if ``load`` has read them."""
        return None

    def subset(self, classes: Sequence[int]) -> "Task":
        """The same images, of these classes alone, numbered anew in the order given."""
        raise UnsupportedError(f"task={self.name} has no images to take classes from")


def source_of(name: str) -> str:
    """Name of the data set that a task is, or takes its classes or pictures from.

    That of ``in16[0,3,7]`` is ``in16``, that of ``cifar100_part`` is ``cifar100``, and that of
    ``segmentsemantic_miou`` is ``segmentsemantic``, whose networks it judges by another metric.
    """
    return name.partition("[")[0].removesuffix("_part").removesuffix("_miou")


def drawn_from(name: str) -> tuple[str, tuple[int, ...] | None]:
    """The data set in a task's name, and its classes there; None: all of them.

    ``in16[0,3,7]@32`` is of ``in16`` and of the classes 0, 3 and 7.
    """
    if (found := DRAWN.fullmatch(name)) is None:
        return name, None
    return found[1], tuple(map(int, found[2].split(",")))


@dataclass
class TaskInNumbers(Task):
    """A task without its images, which knows what it is judged by and what networks learn."""

    own_metric: Metric
    own_objective: "Objective | None"

    @property
    def objective(self) -> "Objective | None":
        """That of the task which it describes."""
        return self.own_objective

    @property
    def metric(self) -> Metric:
        """That of the task which it describes."""
        return self.own_metric
