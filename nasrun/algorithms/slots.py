"""Architectures as one-hot decisions, for networks that read and make them one at a time."""

from dataclasses import dataclass

import numpy as np

from nasrun.spec import Archs, Floats, Ints, Mask, SearchSpace


@dataclass(frozen=True)
class Decided:
    """One architecture per trial as the policy met it, decision by decision.

    ``taken (T, L, F)`` one-hots of the decisions before each one, ``allowed (T, L, F)`` columns
    that were open, ``column (T, L)`` the one chosen, ``log_chance (T, L)`` with what log
    probability, and ``counts (T,)`` whether the policy may learn from it.
    """

    taken: Floats
    allowed: Mask
    column: Ints
    log_chance: Floats
    counts: Mask

    def only(self, known: Mask) -> "Decided":
        """The same, teaching nothing where the measurement failed."""
        parts = (self.taken, self.allowed, self.column, self.log_chance)
        return Decided(*parts, self.counts & known)

    def of(self, rows: slice) -> "Decided":
        """Those of some of the trials."""
        return Decided(
            self.taken[rows],
            self.allowed[rows],
            self.column[rows],
            self.log_chance[rows],
            self.counts[rows],
        )


class Slots:
    """Columns of one-hot decisions: ``F`` in all, one block a decision."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.arity: Ints = np.array([len(options) for options in space.decisions], np.int64)
        self.first: Ints = np.concatenate([[0], np.cumsum(self.arity)[:-1]])
        self.width = int(self.arity.sum())

    def columns(self, place: int) -> slice:
        """Columns of one decision."""
        return slice(self.first[place], self.first[place] + self.arity[place])

    def one_hot(self, archs: Archs, upto: int | None = None) -> Floats:
        """``(..., F)`` for ``archs (..., L)``; decisions from ``upto`` on stay zero."""
        features = np.zeros((*archs.shape[:-1], self.width))
        np.put_along_axis(features, (self.first + archs)[..., :upto], 1.0, axis=-1)
        return features

    def decided(self, archs: Archs, log_chance: Floats, counts: Mask) -> Decided:
        """The decisions that led to ``archs (T, L)``."""
        places = range(len(self.arity))
        taken = np.stack([self.one_hot(archs, upto=place) for place in places], axis=1)
        allowed = np.zeros(taken.shape, np.bool_)
        for place in places:
            allowed[:, place, self.columns(place)] = self._space.legal(archs[:, :place])
        return Decided(taken, allowed, self.first + archs, log_chance, counts)
