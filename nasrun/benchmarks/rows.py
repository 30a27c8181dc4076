"""Finding an architecture among those that a table lists."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasrun.spec import Archs, CountableSpace, Floats, Ints, SearchSpace

INT64 = 2**63


class ArchRows:
    """Row numbers of architectures.

    An encoding that is listed has its own row. One that is not, but is the same network as a listed
    one, has that one's: in NAS-Bench-201 isomorphic cells were trained one by one, in
    NAS-Bench-101 once.

    Args:
        space: of the architectures.
        archs: ``(rows, L)`` those listed, each once; None: the whole space, by its numbers.
    """

    def __init__(self, space: SearchSpace, archs: Archs | None) -> None:
        self._space, self.archs = space, archs
        self._by_canonical: dict[bytes, int] = {}  # encodings that were looked for before

    def __len__(self) -> int:
        """Number of rows."""
        if self.archs is not None:
            return len(self.archs)
        assert isinstance(self._space, CountableSpace)
        return self._space.size

    def at(self, row: int) -> Archs:
        """``(L,)`` the architecture of a row."""
        if self.archs is not None:
            return self.archs[row]
        assert isinstance(self._space, CountableSpace)
        return self._space.at(np.array(row))

    def of(self, archs: Archs) -> Ints:
        """``(n,)`` row of each of ``archs (n, L)``; -1 where the network is not listed."""
        rows = self.exact(archs)
        missed = np.flatnonzero(rows < 0)
        if len(missed):
            rows[missed] = [self._same_network(arch) for arch in archs[missed]]
        return rows

    def exact(self, archs: Archs) -> Ints:
        """``(n,)`` row of each encoding; -1 where it is not listed itself."""
        if self.archs is None:
            assert isinstance(self._space, CountableSpace)
            return np.array(self._space.index(archs), np.int64)
        keys, rows = self._sorted
        wanted = _keys(self._space, archs)
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.full(len(archs), -1, np.int64)
        return np.where(keys[at] == wanted, rows[at], -1)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.void] | Ints, Ints]:
        """Keys of the listed encodings in ascending order, and their rows."""
        assert self.archs is not None
        keys = _keys(self._space, self.archs)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    @cached_property
    def _first_of_network(self) -> dict[str, int]:
        """Row of the first listed architecture of each canonical form."""
        assert self.archs is not None
        first: dict[str, int] = {}
        for row, arch in enumerate(self.archs):
            first.setdefault(self._space.canonical(arch), row)
        return first

    def _same_network(self, arch: Archs) -> int:
        if self.archs is None:
            return -1
        key = arch.tobytes()
        if key not in self._by_canonical:
            exists = bool(self._space.exists(arch[None])[0])
            same = self._first_of_network.get(self._space.canonical(arch), -1) if exists else -1
            self._by_canonical[key] = same
        return self._by_canonical[key]


def _keys(space: SearchSpace, archs: Archs) -> NDArray[np.void] | Ints:
    """``(n,)`` sortable keys that two encodings share only if they are equal."""
    if isinstance(space, CountableSpace) and space.size < INT64:
        return np.asarray(space.index(archs), np.int64)
    whole = np.dtype([("", np.int64)] * archs.shape[1])
    if not len(archs):  # which cannot be seen as another type
        return np.empty(0, whole)
    return np.ascontiguousarray(archs, np.int64).view(whole)[:, 0]


def coverage(space: SearchSpace, known: int) -> str | None:
    """How few architectures have figures, in words; None where all of the space have."""
    if not isinstance(space, CountableSpace):
        return f"{known:,} architectures"
    if known >= space.size:
        return None
    return (
        f"{known:,} of {space.size:,} architectures ({min(100 * known / space.size, 99.9):.3g} %)"
    )


def figures_at(figures: NDArray[np.floating], rows: Ints) -> Floats:
    """``(n,)`` figures of ``rows (n,)``; NaN for row -1."""
    if not len(figures):
        return np.full(len(rows), np.nan)
    found = figures[rows].astype(np.float64)
    missing = rows < 0  # each has read the last row
    return np.where(missing, np.nan, found) if missing.any() else found


def unique_archs(archs: Archs) -> tuple[Archs, Ints]:
    """The different ones of ``archs (n, L)``, and ``(n,)`` which of them each one is."""
    found, inverse = np.unique(archs, axis=0, return_inverse=True)
    return found, inverse.reshape(-1)
