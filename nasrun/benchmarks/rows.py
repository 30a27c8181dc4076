"""Finding an architecture among those that a table lists."""

from functools import cached_property
from typing import Any, Self

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
        self._space = space
        # By number where there are such: of 423,624 cells 3 MB in place of 88.
        self._listed = None if archs is None else _keys(space, archs)
        self._archs = None if _are_numbers(self._listed) else archs
        self._networks: tuple[Ints, Ints] | None = None
        self._by_canonical: dict[bytes, int] = {}  # encodings that were looked for before

    @classmethod
    def numbered(cls, space: CountableSpace, numbers: Ints, networks: Ints | None) -> Self:
        """Rows of the encodings with these ``numbers (rows,)`` and keys of networks ``(rows,)``.

        Raises:
            ValueError: other numbers of them, or keys that are not those of the space today.
        """
        rows = cls(space, np.empty((0, len(space.decisions)), np.int64))
        rows._listed = numbers
        if networks is not None:
            some = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), 50)).astype(int))
            found = space.canonical_keys(space.at(numbers[some]))
            if networks.shape != numbers.shape or (found != networks[some]).any():
                raise ValueError("its networks have other keys")
            rows._networks = _first_rows(networks)
        return rows

    def __len__(self) -> int:
        """Number of rows."""
        if self._listed is not None:
            return len(self._listed)
        assert isinstance(self._space, CountableSpace)
        return self._space.size

    @property
    def archs(self) -> Archs | None:
        """``(rows, L)`` those listed; None: the whole space, by its numbers."""
        if (numbers := self.numbers) is None:
            return self._archs
        assert isinstance(self._space, CountableSpace)
        return self._space.at(numbers)

    @property
    def numbers(self) -> Ints | None:
        """``(rows,)`` numbers of the encodings listed; None where they have none, or all are."""
        numbered = self._listed is not None and _are_numbers(self._listed)
        return np.asarray(self._listed, np.int64) if numbered else None

    @property
    def network_keys(self) -> tuple[Ints, Ints] | None:
        """Keys of the networks listed, ascending, and the first row of each.

        None in spaces that have no such numbers, and where the whole space is listed.
        """
        if self._networks is None and self._listed is not None and self._has_keys:
            self._networks = _first_rows(self._space.canonical_keys(self._each))
        return self._networks

    @cached_property
    def _has_keys(self) -> bool:
        none = np.empty((0, len(self._space.decisions)), np.int64)
        return self._space.canonical_keys(none).dtype == np.int64

    @property
    def _each(self) -> Archs:
        archs = self.archs
        assert archs is not None
        return archs

    def at(self, row: int) -> Archs:
        """``(L,)`` the architecture of a row."""
        if self._archs is not None:
            return self._archs[row]
        assert isinstance(self._space, CountableSpace)
        return self._space.at(np.array(row if self._listed is None else self._listed[row]))

    def of(self, archs: Archs) -> Ints:
        """``(n,)`` row of each of ``archs (n, L)``; -1 where the network is not listed."""
        networks = self.network_keys
        if networks is not None and len(networks[0]) == len(self):  # each was trained once
            return self._of_networks(networks, archs)
        rows = self.exact(archs)
        missed = np.flatnonzero(rows < 0)
        if len(missed) and networks is not None:
            rows[missed] = self._of_networks(networks, archs[missed])
        elif len(missed) and self._listed is not None:
            rows[missed] = [self._same_network(arch) for arch in archs[missed]]
        return rows

    def exact(self, archs: Archs) -> Ints:
        """``(n,)`` row of each encoding; -1 where it is not listed itself."""
        if self._listed is None:
            assert isinstance(self._space, CountableSpace)
            return np.array(self._space.index(archs), np.int64)
        return _found(*self._sorted, _keys(self._space, archs))

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.void] | Ints, Ints]:
        """Keys of the listed encodings in ascending order, and their rows."""
        assert self._listed is not None
        order = np.argsort(self._listed, kind="stable")
        return self._listed[order], order

    @cached_property
    def _first_of_network(self) -> dict[str, int]:
        """Row of the first listed architecture of each canonical form."""
        first: dict[str, int] = {}
        for row, arch in enumerate(self._each):
            first.setdefault(self._space.canonical(arch), row)
        return first

    def _of_networks(self, networks: tuple[Ints, Ints], archs: Archs) -> Ints:
        rows = np.full(len(archs), -1, np.int64)
        exists = self._space.exists(archs)
        rows[exists] = _found(*networks, self._space.canonical_keys(archs[exists]))
        return rows

    def _same_network(self, arch: Archs) -> int:
        key = arch.tobytes()
        if key not in self._by_canonical:
            exists = bool(self._space.exists(arch[None])[0])
            same = self._first_of_network.get(self._space.canonical(arch), -1) if exists else -1
            self._by_canonical[key] = same
        return self._by_canonical[key]


def _are_numbers(keys: NDArray[np.void] | Ints | None) -> bool:
    return keys is not None and keys.dtype == np.int64


def _first_rows(networks: Ints) -> tuple[Ints, Ints]:
    """Different ones of ``networks (rows,)``, ascending, and the first row of each."""
    if (networks[1:] > networks[:-1]).all():  # as tables are stored
        return networks, np.arange(len(networks))
    return np.unique(networks, return_index=True)


def _found(keys: NDArray[Any], rows: Ints, wanted: NDArray[Any]) -> Ints:
    """``(n,)`` row of each key that is ``wanted (n,)``; -1 where ascending ``keys`` lack it."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, rows[at], -1)


def _keys(space: SearchSpace, archs: Archs) -> NDArray[np.void] | Ints:
    """``(n,)`` sortable keys that two encodings share only if they are equal."""
    if isinstance(space, CountableSpace) and space.size < INT64:
        return np.asarray(space.index(archs), np.int64)
    whole = np.dtype([("", np.int64)] * archs.shape[1])
    if not len(archs):  # which cannot be seen as another type
        return np.empty(0, whole)
    return np.ascontiguousarray(archs, np.int64).view(whole)[:, 0]


def repeated(space: SearchSpace, archs: Archs) -> Archs | None:
    """``(L,)`` one of ``archs (n, L)`` that stands there more than once; None if none does."""
    keys = _keys(space, archs)
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    return archs[order[again[0]]] if len(again) else None


def coverage(space: SearchSpace, known: int) -> str | None:
    """How few architectures have figures, in words; None where all of the space have."""
    of_all = space.size if isinstance(space, CountableSpace) else None
    size = of_all if space.networks is None else space.networks
    if size is None:
        return f"{known:,} architectures"
    if known >= size:
        return None
    return f"{known:,} of {size:,} architectures ({min(100 * known / size, 99.9):.3g} %)"


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
