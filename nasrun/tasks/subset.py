"""Some classes of a data set, as a task of their own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec import NamedTask, Task, TaskMaker
from nasrun.streams import Streams


@dataclass
class Subset(TaskMaker):
    """``count`` classes of the task ``of``, drawn by ``seed``, or the ``classes`` that are named.

    X-class subsets of an image data set are the meta-training tasks of Chen et al., "CATCH" (ECCV
    2020), Section 4.2.

    Raises:
        ConfigError: a subset of a subset, or no class at all.
    """

    name: str = "subset"
    of: str = "cifar10"
    count: int = 5
    seed: int = 0
    classes: list[int] = field(default_factory=list[int])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # of the other task
    download: bool = False  # handed on to the other task

    def __post_init__(self) -> None:
        if self.of == self.name:
            raise ConfigError(f"task.of={self.of} must name another task")
        require_at_least(self, "task", 1, "count")
        require_not_negative(self, "task", "seed")

    def make(self, named: NamedTask) -> Task:
        """The task, of these classes in ascending order, or in the order in which they are named.

        Raises:
            ConfigError: more classes than there are, a class twice, or one that there is not.
            UnsupportedError: the other task has no images.
        """
        whole = named(self.of, self.settings)
        if self.classes:
            return whole.subset(self.classes)
        if self.count > whole.classes:
            raise ConfigError(
                f"task.count asks for {self.count} classes, but {self.of} has {whole.classes}"
            )
        streams = Streams([self.seed], f"subset/{self.of}")
        return whole.subset(np.sort(streams.subsets(whole.classes, self.count)[0]).tolist())
