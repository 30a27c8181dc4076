"""What the spaces of NAS-Bench-101's cells share: keys, graphs, encodings, networks."""

from abc import abstractmethod
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from nasrun.nets import nb101_cells as cells
from nasrun.nets.nb101_cells import OPERATIONS, VERTICES
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.nb101_size import footprint
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

CHANNELS, STACKS, CELLS = 128, 3, 3  # of the first stack; cells of each
PATHS_KEPT = {"path": cells.PATHS, "truncated_path": cells.SHORT_PATHS}  # features
SHORT = {"conv3x3-bn-relu": "3x3", "conv1x1-bn-relu": "1x1", "maxpool3x3": "pool"}  # in drawings


class Encoding(Enum):
    """The encodings of cells in White et al., "A Study on Neural Architecture Encodings"."""

    onehot = "onehot"  # the decisions, those on unused vertices included
    adjacency = "adjacency"  # 56 features: edges and operations of ``dag``
    categorical = "categorical"  # 28 features: numbers of the edges that are there, operations
    continuous = "continuous"  # 57 features: adjacency and the number of edges
    path = "path"  # 364 features: which sequences of operations lead from input to output
    truncated_path = "truncated_path"  # the first 40 of them: up to three operations


class CellSpace(CategoricalSpace):
    """A space whose architectures are cells of NAS-Bench-101; a subclass says which.

    ``encoding`` is the default one.
    """

    encoding: Encoding

    @property
    def whole(self) -> "CellSpace":
        """The space of all of the benchmark's cells."""
        from nasrun.spaces.nb101 import NB101

        return NB101()

    @abstractmethod
    def matrices(self, archs: Archs) -> tuple[Mask, Ints]:
        """Adjacency ``(n, 7, 7)`` and operations ``(n, 5)`` of ``archs (n, L)``, not pruned."""

    def cells(self, archs: Archs) -> tuple[Mask, Ints]:
        """Pruned adjacency ``(n, 7, 7)`` and operations ``(n, 5)`` of ``archs (n, L)``."""
        adjacency, operations = self.matrices(archs)
        return cells.pruned(adjacency), operations

    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (L,)`` that isomorphic cells share, in hexadecimal digits.

        The benchmark trained one of them and takes its figures for all. They are not quite the same
        network: where channels do not divide among the vertices that feed the output, the first
        ones are wider.
        """
        return f"{self.canonical_keys(arch[None])[0].astype(np.uint64):016x}"

    def canonical_keys(self, archs: Archs) -> Ints:
        """``(n,)`` the keys of ``archs (n, L)`` as numbers, equal in all such spaces."""
        return cells.keys(*self.cells(archs))

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

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the three operations."""
        return ("input", "output", *OPERATIONS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as pruned graphs of seven vertices, of which unused ones have -1.

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
        """The benchmark's network of ``arch (L,)``: 3 cells a stack, first 128 channels wide."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb101 import Network

        [adjacency], [operations] = self.cells(arch[None])
        stacks = STACKS * [scale.cells or CELLS]
        channels = scale.channels or CHANNELS
        return Network(adjacency, operations, channels, stacks, objective_of(task))

    def graph(self, arch: Archs) -> Edges:
        """The cell that is left after pruning; a node names its vertex and its operation."""
        [adjacency], [operations] = self.cells(arch[None])
        inner = [f"{at}:{SHORT[OPERATIONS[o]]}" for at, o in enumerate(operations, start=1)]
        names = ["in", *inner, "out"]
        return [
            (names[source], names[target], "" if source else "1x1 projection")
            for source, target in np.argwhere(adjacency).tolist()
        ]
