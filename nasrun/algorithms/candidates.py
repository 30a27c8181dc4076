"""Candidates that a search has not measured: random ones, and mutants of the best."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nasrun.spec import Archs, Floats, Ints, Mask, SearchSpace, Streams

PATIENCE = 5  # times as many draws as candidates are wanted; naszilla's ``patience_factor``
CHUNK = 50  # draws of a trial that are compared together
MOST_CHANGES = 4  # of a mutant whose decisions change with probability 1/L: more are one in 400
NEXT_BEST = 4  # parents that follow where the first ones have too few mutants left


class Networks:
    """Numbers of networks: encodings of one network (``canonical``) share a number."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._by_encoding: dict[bytes, int] = {}
        self._by_key: dict[str, int] = {}

    def __call__(self, archs: Archs) -> Ints:
        """``(...,)`` numbers of ``archs (..., L)``."""
        flat = np.ascontiguousarray(archs.reshape(-1, archs.shape[-1]))
        keys = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1])))[:, 0].tolist()
        known = self._by_encoding
        for row, key in enumerate(keys):
            if key not in known:
                name = self._space.canonical(flat[row])
                known[key] = self._by_key.setdefault(name, len(self._by_key))
        numbers = np.array([known[key] for key in keys], np.int64)
        return numbers.reshape(archs.shape[:-1])


@dataclass(frozen=True)
class Pool:
    """``archs (T, M, L)`` of different networks; ``found (T, M)`` which places are filled."""

    archs: Archs
    found: Mask


class Drawing:
    """Fills a pool by draws, of which it keeps networks that are new to it and to the search.

    Args:
        space: whose ``canonical`` tells networks apart.
        networks: numbers of networks.
        seen: ``(T, N)`` numbers of those that were measured.
        size: of the pool, M.
    """

    def __init__(self, space: SearchSpace, networks: Networks, seen: Ints, size: int) -> None:
        self._networks, self._seen = networks, seen
        trials = len(seen)
        self.archs: Archs = np.zeros((trials, size, len(space.decisions)), np.int64)
        self._numbers: Ints = np.full((trials, size), -1, np.int64)
        self._filled: Ints = np.zeros(trials, np.int64)

    def fill(self, draw: Callable[[int], Archs], upto: int, draws: int) -> None:
        """Go on until each pool has ``upto`` networks, or for ``draws`` draws.

        Args:
            draw: ``(T, L)`` architectures of the draw with this number.
            upto: places to fill.
            draws: most draws.
        """
        for start in range(0, draws, CHUNK):
            if (self._filled >= upto).all():
                return
            numbers = range(start, min(start + CHUNK, draws))
            self._take(np.stack([draw(number) for number in numbers], axis=1), upto)

    def _take(self, archs: Archs, upto: int) -> None:
        """Keep those of ``archs (T, C, L)`` that are new, in their order."""
        numbers, held = self._networks(archs), self._numbers.shape[1]
        past = np.concatenate([self._seen, self._numbers], axis=1)
        new = ~_repeats(np.concatenate([past, numbers], axis=1))[:, self._seen.shape[1] + held :]
        place = self._filled[:, None] + np.cumsum(new, axis=1) - 1
        new &= place < upto
        trial, at = np.nonzero(new)
        self.archs[trial, place[trial, at]] = archs[trial, at]
        self._numbers[trial, place[trial, at]] = numbers[trial, at]
        self._filled += new.sum(axis=1)

    @property
    def pool(self) -> Pool:
        """What was found."""
        places = np.arange(self.archs.shape[1])
        return Pool(self.archs, places < self._filled[:, None])


def _repeats(numbers: Ints) -> Mask:
    """``(T, K)`` whether the same number stands before it in its row."""
    order = np.argsort(numbers, axis=1, kind="stable")
    ordered = np.take_along_axis(numbers, order, axis=1)
    again = np.zeros(numbers.shape, np.bool_)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeats = np.zeros_like(again)
    np.put_along_axis(repeats, order, again, axis=1)
    return repeats


class Mutants:
    """Draws mutants of the best architectures, each parent in turn.

    Args:
        space: whose ``mutate`` makes one change.
        archs: ``(T, N, L)`` what was measured.
        rewards: ``(T, N)``, -inf where it failed.
        parents: how many of the best have mutants.
        changes: most changes of a mutant, their number uniform from 1 on; None: every decision
            changes with probability 1/L, at least one.
        streams: that are drawn from.
    """

    def __init__(
        self,
        space: SearchSpace,
        archs: Archs,
        rewards: Floats,
        parents: int,
        changes: int | None,
        streams: Streams,
    ) -> None:
        self._space, self._streams, self._changes = space, streams, changes
        best = np.argsort(-rewards, axis=1, kind="stable")[:, : parents + NEXT_BEST]
        self._archs = np.take_along_axis(archs, best[:, :, None], axis=1)
        self.parents = min(parents, self._archs.shape[1])

    @property
    def others(self) -> int:
        """How many of the best follow the parents."""
        return self._archs.shape[1] - self.parents

    def of_parents(self, number: int) -> Archs:
        """``(T, L)`` mutants of a parent."""
        return self._of(number % self.parents)

    def of_others(self, number: int) -> Archs:
        """``(T, L)`` mutants of one of those that follow the parents."""
        return self._of(self.parents + number % self.others)

    def _of(self, rank: int) -> Archs:
        archs, counts = self._archs[:, rank], self._counts()
        # Every trial draws as often as any: a stream must not depend on the cohort.
        for change in range(self._changes or MOST_CHANGES):
            changed = self._space.mutate(archs, self._streams)
            archs = np.where((counts > change)[:, None], changed, archs)
        return archs

    def _counts(self) -> Ints:
        """``(T,)`` changes of a mutant."""
        if self._changes is not None:
            return 1 + self._streams.integers(self._changes)[:, 0]
        decisions = len(self._space.decisions)
        changes = self._streams.uniform(decisions) < 1.0 / decisions
        return np.clip(changes.sum(axis=1), 1, MOST_CHANGES)
