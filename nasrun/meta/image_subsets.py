"""Meta-training on random subsets of an image data set's classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.meta.base import require_sizes, source_of
from nasrun.spec import (
    Clock,
    Evaluator,
    Measuring,
    MetaPool,
    MetaSession,
    SearchSpace,
    Streams,
    Task,
)


@dataclass
class ImageSubsets(MetaPool):
    """Every meta epoch is a task of its own: some classes of ``source``, trained live.

    Chen et al., "CATCH" (ECCV 2020), Section 4.2: the number of classes is drawn from
    ``class_counts``, then the classes, without replacement. Which task an epoch has depends on
    ``seed``, the epoch and the number of classes alone. A task is named after its data set and
    classes, such as ``imagenet16[3,17,...]``, numbered from 0. The evaluator puts every training on
    record under that name. The source must be other data than the target's.

    Raises:
        ConfigError: no source; fewer than 2 classes, or more than the source has; agents, epochs or
            networks below 1, or a negative seed.
        UnsupportedError: the evaluator looks figures up instead of training.
    """

    name: str = "image_subsets"
    source: Any = field(default=None)  # a Task of any class; OmegaConf knows no abstract types
    class_counts: list[int] = field(default_factory=lambda: [10, 20, 30])
    agents: int = 1
    epochs: int = 25
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_sizes(self)
        if not isinstance(self.source, Task):
            raise ConfigError(
                "meta.source must be a task: choose one with task@meta.source=imagenet16"
            )
        if not self.class_counts or not 1 < min(self.class_counts) <= max(self.class_counts):
            raise ConfigError(
                f"meta.class_counts must hold numbers of at least 2, got {self.class_counts}"
            )
        if max(self.class_counts) > self.source.classes:
            raise ConfigError(
                f"meta.class_counts asks for {max(self.class_counts)} classes, but "
                f"{self.source.name} has {self.source.classes}: lower it, or choose another source"
            )

    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> "Subsets":
        """The subsets, each with the evaluator that will train its networks.

        Raises:
            ConfigError: the source is the target's own data.
            UnsupportedError: the evaluator trains nothing.
            DataError: the source's images cannot be read.
        """
        if source_of(self.source.name) == source_of(target.name):
            raise ConfigError(
                f"meta.source={self.source.name} is the data of task={target.name} itself: choose "
                "another one with task@meta.source=NAME"
            )
        if evaluator.clock is Clock.SIMULATED:
            raise UnsupportedError(
                f"meta=image_subsets trains networks, which evaluator={evaluator.name} cannot do: "
                "use an evaluator that trains, or meta=leave_one_out"
            )
        return Subsets(self, space, evaluator)

    def task(self, epoch: int) -> Task:
        """The classes of a meta epoch, as a task."""
        return self.source.subset(self.chosen(epoch))

    def chosen(self, epoch: int) -> list[int]:
        """The classes of a meta epoch, ascending."""
        streams = Streams([self.seed], f"{self.name}/{epoch}")
        count = self.class_counts[int(streams.integers(len(self.class_counts))[0, 0])]
        return np.sort(streams.subsets(self.source.classes, count)[0]).tolist()


class Subsets(MetaSession):
    """Subsets of a source's classes, one a meta epoch.

    Args:
        pool: what the config says.
        space: whose architectures are trained.
        evaluator: that trains them.
    """

    uses_target = False  # the target is only compared with the source by name

    def __init__(self, pool: ImageSubsets, space: SearchSpace, evaluator: Evaluator) -> None:
        self._pool, self._space, self._evaluator = pool, space, evaluator

    def problem(self, epoch: int) -> tuple[Task, Measuring]:
        """The subset of this epoch, and the evaluator opened for it."""
        task = self._pool.task(epoch)
        return task, self._evaluator.opened(self._space, task)

    @property
    def label(self) -> str:
        """Such as ``image_subsets(imagenet16:10/20/30)``."""
        pool = self._pool
        return f"{pool.name}({pool.source.name}:{'/'.join(map(str, pool.class_counts))})"

    @property
    def files(self) -> Mapping[str, str]:
        """The source's data files and their sha256."""
        return self._pool.source.files
