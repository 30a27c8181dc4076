"""How many of many architectures agree with one, and where, without a look at each of them."""

import numpy as np

from nasrun.spec import Archs, Ints

LARGEST = 1 << 16  # cells a trial
SMALL = np.iinfo(np.uint16).max  # points that counts of two bytes can tell apart


class MatchCounts:
    """Counts of a growing set of points, by the options of every subset of the decisions.

    A point is counted in ``2**L`` cells: for each subset of the decisions in the one that belongs
    to its options there. So a point is added, and all points are compared with an architecture, in
    O(2**L), however many there are. There are ``prod(arity + 1)`` cells a trial: 46,656 for
    NAS-Bench-201.
    """

    @staticmethod
    def can_hold(arity: Ints) -> bool:
        """Whether ``LARGEST`` cells are enough for decisions of so many options."""
        return float(np.prod(arity + 1.0)) <= LARGEST

    def __init__(self, trials: int, arity: Ints) -> None:
        sizes = np.cumprod(arity + 1)
        self._strides: Ints = np.concatenate([[1], sizes[:-1]])
        self._counts = np.zeros((trials, int(sizes[-1])), np.uint16)
        options = np.arange(arity.max())
        self._exist = options < arity[:, None]
        self._single = np.where(self._exist, self._strides[:, None] * (options + 1), 0)

    def add(self, archs: Archs, trials: Ints) -> None:
        """Take in one point ``archs (T, L)`` of each of the ``trials`` given by number."""
        if self._counts.dtype == np.uint16 and (self._counts[:, 0] == SMALL).any():
            self._counts = self._counts.astype(np.uint32)
        self._counts[trials[:, None], self.cells(archs[trials])] += 1

    def remove(self, archs: Archs, trials: Ints) -> None:
        """Undo ``add``."""
        self._counts[trials[:, None], self.cells(archs[trials])] -= 1

    def cells(self, archs: Archs) -> Ints:
        """``(..., 2**L)`` cells of architectures ``(..., L)``, bit i for decision i in a subset."""
        found = np.zeros((*archs.shape[:-1], 1), np.int64)
        for part in np.moveaxis((archs + 1) * self._strides, -1, 0):
            found = np.concatenate([found, found + part[..., None]], axis=-1)
        return found

    def at(self, cells: Ints) -> Ints:
        """``(T, m, 2**L)`` points that agree on these subsets, whatever they do elsewhere."""
        return self._counts[np.arange(len(cells))[:, None, None], cells].astype(np.int64)

    def options(self) -> Ints:
        """``(T, L, K)`` how many points have each option of each decision."""
        return np.where(self._exist, self._counts[:, self._single], 0).astype(np.int64)


def exactly(agreeing: Ints) -> Ints:
    """Turn points that agree on each subset ``(..., 2**L)`` into those that do so there alone.

    By inclusion and exclusion, one decision at a time.
    """
    counts, subsets = agreeing.copy(), agreeing.shape[-1]
    for bit in range(subsets.bit_length() - 1):
        pairs = counts.reshape(*counts.shape[:-1], subsets >> (bit + 1), 2, 1 << bit)
        pairs[..., 0, :] -= pairs[..., 1, :]
    return counts
