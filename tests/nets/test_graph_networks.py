import numpy as np
import pytest
import torch

from nasrun.nets.graph_networks import END, START, GraphDecoder, GraphEncoder

TYPES, VERTICES, HIDDEN, WIDTH = 4, 4, 6, 5
# Two graphs of four vertices: a chain with a bypass, and one with a vertex that only the end reads.
ADJACENCY = torch.zeros(2, 4, 4, dtype=torch.float64)
for graph, edges in enumerate([[(0, 1), (1, 2), (2, 3), (0, 2)], [(0, 1), (0, 2), (1, 3), (2, 3)]]):
    for edge in edges:
        ADJACENCY[graph, *edge] = 1.0
KINDS = torch.tensor([[START, 2, 3, END], [START, 3, 3, END]])


@pytest.fixture(autouse=True)
def _own_draws():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


def encoder():
    return GraphEncoder(TYPES, VERTICES, HIDDEN, WIDTH).double()


def decoder():
    return GraphDecoder(TYPES, VERTICES, HIDDEN, WIDTH).double()


def onehot(size, place):
    return torch.eye(size, dtype=torch.float64)[place]


def message(passing, state, vertex):
    sent = torch.cat([state, onehot(VERTICES, vertex)])
    return torch.sigmoid(passing.gate(sent)) * passing.map(sent)


def state(passing, kind, received):
    return passing.update(onehot(TYPES, kind)[None], received[None])[0]


def walked(passing, edges, kinds, order):
    """State of the last vertex, of one graph, by the predecessors of each vertex."""
    states = {}
    for vertex in order:
        senders = [earlier for earlier, later in edges if later == vertex]
        received = sum(
            (message(passing, states[at], at) for at in senders),
            torch.zeros(HIDDEN, dtype=torch.float64),
        )
        states[vertex] = state(passing, kinds[vertex], received)
    return states[order[-1]]


def test_a_graph_is_read_in_both_directions_by_hand():
    network = encoder()
    codes = network(ADJACENCY, KINDS)
    for graph in range(2):
        edges, kinds = ADJACENCY[graph].nonzero().tolist(), KINDS[graph].tolist()
        back = [(later, earlier) for earlier, later in edges]
        ends = [
            walked(network.forwards, edges, kinds, [0, 1, 2, 3]),
            walked(network.backwards, back, kinds, [3, 2, 1, 0]),
        ]
        torch.testing.assert_close(codes[graph], network.last(network.join(torch.cat(ends))))


def test_an_edge_and_a_type_change_the_code():
    network, fewer, other = encoder(), ADJACENCY.clone(), KINDS.clone()
    fewer[0, 0, 2], other[0, 1] = 0.0, 3
    code = network(ADJACENCY, KINDS)[0]
    assert not torch.allclose(network(fewer, KINDS)[0], code)
    assert not torch.allclose(network(ADJACENCY, other)[0], code)


def test_the_loss_by_hand():
    network, code = decoder(), torch.randn(2, WIDTH, dtype=torch.float64)
    vertices, edges = network.loss(code, ADJACENCY, KINDS)
    for graph in range(2):
        kinds, own = KINDS[graph].tolist(), ADJACENCY[graph]
        current = state(network.passing, START, torch.tanh(network.first(code[graph])))
        states, of_vertices, of_edges = [current], 0.0, 0.0
        for vertex in range(1, VERTICES):
            logits = network.vertex(current)
            of_vertices -= torch.log(torch.exp(logits[kinds[vertex]]) / torch.exp(logits).sum())
            received = torch.zeros(HIDDEN, dtype=torch.float64)
            current = state(network.passing, kinds[vertex], received)
            for earlier in reversed(range(vertex)):
                logit = network.edge(torch.cat([states[earlier], current]))[0]
                chance = 1 / (1 + torch.exp(-logit))
                if own[earlier, vertex]:
                    of_edges -= torch.log(chance)
                    received = received + message(network.passing, states[earlier], earlier)
                    current = state(network.passing, kinds[vertex], received)
                else:
                    of_edges -= torch.log(1 - chance)
            states.append(current)
        torch.testing.assert_close(vertices[graph], of_vertices)
        torch.testing.assert_close(edges[graph], of_edges)


def uniforms(count, value=None):
    draws = torch.Generator().manual_seed(5)

    def draw(size):
        if value is not None:
            return torch.full((count, size), value, dtype=torch.float64)
        return torch.rand(count, size, generator=draws, dtype=torch.float64)

    return draw


def rigged(kind, edge):
    """A decoder that is sure of a type, and has all edges or none."""
    network = decoder()
    for head in (network.vertex[2], network.edge[2]):
        torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        network.vertex[2].bias.copy_(50.0 * onehot(TYPES, kind))
        network.edge[2].bias.fill_(50.0 if edge else -50.0)
    return network


def written(network, count=3, value=None):
    code = torch.randn(count, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        return network.write(code, uniforms(count, value))


def test_what_is_certain_is_written():
    adjacency, kinds = written(rigged(2, edge=True))
    assert kinds.tolist() == [[START, 2, 2, END]] * 3
    chain_and_bypasses = np.triu(np.ones((3, 3)), 1)
    assert (adjacency[:, :3, :3].numpy() == chain_and_bypasses).all()


def test_the_end_is_joined_to_what_leads_nowhere():
    adjacency, _ = written(rigged(2, edge=True))
    assert adjacency[0, :, 3].tolist() == [0, 0, 1, 0]
    adjacency, _ = written(rigged(2, edge=False))
    assert adjacency[0, :, 3].tolist() == [1, 1, 1, 0]


def test_a_graph_may_end_early():
    adjacency, kinds = written(rigged(END, edge=True))
    assert kinds.tolist() == [[START, END, -1, -1]] * 3
    assert adjacency[0].nonzero().tolist() == [[0, 1]]


def test_graphs_are_written_as_often_as_the_loss_says():
    """All types and edges before the last vertex: within 4 standard errors of 20,000 draws."""
    network, count = decoder(), 20_000
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # far from a uniform choice
        code = torch.randn(1, WIDTH, dtype=torch.float64)
        adjacency, kinds = network.write(code.expand(count, -1), uniforms(count))
        open_ = (kinds[:, 1:3] != END).all(1)
        graph, first = adjacency[open_][0], kinds[open_][0]
        alike = (adjacency[:, :3, :3] == graph[:3, :3]).all((1, 2)) & (kinds == first).all(1)
        vertices, edges = network.loss(code, graph[None, :3, :3], first[None, :3])
        chance = float(torch.exp(-vertices - edges))
    assert chance > 0.001
    error = np.sqrt(chance * (1 - chance) / count)
    assert abs(float(alike.double().mean()) - chance) < 4 * error


def test_a_temperature_divides_the_logits_of_types_and_edges():
    """As if the last layers were as much larger: the same draws, the same graphs."""
    network, sharper = decoder(), decoder()
    sharper.load_state_dict(network.state_dict())
    with torch.no_grad():
        for head in (sharper.vertex[2], sharper.edge[2]):
            head.weight.div_(0.25)
            head.bias.div_(0.25)
        code = torch.randn(200, WIDTH, dtype=torch.float64)
        wanted = sharper.write(code, uniforms(200))
        found = network.write(code, uniforms(200), 0.25)
        plain = network.write(code, uniforms(200))
    assert all((own == other).all() for own, other in zip(found, wanted, strict=True))
    assert not all((own == other).all() for own, other in zip(found, plain, strict=True))
