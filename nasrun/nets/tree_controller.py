"""The controller of path-level search: a tree LSTM in both directions, and two actors."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.trees import BRANCHES, CONCAT, MERGES, Edge, Node

State = tuple[Tensor, Tensor]  # (1, hidden) what is given on, and the memory
Place = tuple[int, ...]  # of a branch: its number at each level; the root's is empty


class TreeController(nn.Module):
    """Reads a tree from its leaves to the root and back, and says how to change it.

    Cai et al., "Path-Level Network Transformation for Efficient Architecture Search" (ICML 2018),
    section 3.3: a child-sum unit where branches are added, an N-ary one where they are joined (Tai
    et al., ACL 2015, eqs. 2 to 14), then units from the root to the leaves; what both say of a
    node or a branch goes through a layer of ReLUs to the logits of what to do there.

    Departures: an N-ary unit's forget gates look at their own branch, not at all of them; on the
    way back a plain LSTM reads what the node itself has said, whose merge it thereby knows (the
    authors' code: units as on the way up, which read what the parent's other branches have said).

    Args:
        operations: of a branch.
        options: what a branch can be made to do, at most.
        embedding: width of the embedding of an operation or a merge.
        hidden: units in each direction.
        head: units of the actors' layer.
    """

    def __init__(
        self, operations: int, options: int, embedding: int = 10, hidden: int = 100, head: int = 500
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.operation = nn.Embedding(operations, embedding)
        self.merge = nn.Embedding(len(MERGES), embedding)
        self.up_branch = nn.LSTMCell(embedding, hidden)
        self.gates = nn.Linear(embedding, 3 * hidden)
        self.forget = nn.Linear(embedding, hidden)
        # Of sums; and of each of the branches that are joined.
        slots = 1 + BRANCHES[CONCAT]
        self.gates_of = nn.ModuleList(
            nn.Linear(hidden, 3 * hidden, bias=False) for _ in range(slots)
        )
        self.forget_of = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(slots))
        self.down_branch = nn.LSTMCell(hidden, hidden)
        self.down_node = nn.LSTMCell(hidden, hidden)
        self.merging = _actor(2 * hidden, head, len(MERGES))
        self.replacing = _actor(2 * hidden, head, options)

    def merge_logits(self, tree: Node, place: Place) -> Tensor:
        """``(merges,)`` what a node, at the end of the branch at a place, is to be."""
        return self.merging(self._both(tree, place, of_node=True))[0]

    def operation_logits(self, tree: Node, place: Place) -> Tensor:
        """``(options,)`` what the branch at a place is to do."""
        return self.replacing(self._both(tree, place, of_node=False))[0]

    def _both(self, tree: Node, place: Place, of_node: bool) -> Tensor:
        """``(1, 2 * hidden)`` what both directions say of the branch at a place, or of its node."""
        ups = dict[tuple[Place, bool], State]()
        self._up(tree, (), ups)
        zero = self.operation.weight.new_zeros(1, self.hidden)
        state = self.down_node(ups[(), True][0], (zero, zero))
        for level in range(1, len(place) + 1):
            here = place[:level]
            state = self.down_branch(ups[here, False][0], state)
            if level < len(place) or of_node:
                state = self.down_node(ups[here, True][0], state)
        return torch.cat([ups[place, of_node][0], state[0]], dim=1)

    def _up(self, node: Node, place: Place, ups: dict[tuple[Place, bool], State]) -> State:
        """The state of a node, after those of all below it; they are noted by their places."""
        below = [self._up_branch(edge, (*place, at), ups) for at, edge in enumerate(node.branches)]
        x = self.merge(torch.tensor([node.merge]))
        gates, memory = self.gates(x), x.new_zeros(1, self.hidden)
        for at, (given, kept) in enumerate(below):
            slot = 1 + at if node.merge == CONCAT else 0
            gates = gates + self.gates_of[slot](given)
            memory = memory + torch.sigmoid(self.forget(x) + self.forget_of[slot](given)) * kept
        enter, leave, new = gates.chunk(3, dim=1)
        memory = memory + enter.sigmoid() * new.tanh()
        ups[place, True] = leave.sigmoid() * memory.tanh(), memory
        return ups[place, True]

    def _up_branch(self, edge: Edge, place: Place, ups: dict[tuple[Place, bool], State]) -> State:
        state = self._up(edge.node, place, ups)
        ups[place, False] = self.up_branch(self.operation(torch.tensor([edge.op])), state)
        return ups[place, False]


def _actor(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def chosen(logits: Tensor, legal: Tensor, generator: torch.Generator) -> tuple[int, Tensor, Tensor]:
    """One of the options that are ``legal (n,)``, its log-probability, and the entropy."""
    p = F.log_softmax(logits[: len(legal)].masked_fill(~legal, -torch.inf), dim=0)
    option = int(torch.multinomial(p.detach().exp(), 1, generator=generator))
    return option, p[option], -(p.exp() * p.masked_fill(~legal, 0.0)).sum()


def replaced(tree: Node, place: Place, edge: Edge) -> Node:
    """The tree with another branch at a place, which is not the root's."""
    at, *rest = place
    own = tree.branches[at]
    new = edge if not rest else own._replace(node=replaced(own.node, tuple(rest), edge))
    return tree._replace(branches=(*tree.branches[:at], new, *tree.branches[at + 1 :]))


def edges(tree: Node, place: Place = ()) -> Iterator[tuple[Place, Edge]]:
    """All branches with their places, from the root on."""
    for at, edge in enumerate(tree.branches):
        yield (*place, at), edge
        yield from edges(edge.node, (*place, at))
