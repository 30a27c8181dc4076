"""Architectures as graphs with names on their vertices, for kernels and graph networks."""

from dataclasses import dataclass
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
    """A graph of what an architecture computes: ``adjacency (V, V)`` and ``labels (V,)``."""

    adjacency: Mask
    labels: Ints


@dataclass(frozen=True)
class Pruning:
    """Deletes what an architecture does not compute, and contracts what does nothing.

    Vertices of ``none`` go; those that skip hand on what they get; of the rest, what lies on no way
    from an input to an output goes, where inputs and outputs stay. Ru et al., "Interpretable Neural
    Architecture Search via Bayesian Optimisation with Weisfeiler-Lehman Kernels" (ICLR 2021), do so
    in NAS-Bench-201.

    Args:
        names: of what stands on vertices.
    """

    names: tuple[str, ...]

    def __call__(self, adjacency: Mask, operations: Ints) -> Pruned:
        """The graph of ``adjacency (V, V)`` and ``operations (V,)``, -1 where there is none."""
        inputs = np.array([op >= 0 and self.names[op].startswith(INPUTS) for op in operations])
        outputs = ~adjacency.any(axis=1) & (operations >= 0)
        if not inputs.any():  # a line of decisions, of which every one counts
            kept = operations >= 0
            return Pruned(adjacency[np.ix_(kept, kept)], operations[kept])
        edges = adjacency.copy()
        gone = operations < 0
        for vertex, operation in enumerate(operations):
            name = self.names[operation] if operation >= 0 else ""
            if name in SKIP:
                edges |= edges[:, [vertex]] & edges[[vertex], :]
            if name in SKIP or name in NONE or operation < 0:
                edges[vertex], edges[:, vertex] = False, False
                gone[vertex] = True
        reached, useful = inputs.copy(), outputs.copy()
        for vertex in range(len(operations)):  # edges lead to later vertices
            reached[vertex] |= (edges[:, vertex] & reached).any()
        for vertex in reversed(range(len(operations))):
            useful[vertex] |= (edges[vertex] & useful).any()
        kept = (reached & useful & ~gone) | inputs | outputs
        return Pruned(edges[np.ix_(kept, kept)], operations[kept])
