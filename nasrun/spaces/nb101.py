"""NAS-Bench-101's cell: up to seven vertices, nine edges, three operations (423,624 cells)."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.spaces import nb101_cells as cells
from nasrun.spaces.base import misplaced
from nasrun.spaces.constrained import ConstrainedSpace
from nasrun.spaces.nb101_cells import INNER, MOST_EDGES, OPERATIONS, POSSIBLE, VERTICES
from nasrun.spaces.nb101_notation import read_cell, write_cell
from nasrun.spaces.nb101_size import footprint
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

CHANNELS, STACKS, CELLS = 128, 3, 3  # of the first stack; cells of each
NETWORKS = 423_624
PATHS_KEPT = {"path": cells.PATHS, "truncated_path": cells.SHORT_PATHS}  # features
LABELS = {"conv3x3-bn-relu": "3x3", "conv1x1-bn-relu": "1x1", "maxpool3x3": "pool"}  # in drawings


class Encoding(Enum):
    """The encodings of cells in White et al., "A Study on Neural Architecture Encodings"."""

    onehot = "onehot"  # 57 features: the decisions, those on unused vertices included
    adjacency = "adjacency"  # 56 features: edges and operations of ``dag``
    categorical = "categorical"  # 28 features: numbers of the edges that are there, operations
    continuous = "continuous"  # 57 features: adjacency and the number of edges
    path = "path"  # 364 features: which sequences of operations lead from input to output
    truncated_path = "truncated_path"  # the first 40 of them: up to three operations


@dataclass
class NB101(ConstrainedSpace):
    """The space of NAS-Bench-101 (Ying et al., ICML 2019), section 2.

    The decisions are the 21 possible edges, row by row, and the operations of the five inner
    vertices. Encodings are many more than cells: vertices on no path from input to output are
    dropped, what is left may have nine edges, and isomorphic cells are one network.
    """

    name: str = "nb101"
    encoding: Encoding = Encoding.onehot

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

    @property
    def encodings(self) -> tuple[str, ...]:
        """Those of White et al.; the configured one comes first."""
        return tuple(sorted((each.value for each in Encoding), key=self.encoding.value.__ne__))

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` one-hot decisions, paths, or the pruned graph: see ``Encoding``.

        White et al. encode cells as they were drawn; here what pruning drops is left out, because
        it changes no network.
        """
        name = self.require_encoding(encoding)
        if name not in PATHS_KEPT:
            return super().encode(archs, name)
        found = cells.paths(*self.cells(archs.reshape(-1, archs.shape[-1])))
        return found[:, : PATHS_KEPT[name]].reshape(*archs.shape[:-1], -1)

    def cells(self, archs: Archs) -> tuple[Mask, Ints]:
        """Pruned adjacency ``(n, 7, 7)`` and operations ``(n, 5)`` of ``archs (n, 26)``."""
        edges, operations = archs[:, :POSSIBLE] == 1, archs[:, POSSIBLE:]
        return cells.pruned(cells.adjacency_of(edges)), operations

    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether a path leads from input to output, and at most nine edges are on any."""
        exists = super().exists(archs)
        left = self.cells(archs)[0].sum(axis=(1, 2))
        return exists & (left > 0) & (left <= MOST_EDGES)

    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (26,)`` that isomorphic cells share: 423,624 keys, in hexadecimal digits.

        The benchmark trained one of them and takes its figures for all. They are not quite the same
        network: where 128 channels do not divide among the vertices that feed the output, the first
        ones are wider.
        """
        return f"{self.canonical_keys(arch[None])[0].astype(np.uint64):016x}"

    def canonical_keys(self, archs: Archs) -> Ints:
        """``(n,)`` the keys of ``archs (n, 26)`` as numbers."""
        return cells.keys(*self.cells(archs))

    def text(self, arch: Archs) -> str:
        """Matrix and operations as in the official file, unused vertices included."""
        matrix = cells.adjacency_of(arch[None, :POSSIBLE] == 1)[0]
        return write_cell(matrix.tolist(), [cells.INPUT, *arch[POSSIBLE:].tolist(), cells.OUTPUT])

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
            why = f"it has {edges} edges, of at most {MOST_EDGES}," if edges else (
                "no path leads from input to output"
            )  # fmt: skip
            raise misplaced("a NAS-Bench-101", text, len(text) - len(text.lstrip()), why)
        return arch

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the three operations."""
        return ("input", "output", *OPERATIONS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 26)`` as pruned graphs of seven vertices, of which unused ones have -1.

        The input is vertex 0 and the output vertex 6 of every graph.
        """
        adjacency, operations = self.cells(archs)
        kinds = np.zeros((len(archs), VERTICES), np.int64)
        kinds[:, 1:-1], kinds[:, -1] = operations + 2, 1
        return Dag(adjacency, np.where(cells.used_vertices(adjacency), kinds, -1))

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions of the network that was trained.

        Parameters equal the official field ``trainable_parameters``. FLOPs are counted as in
        NAS-Bench-201's records; the benchmark publishes none.
        """
        return footprint(self.cells(archs), CHANNELS, STACKS * [CELLS], task)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (26,)``: 3 cells a stack, first 128 channels wide."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb101 import Network

        [adjacency], [operations] = self.cells(arch[None])
        stacks = STACKS * [scale.cells or CELLS]
        channels = scale.channels or CHANNELS
        return Network(adjacency, operations, channels, stacks, objective_of(task))

    def graph(self, arch: Archs) -> Edges:
        """The cell that is left after pruning; a node names its vertex and its operation."""
        [adjacency], [operations] = self.cells(arch[None])
        inner = [f"{at}:{LABELS[OPERATIONS[o]]}" for at, o in enumerate(operations, start=1)]
        names = ["in", *inner, "out"]
        return [
            (names[source], names[target], "" if source else "1x1 projection")
            for source, target in np.argwhere(adjacency).tolist()
        ]


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
