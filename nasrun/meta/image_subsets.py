"""Meta-training on random subsets of an image data set's classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.meta.base import require_sizes
from nasrun.ranges import require_at_least
from nasrun.spec import (
    Clock,
    Evaluator,
    Measuring,
    MetaPool,
    MetaSession,
    SearchSpace,
    Streams,
    Task,
    source_of,
)


@dataclass
class ImageSubsets(MetaPool):
    """Every meta epoch is a task of its own: some classes of ``source``, trained live.

    Chen et al., "CATCH" (ECCV 2020), Section 4.2: the number of classes is drawn from
    ``class_counts``, then the classes, without replacement. Where ``sizes`` are given (section
    4.3), one is drawn, to which the pictures are resized. Which task an epoch has depends on
    ``seed``, the epoch and the numbers to draw from alone. A task is named after its data set,
    classes and size, such as ``imagenet16[3,17,...]@32``, numbered from 0. The evaluator puts
    every training on record under that name.

    ``evaluator`` trains the networks; without one the search's own does, which for a dense task
    has another recipe. The source must be other data than the target's, unless ``own_data`` allows
    it, as section 4.3 does, whose target is ImageNet itself.

    Raises:
        ConfigError: no source; fewer than 2 classes, or more than the source has; agents, epochs,
            networks or sizes below 1, or a negative seed; an evaluator that is none.
        UnsupportedError: the evaluator looks figures up instead of training.
    """

    name: str = "image_subsets"
    source: Any = field(default=None)  # a Task of any class; OmegaConf knows no abstract types
    class_counts: list[int] = field(default_factory=lambda: [10, 20, 30])
    sizes: list[int] = field(default_factory=list[int])
    own_data: bool = False
    evaluator: Any = field(default=None)  # an Evaluator of any class
    agents: int = 1
    epochs: int = 25
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_sizes(self)
        require_at_least(self, "meta", 1, "sizes")
        if not isinstance(self.evaluator, Evaluator | None):
            raise ConfigError(
                "meta.evaluator must be an evaluator: choose one with "
                "+evaluator@meta.evaluator=training, or set it to null for the search's own"
            )
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
        if not self.own_data and source_of(self.source.name) == source_of(target.name):
            raise ConfigError(
                f"meta.source={self.source.name} is the data of task={target.name} itself: choose "
                "another one with task@meta.source=NAME, or set meta.own_data=true"
            )
        evaluator = self.evaluator or evaluator
        if evaluator.clock is Clock.SIMULATED:
            raise UnsupportedError(
                f"meta=image_subsets trains networks, which evaluator={evaluator.name} cannot do: "
                "use an evaluator that trains, or meta=leave_one_out"
            )
        return Subsets(self, space, evaluator)

    def task(self, epoch: int) -> Task:
        """The classes of a meta epoch, as a task, at a size if some are given."""
        classes, px = self.chosen(epoch)
        return subset_at(self.sized(px), classes, px)

    def sized(self, px: int | None) -> Task:
        """The source with pictures of so many pixels a side; None: as it is."""
        return self.source if px is None else replace(self.source, image_px=px)

    def chosen(self, epoch: int) -> tuple[list[int], int | None]:
        """The classes of a meta epoch, ascending, and pixels a side; None: the source's own."""
        streams = Streams([self.seed], f"{self.name}/{epoch}")
        count = self.class_counts[int(streams.integers(len(self.class_counts))[0, 0])]
        classes = np.sort(streams.subsets(self.source.classes, count)[0]).tolist()
        if not self.sizes:
            return classes, None
        return classes, self.sizes[int(streams.integers(len(self.sizes))[0, 0])]


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
        self.uses_evaluator = pool.evaluator is None
        self._sources = {px: pool.sized(px) for px in pool.sizes or [None]}  # each is read once

    def problem(self, epoch: int) -> tuple[Task, Measuring]:
        """The subset of this epoch, and the evaluator opened for it."""
        classes, px = self._pool.chosen(epoch)
        task = subset_at(self._sources[px], classes, px)
        return task, self._evaluator.opened(self._space, task)

    @property
    def label(self) -> str:
        """Such as ``image_subsets(imagenet:10/20/30@16/32/224)``."""
        pool = self._pool
        counts, sizes = ("/".join(map(str, own)) for own in (pool.class_counts, pool.sizes))
        return f"{pool.name}({pool.source.name}:{counts}{'@' * bool(sizes)}{sizes})"

    @property
    def files(self) -> Mapping[str, str]:
        """The source's data files and their sha256."""
        return self._pool.source.files


def subset_at(source: Task, classes: Sequence[int], px: int | None) -> Task:
    """Some classes of a source whose pictures have ``px`` pixels, which its name says if set."""
    subset = source.subset(classes)
    return subset if px is None else replace(subset, name=f"{subset.name}@{px}")
