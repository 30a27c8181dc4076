"""Architectures of a space as graphs that networks read and write, and back."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from nasrun.spec import Archs, Dag, Ints, Mask, SearchSpace


class Graphs(ABC):
    """Graphs of ``vertices`` vertices each: the first of type 0, the last of type 1.

    ``types`` is how many types of vertices there are, those two included.
    """

    types: int
    vertices: int
    _space: SearchSpace

    @abstractmethod
    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs."""

    @abstractmethod
    def options(self, types: Ints) -> Archs:
        """``(n, L)`` architectures with ``types (n, V)`` of vertices, where there are any."""

    def archs(self, dag: Dag) -> tuple[Archs, Mask]:
        """``(n, L)`` architectures of graphs, and ``(n,)`` which graphs have one.

        Every vertex and every edge has to be right; the authors look at the vertices alone.
        """
        archs = self.options(dag.operations)
        true = self.dag(archs)
        same = (true.operations == dag.operations).all(1)
        same &= (true.adjacency == dag.adjacency).all((1, 2))
        return archs, same & self._space.exists(archs)

    def tensors(self, archs: Archs) -> tuple[Tensor, Tensor]:
        """``adjacency (n, V, V)`` in float32 and ``types (n, V)`` of ``archs (n, L)``."""
        dag = self.dag(archs)
        return torch.from_numpy(dag.adjacency).float(), torch.from_numpy(dag.operations)


class Cells(Graphs):
    """The graphs of a space whose operations decide, in a chain from start to end.

    Edges between operations are those of ``dag``, and each vertex leads to the next, too; others
    from the start or to the end are left out. On NAS-Bench-201 these are the eleven edges of the
    authors' graphs. Without the chain the state of a vertex would not know the vertices before it,
    so that a decoder could neither count them nor make one depend on another.

    Args:
        space: such as NAS-Bench-201.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.types = len(space.dag_operations)
        self.vertices = space.dag(np.zeros((1, len(space.decisions)), np.int64)).operations.shape[1]

    def dag(self, archs: Archs) -> Dag:
        """Edges between operations, and from each vertex to the next."""
        own = self._space.dag(archs)
        adjacency = np.repeat(np.eye(self.vertices, k=1, dtype=np.bool_)[None], len(archs), axis=0)
        adjacency[:, 1:-1, 1:-1] |= own.adjacency[:, 1:-1, 1:-1]
        return Dag(adjacency, own.operations)

    def options(self, types: Ints) -> Archs:
        """``(n, L)`` architectures with ``types (n, V)`` of vertices, where there are any."""
        return self._space.of_vertices(types)


class Chain(Graphs):
    """Decisions in a row, for spaces without graphs, or whose graphs cannot be undone.

    A vertex is a decision, its type the option: the number of a type is the option's plus two.

    The authors' code has MobileNetV3's networks in a row, too ([MC] ``MetaD2A_mobilenetV3``; the
    paper does not say how). A vertex there is a layer, whose type is one of 27 joint ones of depth,
    kernel and expansion, and a stage whose layers name different depths is no architecture. Here
    each of these is a vertex of its own.

    Args:
        space: any with a fixed number of decisions.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.types = 2 + int(space.arity.max())
        self.vertices = 2 + len(space.arity)

    def dag(self, archs: Archs) -> Dag:
        """Start, the decisions, end: each leads to the next."""
        row = np.eye(self.vertices, k=1, dtype=np.bool_)
        ends = np.zeros((len(archs), 1), np.int64)
        types = np.concatenate([ends, 2 + archs, ends + 1], axis=1)
        return Dag(np.repeat(row[None], len(archs), axis=0), types)

    def options(self, types: Ints) -> Archs:
        """``(n, L)`` architectures with ``types (n, V)`` of vertices, where there are any."""
        return np.clip(types[:, 1:-1] - 2, 0, self._space.arity - 1)


def graphs_of(space: SearchSpace) -> Graphs:
    """The graphs in which networks read and write the architectures of a space."""
    undone = type(space).of_vertices is not SearchSpace.of_vertices
    return Cells(space) if undone else Chain(space)
