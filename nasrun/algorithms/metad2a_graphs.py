"""Architectures of a space as graphs that networks read and write, and back."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from nasrun.spec import Archs, Dag, Mask, SearchSpace


class Graphs(ABC):
    """Graphs of ``vertices`` vertices each: the first of type 0, the last of type 1.

    ``types`` is how many types of vertices there are, those two included.
    """

    types: int
    vertices: int

    @abstractmethod
    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs."""

    @abstractmethod
    def archs(self, dag: Dag) -> tuple[Archs, Mask]:
        """``(n, L)`` architectures of graphs, and ``(n,)`` which graphs have one."""

    def tensors(self, archs: Archs) -> tuple[Tensor, Tensor]:
        """``adjacency (n, V, V)`` in float32 and ``types (n, V)`` of ``archs (n, L)``."""
        dag = self.dag(archs)
        return torch.from_numpy(dag.adjacency).float(), torch.from_numpy(dag.operations)


class Cells(Graphs):
    """The graphs of a space whose ``dag`` can be undone.

    Args:
        space: such as NAS-Bench-201.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.types = len(space.dag_operations)
        self.vertices = space.dag(np.zeros((1, len(space.decisions)), np.int64)).operations.shape[1]

    def dag(self, archs: Archs) -> Dag:
        """The space's own graphs."""
        return self._space.dag(archs)

    def archs(self, dag: Dag) -> tuple[Archs, Mask]:
        """``(n, L)`` architectures of graphs, and ``(n,)`` which graphs have one."""
        archs, valid = self._space.of_dag(dag)
        return archs, valid & self._space.exists(archs)


class Chain(Graphs):
    """Decisions in a row, as the paper has those of MobileNetV3 (Appendix of Lee et al.).

    For spaces without graphs, or whose graphs cannot be undone. A vertex is a decision, its type
    the option: the number of a type is the option's plus two.

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

    def archs(self, dag: Dag) -> tuple[Archs, Mask]:
        """``(n, L)`` architectures of graphs, and ``(n,)`` which graphs have one."""
        options = np.clip(dag.operations[:, 1:-1] - 2, 0, self._space.arity - 1)
        true = self.dag(options)
        same = (true.operations == dag.operations).all(1)
        same &= (true.adjacency == dag.adjacency).all((1, 2))
        return options, same & self._space.exists(options)


def graphs_of(space: SearchSpace) -> Graphs:
    """The graphs in which networks read and write the architectures of a space."""
    undone = type(space).of_dag is not SearchSpace.of_dag
    return Cells(space) if undone else Chain(space)
