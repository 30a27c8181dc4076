import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.predictors import graph_cohort
from nasrun.predictors.bonas import BONAS
from nasrun.predictors.gcn import GCN
from nasrun.predictors.gin import GIN, Head
from nasrun.predictors.graph_cohort import Batch
from nasrun.predictors.graph_layers import BatchNorm, _Normalised
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE, NAMES, GRAPHS = NB201(), 8, 5
ADJACENCY, OPERATIONS = SPACE.dag(SPACE.sample(Streams(range(GRAPHS))))


def batch(trials, recipe):
    """The same graphs for every trial, as tensors."""
    edges = torch.from_numpy(ADJACENCY.astype(np.float32))
    x = F.one_hot(torch.from_numpy(OPERATIONS), NAMES).float()
    ways = recipe.ways(edges)
    parts = (ways, ways @ x[:, None], torch.ones(GRAPHS, 8, 1))
    return Batch(*(part.expand(trials, *part.shape) for part in parts))


def layer(linear, trial, inputs, outputs):
    """PyTorch's own layer with a trial's weights."""
    own = nn.Linear(inputs, outputs)
    own.weight.data = linear.weight[trial, :inputs, :outputs].T.detach().clone()
    own.bias.data = linear.bias[trial, 0, :outputs].detach().clone()
    return own


@pytest.mark.parametrize("head", Head)
def test_a_graph_isomorphism_network_is_the_one_of_its_paper(head):
    recipe = GIN(hidden=6, layers=2, head=head)
    net = recipe.network(NAMES, Streams([3, 5]))
    found = net(batch(4, recipe), torch.ones(4, GRAPHS), lambda x: x)
    squash = F.celu if head is Head.normal else F.relu
    for trial in range(2):
        x = [F.one_hot(torch.from_numpy(own), NAMES).float() for own in OPERATIONS]
        for depth in range(2):
            first = layer(net._first[depth], trial, 6 if depth else NAMES, 6)
            second = layer(net._second[depth], trial, 6, 6)
            after = []
            for own, edges in zip(x, ADJACENCY, strict=True):
                rows = [
                    own[v] + sum((own[u] for u in np.flatnonzero(edges[:, v])), torch.zeros(1))
                    for v in range(8)
                ]
                after.append(squash(second(F.relu(first(torch.stack(rows))))))
            norm = nn.BatchNorm1d(6)
            x = norm(torch.cat(after)).split(8)
        pooled = torch.stack([own.mean(dim=0) for own in x])
        reduce = layer(net._reduce, trial, 6, 3)
        last = layer(net._last, trial, 3, 2 if head is Head.normal else 1)
        wanted = last(F.relu(reduce(pooled)))
        torch.testing.assert_close(found[trial, :, : wanted.shape[1]], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", [GIN(hidden=6, layers=2), BONAS(hidden=6, layers=2)], ids=str)
def test_graphs_without_a_figure_do_not_move_the_statistics(recipe):
    weight = torch.tensor([1.0, 0, 1, 1, 0]).expand(4, GRAPHS)
    kept, found = weight[0] > 0, []
    for graphs, weights in ((slice(None), weight), (kept, weight[:, kept])):
        net = recipe.network(NAMES, Streams([3, 5]))
        whole = batch(4, recipe)
        part = Batch(*(own[:, graphs] for own in whole[:3]))
        found.append(net(part, weights, lambda x: x))
    torch.testing.assert_close(found[0][:, kept], found[1])


def test_the_rate_follows_a_cosine_from_batch_to_batch(monkeypatch):
    rates = []

    class Adam(graph_cohort.FusedAdam):
        def step(self):
            rates.append(self.rate)
            super().step()

    monkeypatch.setattr(graph_cohort, "FusedAdam", Adam)
    streams = Streams([3], "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(5)], axis=1)
    model = GIN(hidden=4, layers=1, epochs=2, batch=2, rate=0.01).opened(SPACE, Streams([3]))
    model.fit(Inputs(archs), archs.sum(axis=2).astype(float), np.ones((1, 5), bool))
    assert rates == pytest.approx([0.005 * (1 + np.cos(np.pi * at / 6)) for at in range(6)])


def test_a_graph_convolution_goes_both_ways():
    recipe = GCN(hidden=6, layers=2, head=5)
    net = recipe.network(NAMES, Streams([3, 5]))
    found = net(batch(4, recipe), None, lambda x: x)
    for trial in range(2):
        for number in range(GRAPHS):
            x = F.one_hot(torch.from_numpy(OPERATIONS[number]), NAMES).float()
            edges = torch.from_numpy(ADJACENCY[number].astype(np.float32)) + torch.eye(8)
            for depth in range(2):
                inputs = 6 if depth else NAMES
                along = layer(net._along[depth], trial, inputs, 6)
                against = layer(net._against[depth], trial, inputs, 6)
                mean = edges / edges.sum(dim=1, keepdim=True)
                back = edges.T / edges.T.sum(dim=1, keepdim=True)
                x = (F.relu(along(mean @ x)) + F.relu(against(back @ x))) / 2
            hidden = F.relu(layer(net._reduce, trial, 6, 5)(x.mean(dim=0)))
            wanted = layer(net._last, trial, 5, 1)(hidden)
            torch.testing.assert_close(found[trial, number, :1], wanted)


def test_the_likelihood_is_that_of_a_normal_distribution():
    recipe = GIN(head=Head.normal)
    out, goal = torch.tensor([[[0.3, -1.2], [2.0, 0.7]]]), torch.tensor([[1.0, 1.5]])
    normal = torch.distributions.Normal(out[..., 0], recipe.spread(out))
    constant = 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(recipe.loss(out, goal), -normal.log_prob(goal) - constant)


def test_statistics_are_those_of_the_vertices_that_count():
    own, theirs = BatchNorm(4, 1), nn.BatchNorm1d(4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(1, 6, 4, generator=generator) * 3 + 1
        counted = torch.tensor([1.0, 1, 0, 1, 1, 0]).view(1, 6, 1)
        kept = counted[0, :, 0] > 0
        torch.testing.assert_close(own(x, counted)[0, kept], theirs(x[0, kept]))
    theirs.eval()
    torch.testing.assert_close(own(x, None)[0], theirs(x[0]))


def test_normalisation_has_the_slope_of_its_figures():
    generator = torch.Generator().manual_seed(0)
    x, scale, shift = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 6, 3), (2, 1, 3), (2, 1, 3))
    )
    known = torch.tensor([[1.0, 1, 0, 1, 1, 0], [1.0] * 6], dtype=torch.float64)[..., None]
    known /= known.sum(dim=1, keepdim=True)
    inputs = (x, scale, shift)
    assert torch.autograd.gradcheck(lambda *own: _Normalised.apply(*own, known)[0], inputs)
