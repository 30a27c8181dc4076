"""OTMANN: how far apart networks are, by optimal transport of what their layers compute."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from nasrun.predictors.graphs import INPUTS, Graphs, Pruned, Pruning
from nasrun.spec import Archs, Floats, Mask, SearchSpace

END_SHARE = 0.1  # mass of the inputs, and of the outputs, by that of the operations
POOL_APART = 0.5  # cost of one kind of pooling for another
NEVER = np.inf  # cost of layers that have nothing in common
MOST_PAIRS = 1_000_000  # distances that are remembered


def mislabel(a: str, b: str) -> float:
    """What it costs that one layer computes ``a`` and the other ``b``, between 0 and 1, or never.

    Convolutions differ by the root of the difference of their kernels, times √2/10 (at least 0.1
    if they are of different kinds; the authors: 0.1 more than 0.9 times that); poolings by 0.5;
    other operations are alike if they are equal.
    """
    if a == b:
        return 0.0
    if "conv" in a and "conv" in b:
        apart = abs(_kernel(a) - _kernel(b))
        return float(max(np.sqrt(2.0) / 10.0 * np.sqrt(apart), 0.1))
    return POOL_APART if "pool" in a and "pool" in b else NEVER


def _kernel(name: str) -> int:
    found = re.search(r"\d+", name.rpartition(":")[2])  # what stands before is a decision's place
    return int(found.group()) if found else 1


def path_lengths(edges: Mask) -> Floats:
    """``(V, 3)`` layers on the shortest, the longest and a random way that leads to each vertex.

    Edges ``(V, V)`` lead to later vertices. A random walk goes back to each predecessor at even
    odds. Vertices without one have 0.
    """
    lengths = np.zeros((len(edges), 3))
    for vertex in range(len(edges)):
        before = lengths[np.flatnonzero(edges[:, vertex])]
        if len(before):
            own = before[:, 0].min(), before[:, 1].max(), before[:, 2].mean()
            lengths[vertex] = 1.0 + np.array(own)
    return lengths


@dataclass(frozen=True)
class Layers:
    """A network's layers: names, masses ``(V,)``, and path lengths ``(V, 6)`` to both ends."""

    names: Sequence[str]
    masses: Floats
    lengths: Floats

    @classmethod
    def of(cls, graph: Pruned, names: Sequence[str]) -> "Layers":
        """Those of a graph: an operation weighs 1, its inputs a tenth of all of them, or outputs.

        A space of decisions in a line has neither. The graph stands ``alone``.
        """
        own = [names[int(label)] for label in graph.labels]
        inputs = np.array([name.startswith(INPUTS) for name in own], np.bool_)
        outputs = ~graph.adjacency.any(axis=1) & ~inputs & inputs.any()
        inner = ~(inputs | outputs)
        share = END_SHARE * inner.sum()
        masses = np.ones(len(own))
        for ends in (inputs, outputs):
            masses[ends] = share / max(int(ends.sum()), 1)
        edges = graph.adjacency
        back = path_lengths(edges.T[::-1, ::-1])[::-1]
        return cls(own, masses, np.concatenate([path_lengths(edges), back], axis=1))


def distance(a: Layers, b: Layers, structural: float) -> float:
    """The least cost of moving ``a``'s masses onto ``b``'s.

    A unit costs ``mislabel`` and ``structural`` times the mean difference of its path lengths;
    one that is left out, on either side, costs 1. All operations weigh the same, and ends can only
    go to those of their name, so that the linear programme is one of assignment. Where a network
    has several ends of one name, which may weigh more than the other's, each goes to one alone.
    """
    cost = np.array([[mislabel(i, j) for j in b.names] for i in a.names]).reshape(
        len(a.names), len(b.names)
    )
    apart = np.abs(a.lengths[:, None] - b.lengths[None]).mean(axis=2)
    saved = np.maximum(2.0 - (cost + structural * apart), 0.0)  # by moving, not leaving out
    mass = np.minimum(a.masses[:, None], b.masses[None])
    rows, columns = linear_sum_assignment(saved * mass, maximize=True)
    return float(a.masses.sum() + b.masses.sum() - (saved * mass)[rows, columns].sum())


class Distances:
    """Distances of a space's architectures, remembered by the pruned graphs of a pair.

    Args:
        space: of the architectures.
        structural: weights of path lengths, a distance for each.
    """

    def __init__(self, space: SearchSpace, structural: Sequence[float]) -> None:
        self._graphs, self._structural = Graphs(space), structural
        self._pruned = Pruning(self._graphs.names)
        self._layers: dict[bytes, Layers] = {}
        self._by_arch: dict[bytes, bytes] = {}
        self._pairs: dict[tuple[bytes, bytes], tuple[float, ...]] = {}

    def __call__(self, a: Archs, b: Archs) -> tuple[Floats, Floats]:
        """Distances ``(S, T, N, M)`` of ``a (T, N, L)`` and ``b (T, M, L)``, and their masses.

        Masses ``(T, N, M)`` are those of both networks of a pair together.
        """
        ours, theirs = self._keys(a), self._keys(b)
        found = np.zeros((len(self._structural), len(a), a.shape[1], b.shape[1]))
        mass = np.zeros(found.shape[1:])
        for trial, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            for i, first in enumerate(own):
                for j, second in enumerate(other):
                    found[:, trial, i, j] = self._of(first, second)
                    pair = self._layers[first].masses.sum(), self._layers[second].masses.sum()
                    mass[trial, i, j] = sum(pair)
        return found, mass

    def _of(self, first: bytes, second: bytes) -> tuple[float, ...]:
        pair = (first, second) if first <= second else (second, first)
        if pair not in self._pairs:
            if len(self._pairs) >= MOST_PAIRS:
                self._pairs.clear()
            one, other = (self._layers[key] for key in pair)
            self._pairs[pair] = tuple(distance(one, other, own) for own in self._structural)
        return self._pairs[pair]

    def _keys(self, archs: Archs) -> list[list[bytes]]:
        """The keys of each trial's graphs."""
        flat = np.ascontiguousarray(archs.reshape(-1, archs.shape[-1]))
        texts = [arch.tobytes() for arch in flat]
        new = {text: at for at, text in enumerate(texts) if text not in self._by_arch}
        if new:
            pruned = self._pruned(*self._graphs(flat[list(new.values())]))
            for number, text in enumerate(new):
                graph = pruned.alone(number)
                key = graph.labels.tobytes() + graph.adjacency.tobytes()
                self._by_arch[text] = key
                if key not in self._layers:
                    self._layers[key] = Layers.of(graph, self._graphs.names)
        width = archs.shape[1]
        keys = [self._by_arch[text] for text in texts]
        return [keys[at : at + width] for at in range(0, len(keys), width)]
