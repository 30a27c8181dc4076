"""LCNet: its curves and its weights by hand, and that beginnings of curves say how they end."""

import math

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.nets.cohort import CohortMLP
from nasrun.predictors.base import Encoded
from nasrun.predictors.lcnet import OUTPUTS, CurveNetworks, LCNet, curve_value, likelihoods
from nasrun.predictors.learning_curves import Figure
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()


def logit(share):
    return math.log(share / (1.0 - share))


def test_a_curve_by_hand():
    parameters = [0.2, 0.5, 0.9, 0.3, 0.4, 0.8, 0.6, 0.7]
    weights, end = [0.5, 0.3, 0.2], 0.75
    out = [*map(logit, parameters), *map(math.log, weights), logit(end)]
    a, b, c, d, e, top, shape, middle = parameters
    for t in (0.05, 0.4, 1.0):
        vapour = math.exp(-a - 0.1 * b / t - 0.1 * c * math.log(t)) - math.exp(-a - 0.1 * b)
        log = math.log(1 + d * math.log(1 + t) + e) - math.log(1 + d * math.log(2) + e)
        hill = top / ((middle / t) ** shape + 1) - top / (middle**shape + 1)
        wanted = math.tanh(0.5 * vapour + 0.3 * log + 0.2 * hill) + end
        found = curve_value(torch.tensor(out).double(), torch.tensor(t).double())
        assert float(found) == pytest.approx(wanted, abs=1e-6)
        assert t < 1.0 or wanted == end


def test_the_time_is_no_input_of_the_network():
    model = LCNet(final=10).opened(SPACE, Streams([0]))
    assert isinstance(model, CurveNetworks)
    archs = SPACE.sample(Streams([4], "cells"))[None]
    features = model._at_times(Inputs(archs), 3)
    coded = SPACE.encode(archs[0], "adjacency")[0]
    np.testing.assert_array_equal(features[0, :, :-1], np.tile(coded, (4, 1)))
    np.testing.assert_allclose(features[0, :, -1], [0.1, 0.2, 0.3, 1.0])
    x = torch.from_numpy(np.pad(features, ((0, 0), (0, 0), (0, -features.shape[2] % 4))))
    weight = torch.randn(2, x.shape[2], OUTPUTS, generator=torch.Generator().manual_seed(0))
    net = CohortMLP([weight.double(), torch.zeros(2, 1, OUTPUTS).double()], tanh=True)
    found = model.read(net, torch.cat([x, x]))[0]
    out = torch.from_numpy(coded) @ weight[0, : len(coded)].double()
    for at, t in enumerate((0.1, 0.2, 0.3, 1.0)):
        torch.testing.assert_close(found[at], curve_value(out, torch.tensor(t).double()))


def test_draws_weigh_by_the_likelihood_of_the_curve():
    found = np.array([0.2, 0.5]).reshape(1, 2, 1, 1)
    share = likelihoods(found, np.full((1, 1, 1), 0.4), np.array([[0.04, 0.01]]))
    own = [math.exp(-0.5 * off**2 / v) / math.sqrt(v) for off, v in ((0.2, 0.04), (0.1, 0.01))]
    np.testing.assert_allclose(share[0, :, 0], np.array(own) / sum(own))


def test_curves_are_gone_on_with():
    """Accuracies that rise to what the operations say, two of whose epochs are seen."""
    archs = np.stack([SPACE.sample(Streams([9], f"cell {at}")) for at in range(60)], axis=1)
    end = 60.0 + 2.0 * archs.sum(axis=2)
    curve = end[..., None] - 30.0 * np.exp(-0.3 * np.arange(1.0, 3.0))
    asked = slice(40, 60)
    model = LCNet(final=20, burn_in=250, samples=8, thin=10).opened(SPACE, Streams([1]))
    known = Inputs(archs[:, :40], curve=curve[:, :40])
    model.fit(known, end[:, :40], np.ones((1, 40), bool))
    found = model.predict(Inputs(archs[:, asked], curve=curve[:, asked]))
    error = np.abs(found.mean - end[:, asked]).mean()
    assert error < 0.5 * np.abs(end[:, asked] - end[:, :40].mean()).mean()
    assert found.best.tolist() == [end[0, :40].max()]


def test_curves_of_another_figure_are_refused():
    with pytest.raises(ConfigError, match=r"set predictor\.figure=val_score, got train_loss"):
        LCNet(figure=Figure.train_loss)
    assert LCNet().reads_architectures
    assert isinstance(LCNet().opened(SPACE, Streams([0]))._encode, Encoded)
