"""Random numbers of a cohort: one independent stream per trial, drawn for all trials at once.

A trial's numbers depend on its own seed, on the purpose of the stream and on what the trial itself
has drawn so far; never on the other trials of the cohort. That is what makes trial ``i`` of
``seed=100 trials=500`` the same trial as ``seed=$((100+i))``.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 256  # uniforms a trial's generator makes at a time; a trial's numbers do not depend on it
MOST = 2048  # the same of trials that draw much: it doubles after every ``REFILLS`` of all trials
REFILLS = 8


class Streams:
    """One stream of uniform numbers per trial; every draw has the trials as its leading axis.

    Each trial owns a NumPy ``PCG64`` generator. It fills a row of ``block`` uniforms, and draws are
    slices of the rows, because 500 generator calls a step would cost more than the search itself.
    All draws are made from uniforms, so that a row is the generator's own sequence with nothing
    skipped, whatever the block size.

    Args:
        seeds: ``(T,)`` absolute trial seeds, non-negative.
        purpose: name of the use (``search``, ``evaluator``, ...); other purposes, other numbers.
        block: uniforms generated at a time.
    """

    def __init__(self, seeds: Sequence[int], purpose: str = "search", block: int = BLOCK) -> None:
        self.seeds = tuple(int(seed) for seed in seeds)
        self.purpose = purpose
        self._block = block
        self._generators: list[np.random.Generator] | None = None
        self._buffer: Floats = np.empty((len(self.seeds), block))
        self._used: Ints = np.full(len(self.seeds), block)
        self._refills = 0

    def __len__(self) -> int:
        """Number of trials, T."""
        return len(self.seeds)

    @property
    def origin(self) -> "Streams":
        """What these are a part of: the same object in all of a search, whichever trials ask."""
        return self

    def fork(self, purpose: str, rows: slice = slice(None)) -> "Streams":
        """Streams of the same trials (or of some) for another purpose, independent of these."""
        return Streams(self.seeds[rows], f"{self.purpose}/{purpose}", self._block)

    def part(self, rows: Ints) -> "Streams":
        """The same streams of some trials alone: what is drawn from them is drawn from these."""
        return _Part(self, rows)

    def uniform(self, size: int = 1, rows: Ints | None = None) -> Floats:
        """``(T, size)`` uniforms in [0, 1); of ``rows`` alone, ``(len(rows), size)``, if given."""
        rows = np.arange(len(self)) if rows is None else rows
        self._refill(rows, size)
        start = self._used[rows]
        self._used[rows] = start + size
        return self._buffer[rows[:, None], start[:, None] + np.arange(size)]

    def integers(self, high: ArrayLike, size: int = 1, rows: Ints | None = None) -> Ints:
        """``(T, size)`` integers in [0, high); ``high`` broadcasts against the result."""
        return (self.uniform(size, rows) * np.asarray(high)).astype(np.int64)

    def normal(self, size: int = 1, rows: Ints | None = None) -> Floats:
        """``(T, size)`` standard normal numbers, by Box and Muller's transform."""
        uniforms = self.uniform(2 * size, rows)
        radius = np.sqrt(-2.0 * np.log1p(-uniforms[:, :size]))
        return radius * np.cos(2.0 * np.pi * uniforms[:, size:])

    def gumbel(self, size: int) -> Floats:
        """``(T, size)`` standard Gumbel numbers."""
        tiny = np.finfo(np.float64).tiny
        return -np.log(-np.log(np.maximum(self.uniform(size), tiny)))

    def subsets(self, n: int, size: int, rows: Ints | None = None) -> Ints:
        """``(T, size)`` different numbers out of ``range(n)``, in random order."""
        return np.argsort(self.uniform(n, rows), axis=1, kind="stable")[:, :size]

    def _refill(self, rows: Ints, size: int) -> None:
        width = self._buffer.shape[1]
        if size > width or (self._refills >= REFILLS and width < MOST):
            self._widen(size)
            width, self._refills = self._buffer.shape[1], 0
        empty = rows[self._used[rows] + size > width]
        if len(empty) == len(self):
            self._refills += 1
        for row in empty:
            rest = self._buffer[row, self._used[row] :].copy()
            self._buffer[row, : len(rest)] = rest
            self._buffer[row, len(rest) :] = self._generator(row).random(width - len(rest))
            self._used[row] = 0

    def _widen(self, size: int) -> None:
        """Make room for draws of ``size``; what is not used yet stays at the end of its row."""
        old = self._buffer.shape[1]
        wider = np.empty((len(self), max(size, 2 * old)))
        wider[:, wider.shape[1] - old :] = self._buffer
        self._used += wider.shape[1] - old
        self._buffer = wider

    def _generator(self, row: int) -> np.random.Generator:
        if self._generators is None:
            key = zlib.crc32(self.purpose.encode())
            self._generators = [
                np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))
                for seed in self.seeds
            ]
        return self._generators[row]


class _Part(Streams):
    """Some trials of other streams, which it draws from."""

    def __init__(self, whole: Streams, rows: Ints) -> None:
        super().__init__([whole.seeds[row] for row in rows], whole.purpose, block=1)
        self._whole, self._rows = whole, rows

    @property
    def origin(self) -> Streams:
        """The whole."""
        return self._whole.origin

    def uniform(self, size: int = 1, rows: Ints | None = None) -> Floats:
        """``(n, size)`` uniforms of these trials, or of ``rows`` of them."""
        return self._whole.uniform(size, self._rows if rows is None else self._rows[rows])
