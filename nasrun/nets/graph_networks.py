"""Networks that read and write directed acyclic graphs, in dense batches.

Zhang et al., "D-VAE: A Variational Autoencoder for Directed Acyclic Graphs" (NeurIPS 2019), as
MetaD2A uses it. ``B`` graphs have ``V`` vertices each: ``adjacency (B, V, V)``, 1 where an edge
leads from row to column, always to a later vertex, and ``types (B, V)``. Messages pass vertex by
vertex in that order, for all graphs of a batch at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

START, END = 0, 1  # types of the first and of the last vertex

# Asked for ``n`` numbers in [0, 1) for each of ``B`` graphs: ``(B, n)``.
Draws = Callable[[int], Tensor]


class Passing(nn.Module):
    """How a vertex gets its state from those of its predecessors, in one direction.

    Args:
        types: of vertices.
        vertices: of a graph at most; a message says which of them it comes from.
        hidden: width of a state.
    """

    def __init__(self, types: int, vertices: int, hidden: int) -> None:
        super().__init__()
        self.types, self.vertices, self.hidden = types, vertices, hidden
        self.gate = nn.Linear(hidden + vertices, hidden)
        self.map = nn.Linear(hidden + vertices, hidden, bias=False)
        self.update = nn.GRUCell(types, hidden)

    def message(self, state: Tensor, vertex: int) -> Tensor:
        """``(B, hidden)`` what a vertex with these states ``(B, hidden)`` sends."""
        place = state.new_zeros(self.vertices)
        place[vertex] = 1.0
        sent = torch.cat([state, place.expand(len(state), -1)], -1)
        return self.gate(sent).sigmoid() * self.map(sent)

    def state(self, types: Tensor, received: Tensor) -> Tensor:
        """``(B, hidden)`` state of a vertex of ``types (B,)`` that ``received (B, hidden)``."""
        return self.update(F.one_hot(types, self.types).to(received.dtype), received)


class GraphEncoder(nn.Module):
    """A code of a graph, read from start to end and from end to start.

    Lee et al. (ICLR 2021), Appendix B. As in the authors' code, the first vertex of a direction is
    updated from a message of zeros, where the paper gives it a state of zeros.

    Args:
        types: of vertices.
        vertices: of a graph.
        hidden: width of a state; 512 in the paper.
        width: of the code.
    """

    def __init__(self, types: int, vertices: int, hidden: int, width: int) -> None:
        super().__init__()
        self.forwards = Passing(types, vertices, hidden)
        self.backwards = Passing(types, vertices, hidden)
        self.join = nn.Linear(2 * hidden, hidden)
        self.last = nn.Linear(hidden, width)

    def forward(self, adjacency: Tensor, types: Tensor) -> Tensor:
        """``(B, width)`` of graphs ``adjacency (B, V, V)`` and ``types (B, V)``."""
        order = range(types.shape[1])
        ahead = _last_state(self.forwards, adjacency, types, order)
        back = _last_state(self.backwards, adjacency.transpose(1, 2), types, order[::-1])
        return self.last(self.join(torch.cat([ahead, back], -1)))


def _last_state(passing: Passing, adjacency: Tensor, types: Tensor, order: range) -> Tensor:
    """``(B, hidden)`` state of the last vertex in ``order``, after all before it."""
    state = received = adjacency.new_zeros(len(types), passing.hidden)
    done: list[int] = []
    sent: list[Tensor] = []
    for vertex in order:
        if sent:
            edges = adjacency[:, done, vertex].unsqueeze(-1)
            received = (edges * torch.stack(sent, 1)).sum(1)
        state = passing.state(types[:, vertex], received)
        done.append(vertex)
        sent.append(passing.message(state, vertex))
    return state


class GraphDecoder(nn.Module):
    """Writes a graph vertex by vertex, and each vertex's edges from the nearest one backwards.

    Lee et al. (ICLR 2021), Appendix A.1. A vertex is updated after every edge that it gets, so that
    the next edge is decided in the light of it. The last vertex that fits in is the end, joined to
    every vertex that leads nowhere.

    Args:
        types: of vertices.
        vertices: of a graph.
        hidden: width of a state; 56 in the paper.
        width: of the code that a graph is written from.
    """

    def __init__(self, types: int, vertices: int, hidden: int, width: int) -> None:
        super().__init__()
        self.passing = Passing(types, vertices, hidden)
        self.first = nn.Linear(width, hidden)
        self.vertex = nn.Sequential(
            nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, types)
        )
        self.edge = nn.Sequential(
            nn.Linear(2 * hidden, 4 * hidden), nn.ReLU(), nn.Linear(4 * hidden, 1)
        )

    def loss(self, code: Tensor, adjacency: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """``(B,)`` cross-entropy of the vertices and ``(B,)`` of the edges of true graphs.

        Teacher forcing: what comes next is predicted from the true graph up to there. ``code`` is
        ``(B, width)``.
        """
        vertices = code.new_zeros(len(code))
        edges = code.new_zeros(len(code))
        state = self._start(code)
        states, sent = [state], [self.passing.message(state, 0)]
        for vertex in range(1, types.shape[1]):
            true_types, true_edges = types[:, vertex], adjacency[:, :vertex, vertex]
            logits = self.vertex(state)
            vertices = vertices + F.cross_entropy(logits, true_types, reduction="none")
            received = torch.zeros_like(state)
            state = self.passing.state(true_types, received)
            for earlier in range(vertex - 1, -1, -1):
                logit, edge = self._edge(states[earlier], state), true_edges[:, earlier]
                edges = edges + F.binary_cross_entropy_with_logits(logit, edge, reduction="none")
                received = received + edge.unsqueeze(-1) * sent[earlier]
                state = self._updated(state, true_types, received, edge)
            states.append(state)
            sent.append(self.passing.message(state, vertex))
        return vertices, edges

    def write(self, code: Tensor, draws: Draws, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """``adjacency (B, V, V)`` and ``types (B, V)`` drawn from ``code (B, width)``.

        Types are drawn from their softmax and edges from their probability, as the authors' code
        does, where the paper takes the most probable ones: what lies between is a ``temperature``
        by which all logits are divided. A graph that ends early has the type -1 on the vertices
        that it lacks.
        """
        count = len(code)
        last = self.passing.vertices - 1
        adjacency = code.new_zeros(count, last + 1, last + 1)
        types = torch.full((count, last + 1), -1, dtype=torch.int64)
        types[:, 0] = START
        state = self._start(code)
        states, sent = [state], [self.passing.message(state, 0)]
        open_ = torch.ones(count, dtype=torch.bool)
        for vertex in range(1, last + 1):
            uniforms = draws(vertex + 1)
            drawn = _drawn((self.vertex(state) / temperature).softmax(-1), uniforms[:, 0])
            drawn = torch.full_like(drawn, END) if vertex == last else drawn
            types[:, vertex] = torch.where(open_, drawn, types[:, vertex])
            ends = open_ & (drawn == END)
            received = torch.zeros_like(state)
            state = self.passing.state(drawn, received)
            leads_nowhere = adjacency[:, :vertex].sum(2) == 0
            for earlier in range(vertex - 1, -1, -1):
                chance = (self._edge(states[earlier], state) / temperature).sigmoid()
                edge = torch.where(
                    ends, leads_nowhere[:, earlier], uniforms[:, 1 + earlier] < chance
                )
                edge = (edge & open_).to(state.dtype)
                adjacency[:, earlier, vertex] = edge
                received = received + edge.unsqueeze(-1) * sent[earlier]
                state = self._updated(state, drawn, received, edge)
            open_ = open_ & ~ends
            states.append(state)
            sent.append(self.passing.message(state, vertex))
        return adjacency, types

    def _start(self, code: Tensor) -> Tensor:
        types = torch.full((len(code),), START)
        return self.passing.state(types, self.first(code).tanh())

    def _edge(self, earlier: Tensor, state: Tensor) -> Tensor:
        return self.edge(torch.cat([earlier, state], -1)).squeeze(-1)

    def _updated(self, state: Tensor, types: Tensor, received: Tensor, edge: Tensor) -> Tensor:
        """The state after a decision: a new one where there is an edge."""
        return torch.where(edge.bool().unsqueeze(-1), self.passing.state(types, received), state)


def _drawn(chances: Tensor, uniforms: Tensor) -> Tensor:
    """``(B,)`` options of ``chances (B, k)``, by inversion."""
    edges = chances.cumsum(-1)
    return (uniforms.unsqueeze(-1) * edges[:, -1:] >= edges).sum(-1).clamp(max=chances.shape[1] - 1)
