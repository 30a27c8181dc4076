"""NAS-Bench-101's cells: up to seven vertices, nine edges, three operations (423,624 cells)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.nets import nb101_cells as cells
from nasrun.nets.nb101_cells import INNER, MOST_EDGES, OPERATIONS, POSSIBLE, VERTICES
from nasrun.spaces.base import misplaced
from nasrun.spaces.constrained import TRIES, ConstrainedSpace
from nasrun.spaces.nb101_base import PATHS_KEPT, CellSpace, Encoding
from nasrun.spaces.nb101_draws import (
    TO_CHANGE,
    TO_DRAW,
    Mutation,
    Sampling,
    changed,
    drawn,
    path_sets,
)
from nasrun.spaces.nb101_notation import read_cell, write_cell
from nasrun.spec import Archs, Ints, Mask, Streams

NETWORKS = 423_624


@dataclass
class NB101(CellSpace, ConstrainedSpace):
    """The space of NAS-Bench-101 (Ying et al., ICML 2019), section 2.

    The decisions are the 21 possible edges, row by row, and the operations of the five inner
    vertices. Encodings are many more than cells: vertices on no path from input to output are
    dropped, what is left may have nine edges, and isomorphic cells are one network.

    ``sampling``, ``mutation`` and ``encoding`` are the three places in which White et al. compare
    encodings: where cells are drawn, where they are changed, and what a predictor learns on.
    """

    name: str = "nb101"
    encoding: Encoding = Encoding.onehot
    sampling: Sampling = Sampling.adjacency
    mutation: Mutation = Mutation.decision

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("0", "1"),) * POSSIBLE, *(OPERATIONS,) * INNER,
    )  # fmt: skip

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Whether each edge 0-1, 0-2, ..., 5-6 is there; then the operations of vertices 1 to 5."""
        return self._decisions

    @property
    def networks(self) -> int:
        """The published number of cells, which enumeration reaches."""
        return NETWORKS

    def matrices(self, archs: Archs) -> tuple[Mask, Ints]:
        """Adjacency ``(n, 7, 7)`` and operations ``(n, 5)`` of ``archs (n, 26)``, not pruned."""
        return cells.adjacency_of(archs[:, :POSSIBLE] == 1), archs[:, POSSIBLE:]

    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether a path leads from input to output, and at most nine edges are on any."""
        exists = super().exists(archs)
        left = self.cells(archs)[0].sum(axis=(1, 2))
        return exists & (left > 0) & (left <= MOST_EDGES)

    @property
    def limits(self) -> Mapping[str, object]:
        """None: no setting decides what exists."""
        return {}

    def sample(self, streams: Streams) -> Archs:
        """``(T, 26)`` random cells, drawn in the encoding ``sampling`` until they exist."""
        own = self.sampling.value
        if own in PATHS_KEPT:
            return path_sets(PATHS_KEPT[own]).sample(streams)
        size = TO_DRAW[own] + INNER
        return self._existing(
            len(streams), lambda trials: drawn(own, streams.uniform(size, trials))
        )

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, 26)`` cells that differ, changed in the encoding ``mutation`` until they exist.

        A cell that no other resembles but for one path has one decision changed.
        """
        own = self.mutation.value
        if self.mutation is Mutation.decision:
            return super().mutate(archs, streams)
        if own in PATHS_KEPT:
            mutants, alone = path_sets(PATHS_KEPT[own]).perturb(archs, streams)
            mutants[alone] = self._existing(
                len(alone), lambda at: self.changed(archs[alone[at]], streams, alone[at])
            )
            return mutants
        size = TO_CHANGE[own] + 2 * INNER
        return self._existing(
            len(archs), lambda trials: changed(own, archs[trials], streams.uniform(size, trials))
        )

    def _existing(self, count: int, draw: Callable[[Ints], Archs]) -> Archs:
        """``(count, 26)`` what ``draw`` gives for each row, again and again until it is a cell."""
        archs, missing = self._until_they_exist(count, draw)
        if len(missing):
            raise UnsupportedError(
                f"space={self.name}: none of {TRIES} random cells or changes exists: choose other "
                "space.sampling and space.mutation"
            )
        return archs

    def text(self, arch: Archs) -> str:
        """Matrix and operations as in the official file, unused vertices included."""
        [matrix], [operations] = self.matrices(arch[None])
        return write_cell(matrix.tolist(), [cells.INPUT, *operations.tolist(), cells.OUTPUT])

    def parse(self, text: str) -> Archs:
        """``(26,)`` architecture of a text, or of another notation of ``nb101_notation.read_cell``.

        A cell of fewer than seven vertices gets unused ones before its output.

        Raises:
            ConfigError: not in the format, or no cell of the space; the message shows the place.
        """
        matrix, labels = read_cell(text)
        arch = arch_of(np.array(matrix, np.int64), np.array(labels, np.int64))
        if not self.exists(arch[None])[0]:
            edges = int(self.cells(arch[None])[0].sum())
            found = f"{edges} edges, of at most {MOST_EDGES}," if edges else "no path to the output"
            raise misplaced("a NAS-Bench-101", text, 0, found)
        return arch


def arch_of(matrix: Ints, labels: Ints) -> Archs:
    """``(26,)`` the encoding of a cell of ``matrix (v, v)`` and ``labels (v,)``, v at most 7.

    Its output is moved to vertex 6; vertices that it has not are unused, with the first operation.
    """
    place = np.append(np.arange(len(matrix) - 1), VERTICES - 1)
    adjacency = np.zeros((VERTICES, VERTICES), np.int64)
    adjacency[np.ix_(place, place)] = matrix
    arch = np.zeros(POSSIBLE + INNER, np.int64)
    arch[:POSSIBLE] = adjacency[cells.SOURCES, cells.TARGETS]
    arch[POSSIBLE : POSSIBLE + len(matrix) - 2] = labels[1:-1]
    return arch
