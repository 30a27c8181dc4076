"""NAS-Bench-1Shot1's three sub-spaces of NAS-Bench-101: cells of fixed in-degrees."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from nasrun.errors import ConfigError
from nasrun.nets import nb101_cells as cells
from nasrun.nets.nb101_cells import INNER, OPERATIONS, VERTICES
from nasrun.spaces.base import misplaced
from nasrun.spaces.nb101_base import CellSpace, Encoding
from nasrun.spaces.nb101_notation import read_cell, write_cell
from nasrun.spec import Archs, Ints, Mask

# Edges that enter each vertex, the input first and the output last, by the number of a sub-space.
IN_DEGREES = {1: (0, 1, 2, 2, 2, 2), 2: (0, 1, 1, 2, 2, 3), 3: (0, 1, 1, 1, 2, 2, 2)}
# Different networks of each, counted by their keys.
NETWORKS = {1: 2_685, 2: 7_773, 3: 55_854}


@dataclass
class NB1Shot1(CellSpace):
    """A sub-space of Zela et al., "NAS-Bench-1Shot1" (ICLR 2020), section 3.

    Vertex by vertex, the decisions are which earlier vertices lead to it, where it may choose, and
    its operation; last, those that lead to the output. Encodings are 14,580, 29,160 and 1,312,200.
    The authors print 6,240, 29,160 and 363,648 architectures, and do not say how the first and the
    last were counted. A vertex that nothing reads (a loose end) is pruned, as NAS-Bench-101 does.

    Raises:
        ConfigError: a sub-space other than 1, 2 and 3.
    """

    name: str = "nb1shot1_1"
    sub_space: int = 1
    encoding: Encoding = Encoding.onehot

    def __post_init__(self) -> None:
        if self.sub_space not in IN_DEGREES:
            raise ConfigError(f"space.sub_space must be 1, 2 or 3, got {self.sub_space}")

    @property
    def networks(self) -> int:
        """How many cells of NAS-Bench-101 the sub-space holds."""
        return NETWORKS[self.sub_space]

    @cached_property
    def _parents(self) -> list[list[tuple[int, ...]]]:
        """What may lead to each vertex, from vertex 1 to the output."""
        degrees = IN_DEGREES[self.sub_space]
        return [list(combinations(range(at), degrees[at])) for at in range(1, len(degrees))]

    @cached_property
    def _places(self) -> list[tuple[int | None, int | None]]:
        """Decisions of each vertex from 1 on: its parents, if it may choose, and its operation."""
        found, at = list[tuple[int | None, int | None]](), 0
        for vertex, parents in enumerate(self._parents, start=1):
            chooses, operates = len(parents) > 1, vertex < len(self._parents)
            found.append((at if chooses else None, at + chooses if operates else None))
            at += chooses + operates
        return found

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        found = list[tuple[str, ...]]()
        for options, (chosen, operation) in zip(self._parents, self._places, strict=True):
            if chosen is not None:
                found.append(tuple("+".join(map(str, parents)) for parents in options))
            if operation is not None:
                found.append(OPERATIONS)
        return tuple(found)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Parents (``0+2``: vertices 0 and 2) and operation of each vertex, where there is any."""
        return self._decisions

    def matrices(self, archs: Archs) -> tuple[Mask, Ints]:
        """Adjacency ``(n, 7, 7)`` and operations ``(n, 5)`` of ``archs (n, L)``, not pruned.

        In sub-spaces of four operations vertex 5 is unused.
        """
        n, last = len(archs), len(self._parents)
        adjacency = np.zeros((n, VERTICES, VERTICES), np.bool_)
        operations = np.zeros((n, INNER), np.int64)
        places = zip(self._parents, self._places, strict=True)
        for vertex, (options, (chosen, operation)) in enumerate(places, start=1):
            parents = np.zeros((len(options), VERTICES), np.bool_)
            for option, own in enumerate(options):
                parents[option, list(own)] = True
            target = vertex if vertex < last else VERTICES - 1
            adjacency[:, :, target] = parents[0 if chosen is None else archs[:, chosen]]
            if operation is not None:
                operations[:, vertex - 1] = archs[:, operation]
        return adjacency, operations

    def text(self, arch: Archs) -> str:
        """Matrix and operations as in NAS-Bench-101's file, loose ends included."""
        [matrix], [operations] = self.matrices(arch[None])
        inner = len(self._parents) - 1
        own = [*range(inner + 1), VERTICES - 1]
        labels = [cells.INPUT, *operations[:inner].tolist(), cells.OUTPUT]
        return write_cell(matrix[np.ix_(own, own)].tolist(), labels)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text, or of another notation of ``nb101_notation.read_cell``.

        Raises:
            ConfigError: not in the format, or a cell with other in-degrees; says where.
        """
        matrix, labels = read_cell(text)
        degrees = tuple(map(sum, zip(*matrix, strict=True)))
        wanted = IN_DEGREES[self.sub_space]
        if degrees != wanted:
            why = f"expected vertices of in-degrees {wanted}, found {degrees}"
            raise misplaced(f"a space={self.name}", text, 0, why)
        arch = np.zeros(len(self.decisions), np.int64)
        places = zip(self._parents, self._places, strict=True)
        for vertex, (options, (chosen, operation)) in enumerate(places, start=1):
            if chosen is not None:
                parents = tuple(at for at in range(vertex) if matrix[at][vertex])
                arch[chosen] = options.index(parents)
            if operation is not None:
                arch[operation] = labels[vertex]
        return arch
