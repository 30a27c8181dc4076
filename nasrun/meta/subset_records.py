"""Records of subsets of an image data set's classes."""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from nasrun.images import of_each_class
from nasrun.spec import (
    Archs,
    Floats,
    Ints,
    Library,
    Mask,
    Records,
    SearchSpace,
    Streams,
    Task,
    Vectors,
    drawn_from,
)


class OfSource(Protocol):
    """What a config says of the pictures that subsets are made of."""

    name: str
    features: Any  # Features
    pictures: int
    held_out: float
    seed: int


Pool = TypeVar("Pool", bound=OfSource)


class OfSubsets(Library, Generic[Pool]):
    """Scores on subsets of a source's classes, with pictures of those classes.

    Args:
        pool: what the config says.
        space: of the architectures.
        source: whose classes the subsets have.
    """

    def __init__(self, pool: Pool, space: SearchSpace, source: Task) -> None:
        self._pool, self._space, self._source = pool, space, source

    def of(self, archs: Archs, score: Floats, tasks: Sequence[tuple[int, ...]]) -> Records:
        """Records that ``archs (n, L)`` reached ``score (n,)``, more is better.

        ``tasks`` are the classes of the source that each of ``n`` was measured on.
        """
        known = list(dict.fromkeys(tasks))
        dataset = np.array([known.index(task) for task in tasks], np.int64)
        return Records(
            archs=archs,
            score=standardised(score, dataset),
            dataset=dataset,
            datasets=known,
            features=self._features(),
            held_out=self._held_out(dataset, len(known)),
        )

    def _features(self) -> Vectors:
        """``(C, k, d)`` features of as many pictures of each class as all of them have."""
        images = self._source.load().search_train
        streams = Streams([self._pool.seed], f"{self._pool.name}/pictures")
        rows = of_each_class(images.labels, self._pool.pictures, streams)
        vectors = self._pool.features.of(images.pixels[rows.ravel()])
        return vectors.reshape(*rows.shape, -1)

    def _held_out(self, dataset: Ints, tasks: int) -> Mask:
        """Records of a share of the tasks, drawn."""
        count = round(self._pool.held_out * tasks)
        streams = Streams([self._pool.seed], f"{self._pool.name}/held out")
        return np.isin(dataset, streams.subsets(tasks, count)[0])


def standardised(score: Floats, group: Ints) -> Floats:
    """``(n,)`` scores less the mean of their group, over its standard deviation."""
    result = np.zeros(len(score))
    for own in np.unique(group):
        members = group == own
        spread = score[members].std()
        result[members] = (score[members] - score[members].mean()) / (spread or 1.0)
    return result


def classes_of(task: str) -> tuple[int, ...]:
    """The classes in the name of a subset, such as ``in16[0,3,7]``."""
    return drawn_from(task)[1] or ()
