"""Drawing and changing architectures by their paths, in spaces that can be listed whole.

White et al., "A Study on Neural Architecture Encodings" (NeurIPS 2020), section 4: the path
encoding as the one in which architectures are drawn, or changed. That needs a way back from sets of
paths to architectures, which the authors keep in a file; here it is made of the list of all.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nasrun.draws import pick
from nasrun.spec import Archs, Floats, Ints, Streams

CHUNK = 4096  # architectures whose features are computed at a time


class PathSets:
    """Architectures by the set of paths that each has.

    Args:
        archs: ``(n, L)`` one of each network of the space.
        features: gives the indicators ``(k, paths)`` of ``k`` architectures.
        chances: ``(paths,)`` probability of each path where architectures are drawn.
    """

    def __init__(self, archs: Archs, features: Callable[[Archs], Floats], chances: Floats) -> None:
        self._archs, self._features = archs, features
        # A set is known by the sum of its paths' words.
        self._words = np.random.default_rng(0).integers(
            0, 2**64, size=len(chances), dtype=np.uint64
        )
        odds = np.log(chances / (1.0 - chances))
        parts = range(0, len(archs), CHUNK)
        found = [self._read(archs[at : at + CHUNK], odds) for at in parts]
        sums, likely = (np.concatenate(part) for part in zip(*found, strict=True))
        self._order = np.argsort(sums, kind="stable")
        self._sets, self._first, self._count = np.unique(
            sums[self._order], return_index=True, return_counts=True
        )
        heights = likely[self._order][self._first]
        self._heights = np.cumsum(np.exp(heights - heights.max()))

    def _read(self, archs: Archs, odds: Floats) -> tuple[NDArray[np.uint64], Floats]:
        """Sums of the paths' words, and logarithms of how likely each set is, to a constant."""
        there = self._features(archs)
        return there.astype(np.uint64) @ self._words, there @ odds

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures: each path at its own chance, until some network has just these.

        That is, sets of paths at the probability that they have if some network has them, which is
        what drawing again and again comes to; and networks of a set uniformly.
        """
        uniforms = streams.uniform(2)
        marks = uniforms[:, 0] * self._heights[-1]
        found = np.minimum(np.searchsorted(self._heights, marks, "right"), len(self._sets) - 1)
        return self._any_of(found, uniforms[:, 1])

    def perturb(self, archs: Archs, streams: Streams) -> tuple[Archs, Ints]:
        """``(T, L)`` architectures with one path more or less, uniform over the sets that exist.

        Returns:
            Those, and the trials for which there is no such set, whose rows are as they were.
        """
        uniforms = streams.uniform(2)
        there = self._features(archs) > 0
        own = there.astype(np.uint64) @ self._words
        wanted = np.where(there, own[:, None] - self._words, own[:, None] + self._words)
        at = np.minimum(np.searchsorted(self._sets, wanted), len(self._sets) - 1)
        known = self._sets[at] == wanted
        alone = ~known.any(axis=1)
        path = np.where(alone, 0, pick((known | alone[:, None]).astype(np.float64), uniforms[:, 0]))
        found = self._any_of(at[np.arange(len(archs)), path], uniforms[:, 1])
        return np.where(alone[:, None], archs, found), np.flatnonzero(alone)

    def _any_of(self, sets: Ints, uniforms: Floats) -> Archs:
        """``(n, L)`` an architecture of each of the ``sets (n,)``."""
        member = (uniforms * self._count[sets]).astype(np.int64)
        return self._archs[self._order[self._first[sets] + member]]
