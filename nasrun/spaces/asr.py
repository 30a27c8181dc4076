"""NAS-Bench-ASR's space: a cell of three operations with skips (13,824 encodings, 8,242 models)."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import ClassVar

import numpy as np

from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spec import Archs, Dag, Edges, Mask

OPERATIONS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
ZERO = OPERATIONS.index("zero")
NODES = 3
SKIPS = ("0", "1")
FIRST = tuple(node + node * (node + 1) // 2 for node in range(NODES))  # decision of each operation
VERTICES = NODES + 2


@dataclass
class ASR(CategoricalSpace):
    """The space of Mehrotra et al., "NAS-Bench-ASR" (ICLR 2021), section 3.1.

    Node k has an operation, and a bit for each of the k + 1 vertices before it (the input, earlier
    nodes): whether that one is added to the node's output. Its networks take audio and are not
    built here.
    """

    name: str = "asr"

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        options for node in range(NODES) for options in (OPERATIONS, *[SKIPS] * (node + 1))
    )

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Per node its operation, then a bit for each vertex before it."""
        return self._decisions

    def text(self, arch: Archs) -> str:
        """The authors' nested list: ``[[0, 1], [5, 1, 0], [3, 1, 1, 1]]``."""
        numbers = arch.tolist()
        return str([numbers[at : at + 2 + node] for node, at in enumerate(FIRST)])

    def parse(self, text: str) -> Archs:
        """``(9,)`` architecture of such a list, in brackets of either kind.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner, found = Scanner("a NAS-Bench-ASR", text), list[int]()
        outer = scanner.opened()
        for node in range(NODES):
            if node:
                scanner.expect(",")
            inner = scanner.opened()
            for place in range(node + 2):
                if place:
                    scanner.expect(",")
                scanner.blanks()
                found.append(scanner.digit(len(SKIPS) if place else len(OPERATIONS)))
            scanner.closed(inner)
        scanner.closed(outer)
        scanner.end("list")
        return np.array(found, np.int64)

    def canonical(self, arch: Archs) -> str:
        """Key of the cell without what is zero or leads nowhere; isomorphic cells share it.

        The smallest of all numberings of the operations that are left: at most six.
        """
        return _key(tuple(arch.tolist()))

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 9)`` as graphs of five vertices: input, the three operations, output."""
        ends = np.zeros((len(archs), 1), np.int64)
        operations = np.concatenate([ends, 2 + archs[:, FIRST], ends + 1], axis=1)
        return Dag(_edges(archs), operations)

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the six operations."""
        return ("input", "output", *OPERATIONS)

    def graph(self, arch: Archs) -> Edges:
        """Vertices 0 (input) to 4 (output); an edge bears the operation that it leads to."""
        names = [*(OPERATIONS[arch[at]] for at in FIRST), "output"]
        [edges] = _edges(arch[None])
        return [(str(a), str(b), names[b - 1]) for a, b in np.argwhere(edges).tolist()]


def _edges(archs: Archs) -> Mask:
    """``(n, 5, 5)`` the chain, and from each vertex whose bit a node has, to the one after it."""
    edges = np.zeros((len(archs), VERTICES, VERTICES), np.bool_)
    for node, at in enumerate(FIRST):
        edges[:, node, node + 1] = True
        for source in range(node + 1):
            edges[:, source, node + 2] = archs[:, at + 1 + source] == 1
    edges[:, -2, -1] = True
    return edges


@cache  # there are 13,824, and tables ask for all of them
def _key(options: tuple[int, ...]) -> str:
    arch = np.array(options, np.int64)
    [edges], labels = _edges(arch[None]), arch[list(FIRST)]
    for node in np.flatnonzero(labels == ZERO):
        edges[node + 1] = edges[:, node + 1] = False
    reached = np.zeros(VERTICES, np.bool_)
    leading = reached.copy()
    reached[0] = leading[-1] = True
    for vertex in range(1, VERTICES):
        reached[vertex] = (reached & edges[:, vertex]).any()
        leading[-1 - vertex] = (leading & edges[-1 - vertex]).any()
    inner = [node + 1 for node in range(NODES) if reached[node + 1] and leading[node + 1]]
    keys = [
        "".join(str(labels[vertex - 1]) for vertex in order)
        + ":"
        + "".join(map(str, edges[np.ix_([0, *order, -1], [0, *order, -1])].astype(int).flat))
        for order in permutations(inner)
    ]
    return min(keys)
