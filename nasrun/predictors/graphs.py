"""Architectures as graphs with names on their vertices, for kernels and graph networks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spec import Archs, Dag, Ints, Mask, SearchSpace

NONE = frozenset({"none", "zero"})
SKIP = frozenset({"skip_connect", "skip", "identity"})
INPUTS = ("input", "state")  # how names of what a cell is given begin


class Graphs:
    """The graphs of a space: its cells, or else its decisions in a line.

    Where a space has no cells, or graphs that leave a decision out, every decision is a vertex that
    leads to the next, and what stands on it is the option chosen there: what is known of such a
    space is the order of its parts.

    Args:
        space: the space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        try:
            self.names, self.cells = space.dag_operations, space.dag_says_all
        except UnsupportedError:
            self.names, self.cells = (), False
        if not self.cells:
            space.require_encoding(None)  # genomes have no decisions either
            pairs = enumerate(space.decisions)
            self.names = tuple(f"{at}:{option}" for at, own in pairs for option in own)

    def __call__(self, archs: Archs) -> Dag:
        """Graphs of ``archs (n, L)``."""
        if self.cells:
            return self._space.dag(archs)
        n, length = archs.shape
        first = np.concatenate([[0], np.cumsum(self._space.arity)[:-1]])
        line = np.eye(length, k=1, dtype=np.bool_)
        return Dag(np.broadcast_to(line, (n, length, length)), archs + first)


class Pruned(NamedTuple):
    """What is left of graphs: ``adjacency (n, V, V)``, ``labels (n, V)``, -1 where nothing is."""

    adjacency: Mask
    labels: Ints

    def alone(self, at: int) -> "Pruned":
        """The graph with this number, ``(V', V')`` and ``(V',)``, of the vertices left."""
        kept = self.labels[at] >= 0
        return Pruned(self.adjacency[at][np.ix_(kept, kept)], self.labels[at, kept])


class Pruning:
    """Deletes what an architecture does not compute, and contracts what does nothing.

    Vertices of ``none`` go; those that skip hand on what they get; of the rest, what lies on no way
    from an input to an output goes, where inputs and outputs stay. Of a line of decisions, which
    has no inputs, all stay. Ru et al., "Interpretable Neural Architecture Search via Bayesian
    Optimisation with Weisfeiler-Lehman Kernels" (ICLR 2021), do so in NAS-Bench-201.

    Args:
        names: of what stands on vertices.
    """

    def __init__(self, names: Sequence[str]) -> None:
        def those(test: Callable[[str], bool], absent: bool) -> Mask:
            return np.array([*(test(name) for name in names), absent])  # -1 finds the last one

        self._inputs = those(lambda name: name.startswith(INPUTS), False)
        self._skips = those(lambda name: name in SKIP, False)
        self._gone = those(lambda name: name in SKIP | NONE, True)

    def __call__(self, adjacency: Mask, operations: Ints) -> Pruned:
        """Graphs of ``adjacency (n, V, V)`` and ``operations (n, V)``, -1 where there is none."""
        present = operations >= 0
        inputs, gone = self._inputs[operations], self._gone[operations]
        outputs = ~adjacency.any(axis=2) & present
        edges = self._contracted(adjacency, self._skips[operations], gone)
        reached, useful = inputs.copy(), outputs.copy()
        for vertex in range(operations.shape[1]):  # edges lead to later vertices
            reached[:, vertex] |= (edges[:, :, vertex] & reached).any(axis=1)
        for vertex in reversed(range(operations.shape[1])):
            useful[:, vertex] |= (edges[:, vertex] & useful).any(axis=1)
        line = ~np.logical_or.reduce(inputs, axis=1)[:, None]
        kept = np.where(line, present, (reached & useful & ~gone) | inputs | outputs)
        edges = np.where(line[:, :, None], adjacency, edges) & kept[:, :, None] & kept[:, None, :]
        return Pruned(edges, np.where(kept, operations, -1))

    @staticmethod
    def _contracted(adjacency: Mask, skips: Mask, gone: Mask) -> Mask:
        """``(n, V, V)`` the edges without vertices that are ``gone``, past those that skip."""
        edges = adjacency.copy()
        for vertex in range(edges.shape[1]):
            past = edges[:, :, vertex, None] & edges[:, vertex, None, :]
            edges |= past & skips[:, vertex, None, None]
            edges[gone[:, vertex], vertex] = False
            edges[gone[:, vertex], :, vertex] = False
        return edges
