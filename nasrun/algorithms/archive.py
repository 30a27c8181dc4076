"""The best compromises between several objectives that each trial has measured so far."""

import numpy as np

from nasrun.spec import Archs, Floats, Mask

ROOM = 8  # slots a trial begins with


class Archive:
    """Architectures of ``T`` trials that no other measurement of the trial equals or beats.

    They stand in slots ``(T, slots)``, of which some are free; there are as many as the largest
    front needs, so that a step costs the same however long the search is.
    """

    def __init__(self, trials: int, decisions: int, objectives: int) -> None:
        self._archs: Archs = np.zeros((trials, ROOM, decisions), np.int64)
        self._values: Floats = np.zeros((trials, ROOM, objectives))
        self._taken: Mask = np.zeros((trials, ROOM), np.bool_)

    def add(self, archs: Archs, values: Floats) -> None:
        """Take in ``archs (T, L)`` with ``values (T, K)``, each to be maximised; NaN: it failed."""
        new = values[:, None]
        as_good = np.asarray((self._values >= new).all(axis=-1))
        worse = np.asarray((self._values <= new).all(axis=-1))
        joins = np.asarray(~np.isnan(values).any(axis=1) & ~(self._taken & as_good).any(axis=1))
        self._taken &= ~(worse & joins[:, None])
        if (joins & self._taken.all(axis=1)).any():
            self._widen()
        trial = np.flatnonzero(joins)
        slot = np.argmin(self._taken, axis=1)[trial]  # the first that is free
        self._archs[trial, slot], self._values[trial, slot] = archs[trial], values[trial]
        self._taken[trial, slot] = True

    def _widen(self) -> None:
        """Twice as many slots."""
        more = (0, 0), (0, self._taken.shape[1])
        self._archs = np.pad(self._archs, (*more, (0, 0)))
        self._values = np.pad(self._values, (*more, (0, 0)))
        self._taken = np.pad(self._taken, more)

    def fronts(self) -> list[Archs]:
        """``T`` arrays ``(k, L)``, in no particular order."""
        return [archs[taken] for archs, taken in zip(self._archs, self._taken, strict=True)]
