"""The combinatorics of DARTS cells: which edges there are, and how decisions turn into edges.

A cell has two inputs (the outputs of the two cells before it) and some nodes, each the sum of two
operations on two earlier nodes; the output is all nodes side by side. Inputs are nodes 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasrun.streams import Floats, Ints

CELLS = ("normal", "reduce")
INPUTS = 2

Branch = tuple[int, int]  # operation (index), earlier node


@dataclass(frozen=True)
class Layout:
    """How architectures of DARTS cells are written as decisions.

    Standard: per node a pair of different earlier nodes and two operations. Factorised: per node
    twice an earlier node and an operation, each decision on its own, so that both branches may read
    the same node. First the normal cell's decisions, then the reduction cell's.
    """

    nodes: int
    operations: int
    factorised: bool

    def sources(self, node: int) -> int:
        """Number of earlier nodes, inputs included."""
        return INPUTS + node

    def pairs(self, node: int) -> list[tuple[int, int]]:
        """Pairs of different earlier nodes, in the order of the decision's options."""
        return list(combinations(range(self.sources(node)), 2))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Edges ``(earlier node, node)`` of one cell, node by node; nodes are counted from 0."""
        return [
            (source, node) for node in range(self.nodes) for source in range(self.sources(node))
        ]

    def edge(self, source: int, node: int) -> int:
        """Number of an edge within its cell."""
        return sum(map(self.sources, range(node))) + source

    @property
    def width(self) -> int:
        """Decisions of one node."""
        return 4 if self.factorised else 3

    def branches(self, arch: Ints) -> list[list[tuple[Branch, Branch]]]:
        """The two branches of every node, by cell."""
        sources, operations = (part[0].tolist() for part in self.arrays(arch[None]))
        return [
            [
                ((ops[0], earlier[0]), (ops[1], earlier[1]))
                for ops, earlier in zip(operations[cell], sources[cell], strict=True)
            ]
            for cell in range(len(CELLS))
        ]

    def arrays(self, archs: Ints) -> tuple[Ints, Ints]:
        """``(n, cells, nodes, 2)`` earlier nodes, and operations, of the nodes' branches."""
        parts = archs.reshape(len(archs), len(CELLS), self.nodes, self.width)
        if self.factorised:
            return parts[..., 0::2], parts[..., 1::2]
        sources = [np.array(self.pairs(at))[parts[:, :, at, 0]] for at in range(self.nodes)]
        return np.stack(sources, axis=2), parts[..., 1:]

    def arch(self, branches: Sequence[Sequence[tuple[Branch, Branch]]]) -> Ints:
        """``(L,)`` decisions of branches by cell and node; the reverse of ``branches``."""
        decisions: list[int] = []
        for cell in branches:
            for node, pair in enumerate(cell):
                if self.factorised:
                    decisions += [
                        part for operation, source in pair for part in (source, operation)
                    ]
                else:
                    (first, one), (second, two) = sorted(pair, key=lambda branch: branch[1])
                    decisions += [self.pairs(node).index((one, two)), first, second]
        return np.array(decisions, np.int64)

    def derive(self, scores: Sequence[Floats]) -> Ints:
        """``(L,)`` by DARTS's rule, of scores ``(1 + operations,)`` by edge, option 0 being none.

        Liu et al., "DARTS", section 2.4: of each node's edges the two are kept whose best operation
        other than none has the highest score.
        """
        branches: list[list[tuple[Branch, Branch]]] = []
        for number in range(len(CELLS)):
            first = number * len(self.edges)
            cell: list[tuple[Branch, Branch]] = []
            for node in range(self.nodes):
                rows = [scores[first + self.edge(s, node)][1:] for s in range(self.sources(node))]
                best = sorted(range(len(rows)), key=lambda s: -rows[s].max())[:INPUTS]
                one, two = sorted(best)
                cell.append(((int(rows[one].argmax()), one), (int(rows[two].argmax()), two)))
            branches.append(cell)
        return self.arch(branches)

    def options(self, arch: Ints) -> Ints:
        """``(edges of both cells,)`` option by edge: 0 is none, the others operations plus one."""
        options = np.zeros(len(CELLS) * len(self.edges), np.int64)
        for number, cell in enumerate(self.branches(arch)):
            for node, pair in enumerate(cell):
                for operation, source in pair:
                    options[number * len(self.edges) + self.edge(source, node)] = 1 + operation
        return options
