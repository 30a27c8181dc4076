import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.predictors.base import Targets
from nasrun.predictors.blr import Evidence
from nasrun.predictors.bonas import BONAS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE, SEEDS = NB201(), [3, 5, 8, 13]


def drawn(count=12):
    streams = Streams(SEEDS, "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(count)], axis=1)
    return archs, archs.sum(axis=2) + 0.1 * streams.normal(count)


def layer(linear, trial, inputs, outputs):
    """PyTorch's own layer with a trial's weights."""
    own = nn.Linear(inputs, outputs)
    own.weight.data = linear.weight[trial, :inputs, :outputs].T.detach().clone()
    own.bias.data = linear.bias[trial, 0, :outputs].detach().clone()
    return own


def test_the_embedding_is_that_of_a_vertex_which_all_others_lead_to():
    archs, _ = drawn()
    model = BONAS(hidden=6, layers=3).opened(SPACE, Streams(SEEDS))
    net = model._settings.network(model._width, Streams(SEEDS))
    read = model._read(Inputs(archs))
    found = net(read, torch.ones(4, 12), lambda x: x)
    own = len(SPACE.dag_operations)
    for trial in range(4):
        adjacency, operations = SPACE.dag(archs[trial])
        vertices = adjacency.shape[1]
        whole = np.zeros((12, vertices + 1, vertices + 1))
        whole[:, :-1, :-1], whole[:, :-1, -1] = adjacency, 1.0  # the paper has it last
        heard = torch.from_numpy(whole).float().transpose(1, 2) + torch.eye(vertices + 1)
        labels = np.pad(operations, ((0, 0), (0, 1)), constant_values=own)
        x = F.one_hot(torch.from_numpy(labels), model._width).float()
        for depth in range(3):
            inputs = 6 if depth else model._width
            x = layer(net._layers[depth], trial, inputs, 6)(heard @ x)
            x = F.relu(nn.BatchNorm1d(6)(x.flatten(0, 1)).view(x.shape))
        wanted = x[:, -1]
        torch.testing.assert_close(found[trial, :, 1:7], wanted, rtol=1e-3, atol=1e-5)
        out = layer(net._head, trial, 6, 1)(wanted)
        torch.testing.assert_close(found[trial, :, :1], out, rtol=1e-3, atol=1e-5)


def test_first_weights_lie_within_the_authors_bounds():
    net = BONAS().network(8, Streams(SEEDS))
    for own in net._layers:
        assert 0.049 < own.weight.abs().max() <= 0.05


def test_good_architectures_weigh_more_in_the_loss():
    out, z = torch.tensor([[[0.4, 9.0], [-1.0, 9.0]]]), torch.tensor([[2.0, -0.5]])
    found = BONAS().loss(out, z)
    for at, (o, goal) in enumerate([(0.4, 2.0), (-1.0, -0.5)]):
        y, predicted = 1 / (1 + np.exp(-goal)), 1 / (1 + np.exp(-o))
        assert found[0, at].item() == pytest.approx(np.exp(y - 1) * (predicted - y) ** 2, rel=1e-5)


def test_predictions_are_a_regression_of_logits_on_embeddings():
    archs, y = drawn()
    model = BONAS(hidden=8, epochs=3).opened(SPACE, Streams(SEEDS))
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    found = model.predict(Inputs(archs[:, :4]))
    for trial in range(4):
        centre, spread = y[trial].mean(), y[trial].std()
        seen = model._seen(Inputs(archs))[trial]
        own = Evidence(
            seen[None], (y[trial] - centre)[None] / spread, np.array([12.0]), 1e-5, 1e-5, 200
        )
        mean, sd = own.predict(seen[None, :4])
        np.testing.assert_allclose(found.mean[trial], centre + spread * mean[0])
        np.testing.assert_allclose(found.sd[trial], spread * sd[0])
        assert found.best[trial] == y[trial].max()


def test_a_trial_with_too_few_figures_for_a_regression_is_unsure_by_one_deviation():
    archs, y = drawn()
    model = BONAS(hidden=8, epochs=1).opened(SPACE, Streams(SEEDS))
    known = np.arange(12)[None] < np.array([[0], [1], [2], [12]])
    model.fit(Inputs(archs), y, known)
    found = model.predict(Inputs(archs))
    np.testing.assert_array_equal(found.sd[:2], 1.0)
    np.testing.assert_allclose(found.mean[:2], [[0.0], [y[1, 0]]] * np.ones(12))
    assert (found.sd[2:] != 1.0).all()


def test_targets_without_a_logit_are_refused():
    with pytest.raises(ConfigError, match=r"logistic function of z-scores.*targets=zscore"):
        BONAS(targets=Targets.plain)
