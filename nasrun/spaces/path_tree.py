"""Cells that are trees of paths, which grow by splitting and replacing paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.nets.trees import (
    BRANCHES,
    CONCAT,
    CONVOLUTIONS,
    IDENTITY,
    MERGES,
    OPERATIONS,
    Edge,
    Node,
    opened,
)
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spec import Archs, Edges, Mask, Scale, Task

if TYPE_CHECKING:
    from torch import nn

MOST = max(BRANCHES)  # branches of a node


@dataclass
class PathTree(ConditionalSpace):
    """A cell is a tree: nodes copy or split what they get, and add or join what branches give.

    Cai et al., "Path-Level Network Transformation for Efficient Architecture Search" (ICML 2018),
    sections 3.2 and 3.3, and their code: nodes that average two or three branches or join two, each
    branch with an operation and the next node, ``depth`` nodes below each other at most. At depth 3
    13 nodes and 39 branches, 52 decisions: what a node is, then the operations of its branches.

    What ``morphs`` gives keeps what is computed: ``branch`` makes a node of a leaf, ``operation``
    puts a convolution in the place of an identity, ``split`` makes branches of a convolution. New
    convolutions and copies have ``noise`` on their weights, without which copies learn the same.

    Departures: the cells stand in a residual network of nasrun's own, in place of DenseNet or
    PyramidNet. A convolution is split where it gives all the channels that it reads. Poolings can
    take the place of an identity, too, which changes what is computed: not among ``morphs``.

    Raises:
        ConfigError: a count below 1, a depth above 4, or a negative noise.
    """

    name: str = "path_tree"
    depth: int = 3
    channels: int = 16
    cells: int = 2
    noise: float = 6e-3

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "depth", "channels", "cells")
        require_within(self, "space", "[1, 4]", "depth")  # three times the nodes with each level
        require_not_negative(self, "space", "noise")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Node by node, level by level: what it is, and its branches' operations."""
        return (MERGES, *(OPERATIONS,) * MOST) * self._nodes

    @cached_property
    def _nodes(self) -> int:
        return sum(MOST**level for level in range(self.depth))

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)``: what belongs to a node or branch that is not there stays 0."""
        n, place = prefix.shape
        node, part = divmod(place, 1 + MOST)
        legal = np.ones((n, len(OPERATIONS) if part else len(MERGES)), np.bool_)
        owner, branch = (node, part - 1) if part else divmod(node - 1, MOST)
        if place:
            there = np.array(BRANCHES)[prefix[:, owner * (1 + MOST)]] > branch
            legal[~there, 1:] = False
        return legal

    def tree(self, arch: Archs) -> Node:
        """The root of ``arch (L,)``."""
        return self._node(arch.reshape(self._nodes, 1 + MOST).tolist(), 0)

    def _node(self, rows: list[list[int]], at: int) -> Node:
        if at >= len(rows):
            return Node()
        merge, *ops = rows[at]
        branches = range(BRANCHES[merge])
        return Node(
            merge, tuple(Edge(ops[b], self._node(rows, MOST * at + 1 + b)) for b in branches)
        )

    def of_tree(self, tree: Node) -> Archs:
        """``(L,)`` the architecture with this root."""
        rows = np.zeros((self._nodes, 1 + MOST), np.int64)
        waiting = [(0, tree)]
        while waiting:
            at, node = waiting.pop()
            rows[at, 0] = node.merge
            for branch, edge in enumerate(node.branches):
                rows[at, 1 + branch] = edge.op
                if edge.node.merge:
                    waiting.append((MOST * at + 1 + branch, edge.node))
        return rows.ravel()

    @property
    def first(self) -> Archs:
        """``(L,)`` the cell to grow from, which changes nothing."""
        return self.of_tree(Node())

    def morphs(self, arch: Archs) -> Mapping[str, Archs]:
        """``(n, L)`` what morphisms of each kind that there are make of ``arch (L,)``."""
        found: dict[str, list[Node]] = {"branch": [], "operation": [], "split": []}
        for kind, tree in _grown(self.tree(arch), self.depth):
            found[kind].append(tree)
        return {
            kind: np.stack([self.of_tree(tree) for tree in trees])
            for kind, trees in found.items()
            if trees
        }

    def text(self, arch: Archs) -> str:
        """Such as ``add(identity, conv_1x1 > concat(identity, max_pool_3x3))``, or ``none``."""
        return _text(self.tree(arch))

    def canonical(self, arch: Archs) -> str:
        """The text with the branches of averages in one order."""
        return _text(self.tree(arch), in_order=True)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format, or too deep; the message shows the place.
        """
        scanner = Scanner("a path_tree", text)
        tree = Node() if scanner.accept("none") else _read(scanner, self.depth)
        scanner.end("tree")
        return self.of_tree(tree)

    def graph(self, arch: Archs) -> Edges:
        """Branches, from where paths part to where they meet."""
        edges = Edges()
        _draw(self.tree(arch), "input", "output", edges)
        return edges or [("input", "output", "identity")]

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``.

        Raises:
            UnsupportedError: too few channels to be split.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.path_tree import TreeNetwork

        channels, cells = scale.channels or self.channels, scale.cells or self.cells
        return TreeNetwork(self.tree(arch), channels, cells, objective_of(task))

    def morph(self, parent: Archs, child: Archs, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Weights of ``child (L,)`` made of those of ``parent (L,)``.

        Raises:
            UnsupportedError: no morphism leads from one to the other.
        """
        from nasrun.nets.morphisms import generator_of
        from nasrun.nets.path_tree import morphed

        old, new, draws = self.tree(parent), self.tree(child), generator_of(parent, child)
        made = morphed(old, new, dict(state), self.noise, draws)
        if made is None:
            raise UnsupportedError(
                f"space=path_tree has no morphism from {self.text(parent)} to {self.text(child)}: "
                "take children from PathTree.morphs"
            )
        return made


def _grown(node: Node, depth: int) -> list[tuple[str, Node]]:
    """The node after each morphism in it or below it, with ``depth`` levels of room."""
    if not depth:
        return []
    if not node.merge:
        return [("branch", opened(merge)) for merge in range(1, len(MERGES))]
    found = list[tuple[str, Node]]()
    for at, edge in enumerate(node.branches):
        changed = [(kind, edge._replace(node=own)) for kind, own in _grown(edge.node, depth - 1)]
        if edge.op == IDENTITY:
            changed += [("operation", edge._replace(op=op)) for op in CONVOLUTIONS]
        elif edge.op in CONVOLUTIONS and depth > 1 and not edge.node.merge and node.merge != CONCAT:
            changed += [("split", _split(edge.op, merge)) for merge in range(1, len(MERGES))]
        found += [
            (kind, Node(node.merge, (*node.branches[:at], own, *node.branches[at + 1 :])))
            for kind, own in changed
        ]
    return found


def _split(op: int, merge: int) -> Edge:
    return Edge(IDENTITY, Node(merge, (Edge(op),) * BRANCHES[merge]))


def _text(node: Node, in_order: bool = False) -> str:
    if not node.merge:
        return "none"
    branches = [
        OPERATIONS[op] + (f" > {_text(below, in_order)}" if below.merge else "")
        for op, below in node.branches
    ]
    joins = node.merge == CONCAT
    if in_order and not joins:
        branches.sort()
    return f"{'concat' if joins else 'add'}({', '.join(branches)})"


def _read(scanner: Scanner, depth: int) -> Node:
    """A node with branches, with ``depth`` levels of room."""
    start = scanner.place
    joins = scanner.accept("concat")
    if not joins and not scanner.accept("add"):
        raise scanner.bad("expected add or concat")
    if not depth:
        raise scanner.bad("expected no node below the last level", start)
    scanner.expect("(")
    branches = list[Edge]()
    while not branches or scanner.accept(","):
        op = next((at for at, name in enumerate(OPERATIONS) if scanner.accept(name)), None)
        if op is None:
            raise scanner.bad(f"expected one of {', '.join(OPERATIONS)}")
        node = _read(scanner, depth - 1) if scanner.accept(">") else Node()
        branches.append(Edge(op, node))
    kinds = [CONCAT] if joins else [at for at, name in enumerate(MERGES) if "add" in name]
    merge = next((at for at in kinds if BRANCHES[at] == len(branches)), None)
    if merge is None:
        raise scanner.bad(f"expected {'two' if joins else 'two or three'} branches", start)
    scanner.expect(")")
    return Node(merge, tuple(branches))


def _draw(node: Node, source: str, target: str, edges: Edges, name: str = "") -> None:
    for at, (op, below) in enumerate(node.branches, 1):
        if below.merge:
            own = f"{name}{at}"
            edges.append((source, own, OPERATIONS[op]))
            _draw(below, own, f"{own} {MERGES[below.merge]}", edges, f"{own}.")
            edges.append((f"{own} {MERGES[below.merge]}", target, "identity"))
        else:
            edges.append((source, target, OPERATIONS[op]))
