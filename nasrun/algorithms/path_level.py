"""Path-level EAS: a controller of trees lets the paths of a cell grow."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.episodic import Episodic
from nasrun.nets.tree_controller import Place, TreeController, chosen, replaced
from nasrun.nets.trees import IDENTITY, MERGES, OPERATIONS, Edge, Node, opened
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Mask, Problem, SearchSpace, Streams


@runtime_checkable
class TreeShaped(Protocol):
    """A space of trees, as ``path_tree`` is."""

    depth: int

    @property
    def first(self) -> Archs:
        """``(L,)`` the cell to grow from."""
        ...

    def tree(self, arch: Archs) -> Node:
        """The root of ``arch (L,)``."""
        ...

    def of_tree(self, tree: Node) -> Archs:
        """``(L,)`` the architecture with this root."""
        ...


class _Decisions:
    """Any other space: a root that adds branches, one for each decision, which does an option."""

    depth = 1

    def __init__(self, space: SearchSpace, first: Archs) -> None:
        self._space, self.first = space, first
        self.before = np.concatenate([[0], np.cumsum(space.arity)[:-1]])

    def tree(self, arch: Archs) -> Node:
        return Node(MERGES.index("add2"), tuple(map(Edge, (self.before + arch).tolist())))

    def of_tree(self, tree: Node) -> Archs:
        return np.array([edge.op for edge in tree.branches]) - self.before

    def legal(self, tree: Node, at: int) -> Mask:
        """``(options,)`` options of decision ``at`` with which the architecture exists."""
        archs = np.repeat(self.of_tree(tree)[None], self._space.arity[at], axis=0)
        archs[:, at] = np.arange(len(archs))
        legal = self._space.exists(archs)
        legal[self.of_tree(tree)[at]] = True
        return legal


@dataclass
class PathLevel(Episodic):
    """A controller makes nodes of leaves and puts operations on branches, for ``Episodic`` rewards.

    Cai et al., "Path-Level Network Transformation for Efficient Architecture Search" (ICML 2018),
    sections 3.3 and 4, with the settings of the authors' code: an episode goes through the tree
    depth first. A leaf is left, or gets branches that are added or joined; each of these, at first
    an identity, gets an operation or is left, and then its leaf's turn comes. The result inherits
    the first network's weights (``evaluator=inheriting``); 500 networks are a search, of 20 epochs
    each at a learning rate of 0.035.

    Departures: an episode begins with the first cell alone, as the paper's does; what becomes of a
    leaf is one choice (the authors': if it gets branches, then the merge, then their number), and
    every result is measured (theirs: a cell that has hardly grown is drawn again); the baseline
    begins with the first batch's mean (theirs: with the first network's reward); gradients are not
    clipped (theirs: at a norm of 40), and a batch of equal rewards teaches, too (theirs: nothing);
    in a space without trees its decisions stand for branches, each of which may get another option,
    one after another, from a random architecture on; and those of ``Episodic`` and of
    ``TreeController``.

    Args:
        embedding: width of the embedding of an operation or a merge.
        hidden: units of the tree LSTM in each direction.
        head: units of the actors' layer.

    Raises:
        ConfigError: a value out of its range.
    """

    name: str = "path_level"
    embedding: int = 10
    hidden: int = 100
    head: int = 500
    learning_rate: float = 6e-3
    entropy: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "embedding", "hidden", "head")

    def prepare(self, problem: Problem, streams: Streams) -> Archs:
        """``(L,)`` the first cell."""
        space = problem.space
        self._arity = space.arity
        self._space: TreeShaped | _Decisions = (
            space if isinstance(space, TreeShaped) else _Decisions(space, space.sample(streams)[0])
        )
        return self._space.first

    def make(self) -> TreeController:
        """The controller."""
        operations = options = len(OPERATIONS)
        if isinstance(self._space, _Decisions):
            operations, options = int(self._arity.sum()), int(self._arity.max())
        self._controller = TreeController(
            operations, options, self.embedding, self.hidden, self.head
        )
        return self._controller

    def played(self) -> tuple[Archs, Tensor, Tensor]:
        """``(L,)`` what an episode makes of the first cell, its log-probability and entropy."""
        space = self._space
        self._tree = space.tree(self.first)
        self._log_p = self._entropy = torch.zeros(())
        if isinstance(space, _Decisions):
            for at, before in enumerate(space.before.tolist()):
                logits = self._controller.operation_logits(self._tree, (at,))
                option = self._choose(logits, space.legal(self._tree, at))
                self._tree = replaced(self._tree, (at,), Edge(before + option))
        else:
            self._visit(self._tree, ())
        return space.of_tree(self._tree), self._log_p, self._entropy

    def _visit(self, node: Node, place: Place) -> None:
        """Let the paths below a node grow, branch by branch."""
        if not node.merge and len(place) < self._space.depth:
            logits = self._controller.merge_logits(self._tree, place)
            node = opened(self._choose(logits, np.ones(len(MERGES), np.bool_)))
            if place:
                edge = _at(self._tree, place)._replace(node=node)
                self._tree = replaced(self._tree, place, edge)
            else:
                self._tree = node
        for at, edge in enumerate(node.branches):
            here = (*place, at)
            if edge.op == IDENTITY:
                logits = self._controller.operation_logits(self._tree, here)
                option = self._choose(logits, np.ones(len(OPERATIONS), np.bool_))
                self._tree = replaced(self._tree, here, edge._replace(op=option))
            self._visit(edge.node, here)

    def _choose(self, logits: Tensor, legal: Mask) -> int:
        option, log_p, entropy = chosen(logits, torch.from_numpy(legal), self.generator)
        self._log_p, self._entropy = self._log_p + log_p, self._entropy + entropy
        return option


def _at(tree: Node, place: Place) -> Edge:
    """The branch at a place."""
    edge = tree.branches[place[0]]
    return edge if len(place) == 1 else _at(edge.node, place[1:])
