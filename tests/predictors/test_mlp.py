from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.errors import ConfigError
from nasrun.predictors.base import Targets, encoding_of, scaled
from nasrun.predictors.mlp import Loss, MLPEnsemble
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()
KINDS = {
    "mae": (Loss.mae, Targets.zscore, 0.0),
    "mse": (Loss.mse, Targets.zscore, 0.0),
    "mape": (Loss.mape, Targets.plain, 0.0),
    "penalised": (Loss.mae, Targets.zscore, 0.2),
}


def plainly(recipe, archs, y, seed):
    """One network after the other by PyTorch's own modules, and what they predict of ``archs``."""
    streams = Streams([seed])
    x = torch.from_numpy(SPACE.encode(archs, "onehot")).float()
    plain = recipe.targets is Targets.plain
    centre, spread = (0.0, 1.0) if plain else (y.mean(), y.std())
    goal = torch.from_numpy(100.0 - y if plain else (y - centre) / spread).float()
    sizes = [x.shape[1], *[recipe.width] * recipe.layers, 1]
    drawn = []
    for fan_in, fan_out in pairwise(sizes):
        draws = 2.0 * streams.uniform(recipe.members * fan_in * fan_out)[0] - 1.0
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        drawn.append(limit * draws.reshape(recipe.members, fan_in, fan_out))
    keys = streams.uniform(recipe.epochs * len(y)).reshape(recipe.epochs, len(y))
    found = []
    for member in range(recipe.members):
        layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
        for layer, weights in zip(layers, drawn, strict=True):
            layer.weight.data = torch.from_numpy(weights[member].T).float().contiguous()
            layer.bias.data.zero_()
        between = [part for layer in layers for part in (layer, nn.ReLU())][:-1]
        net = nn.Sequential(*between)
        optimiser = torch.optim.Adam(net.parameters(), recipe.rate, (0.9, 0.99), eps=1e-7)
        for key in keys:
            for rows in torch.from_numpy(np.argsort(key)).split(recipe.batch):
                out, wanted = net(x[rows])[:, 0], goal[rows]
                error = out - wanted
                if recipe.loss is Loss.mape:
                    error = (out - 4.5) / (wanted - 4.5) - 1
                loss = error.square().mean() if recipe.loss is Loss.mse else error.abs().mean()
                loss = loss + recipe.head_penalty * layers[-1].weight.abs().sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        out = net(x)[:, 0].detach().double().numpy()
        found.append(100.0 - out if plain else out * spread + centre)
    return np.stack(found)


@pytest.mark.parametrize("kind", KINDS)
def test_an_ensemble_is_trained_as_its_members_one_by_one(kind):
    loss, targets, penalty = KINDS[kind]
    recipe = MLPEnsemble(
        encodings=["onehot"], members=3, layers=3, width=6, epochs=5, batch=10,
        loss=loss, targets=targets, head_penalty=penalty,
    )  # fmt: skip
    seeds = [4, 9]
    streams = Streams(seeds, "archs")
    archs = np.stack([SPACE.sample(streams) for _ in range(21)], axis=1)
    y = 60.0 + 10 * streams.uniform(21)
    model = recipe.opened(SPACE, Streams(seeds))
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    found = model.predict(Inputs(archs))
    for trial, seed in enumerate(seeds):
        wanted = plainly(recipe, archs[trial], y[trial], seed)
        np.testing.assert_allclose(found.members[trial], wanted, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(found.mean[trial], wanted.mean(axis=0), rtol=2e-4)
        np.testing.assert_allclose(found.sd[trial], wanted.std(axis=0), rtol=1e-2, atol=1e-3)


def test_targets():
    y, mask = np.array([[1.0, 3.0, np.nan]]), np.array([[True, True, False]])
    z, scale = scaled(y, mask, Targets.zscore)
    assert z.tolist() == [[-1.0, 1.0, 0.0]]
    assert scale.restored(z)[0, :2].tolist() == [1.0, 3.0]
    assert scale.best.tolist() == [3.0]
    z, scale = scaled(y, mask, Targets.log_error)
    np.testing.assert_allclose(scale.restored(z)[0, :2], -np.log([99.0, 97.0]))
    np.testing.assert_allclose(scale.best, -np.log(97.0))
    z, scale = scaled(np.array([[130.0, 70.0]]), np.array([[True, True]]), Targets.log_error)
    assert z.tolist() == [[1.0, -1.0]]
    assert scale.best.tolist() == [130.0]


def test_the_first_encoding_that_a_space_has_is_taken():
    assert encoding_of(SPACE, []) == SPACE.encodings[0]
    assert encoding_of(SPACE, ["of_another_space", "path", "onehot"]) == "path"
    with pytest.raises(ConfigError, match="no encoding 'of_another_space'"):
        encoding_of(SPACE, ["of_another_space"])
    # Graphs of once-for-all's networks do not say the resolution.
    assert encoding_of(MobileNetV3(), ["adjacency", "onehot"]) == "onehot"
    assert encoding_of(MobileNetV3(), ["adjacency"]) == "adjacency"
    assert encoding_of(MobileNetV3(resolutions=[]), ["adjacency", "onehot"]) == "adjacency"


def test_a_floor_needs_percentages():
    with pytest.raises(ConfigError, match=r"set predictor\.targets=plain"):
        MLPEnsemble(loss=Loss.mape)
