"""OMNI on SemiNAS: by hand, and what its perceptron is given."""

import math

import numpy as np
import pytest
import torch

from nasrun.errors import UnsupportedError
from nasrun.predictors.batches import padded
from nasrun.predictors.nao import Translators
from nasrun.predictors.omni_seminas import OMNISemiNAS
from nasrun.predictors.sequence_network import SequenceNetwork
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()
SMALL = {"hidden": 8, "head": 4, "pretraining": 1, "epochs": 1, "repeats": 2}


def known(count=9, seed=3):
    streams = Streams([seed, seed + 1], "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(count)], axis=1)
    curve = streams.normal(4 * count).reshape(2, count, 4)
    return Inputs(archs, 5.0 + 3.0 * streams.normal(count)[..., None], curve)


def opened(**settings):
    return OMNISemiNAS(**SMALL, **settings).opened(SPACE, Streams([0, 1]))


def z_of(values, rows):
    return (values - values[rows].mean()) / values[rows].std()


def test_the_perceptron_reads_what_is_measured_beside_the_embedding():
    net = SequenceNetwork(7, 8, 4, Streams([3, 4, 5, 6]), beside=2)
    assert net._head[0].weight.shape == (4, 12, 4)  # two of the twelve fill up
    assert net._head[0].weight[:, 8:10].abs().min() > 0
    text = torch.from_numpy(Streams([3, 4, 5, 6]).integers(7, 12)).view(4, 4, 3)
    z = Streams([3, 4, 5, 6]).normal(6).reshape(4, 3, 2)
    figures, e, _ = net.encode(text, lambda x: x, padded(z))
    inner, outer, last = net._head
    e, more = e[0], torch.cat([e[0], torch.from_numpy(z[0]).float()], dim=1)
    more = (more @ inner.weight[0, :10] + inner.bias[0]).relu()
    more = (more @ outer.weight[0] + outer.bias[0]).relu()
    wanted = ((e + more) * math.sqrt(0.5)) @ last.weight[0] + last.bias[0]
    torch.testing.assert_close(figures[0], wanted[:, 0])
    figures.sum().backward()
    assert inner.weight.grad[:, 8:10].abs().amax(dim=(1, 2)).min() > 0


def test_z_scores_are_by_known_records_and_zero_of_what_is_not_measured(monkeypatch):
    inputs, passes = known(), []

    def remember(self, net, streams, drop, epochs, repeats, examples, records=None):
        passes.append(examples.beside.numpy().copy())

    monkeypatch.setattr(Translators, "_pass", remember)
    mask = np.arange(9)[None] < np.array([[9], [6]])
    model = opened(unlabelled_share=0.5)
    model.fit(inputs, inputs.archs.sum(axis=2).astype(float), mask)
    first, second = passes
    assert first.shape == (2, 9, 4)
    assert second.shape == (2, 13, 4)
    asked = known(1, seed=8)  # one query alone has z-scores
    for trial, count in enumerate((9, 6)):
        for at, values in enumerate((inputs.curve[trial, :, -1], inputs.extra[trial, :, 0])):
            wanted = z_of(values, slice(count))
            np.testing.assert_allclose(first[trial, :, at], wanted, rtol=1e-5)
            np.testing.assert_allclose(second[trial, :9, at], wanted, rtol=1e-5)
            one = (asked.curve[trial, 0, -1], asked.extra[trial, 0, 0])[at]
            found = model._beside(asked)[trial, 0, at]
            assert found == pytest.approx((one - values[:count].mean()) / values[:count].std())
    assert not second[:, 9:].any()
    assert not first[:, :, 2:].any()


def test_a_figure_that_measurements_alone_tell_is_learnt():
    inputs = known(40)
    y = inputs.curve[..., -1]
    recipe = OMNISemiNAS(hidden=8, pretraining=15, epochs=15, repeats=4, batch=20, rate=0.03)
    model = recipe.opened(SPACE, Streams([0, 1]))
    model.fit(inputs, y.copy(), np.ones((2, 40), bool))
    asked = known(40, seed=8)
    found = model.predict(asked).mean
    for trial in range(2):
        assert np.corrcoef(found[trial], asked.curve[trial, :, -1])[0, 1] > 0.6


def test_equal_cells_with_other_measurements_are_predicted_otherwise():
    inputs = known()
    model = opened()
    model.fit(inputs, inputs.archs.sum(axis=2).astype(float), np.ones((2, 9), bool))
    before = model.predict(inputs).mean
    for other in (
        Inputs(inputs.archs, inputs.extra + 3.0, inputs.curve),
        Inputs(inputs.archs, inputs.extra, inputs.curve + 1.0),
    ):
        assert (np.abs(model.predict(other).mean - before).max(axis=1) > 1e-3).all()
    earlier = inputs.curve.copy()
    earlier[..., :-1] = 9.0  # the last epoch alone is read
    found = model.predict(Inputs(inputs.archs, inputs.extra, earlier)).mean
    np.testing.assert_array_equal(found, before)


def test_scores_come_from_a_table_and_curves_are_needed(tmp_path):
    inputs, path = known(), tmp_path / "scores.csv"
    texts = {SPACE.text(arch): at for at, arch in enumerate(inputs.archs.reshape(-1, 6))}
    path.write_text("arch,zen,jacov\n" + "".join(f"{text},1,{at}\n" for text, at in texts.items()))
    recipe = OMNISemiNAS(**SMALL, scores=str(path))
    assert (recipe.reads, recipe.reads_architectures) == ("train_loss", True)
    assert list(recipe.files) == ["scores/scores.csv"]
    model, plain = recipe.opened(SPACE, Streams([0, 1])), Inputs(inputs.archs, curve=inputs.curve)
    y, mask = inputs.archs.sum(axis=2).astype(float), np.ones((2, 9), bool)
    model.fit(plain, y, mask)
    jacov = np.array([float(texts[SPACE.text(arch)]) for arch in inputs.archs[0]])
    np.testing.assert_allclose(model._beside(plain)[0, :, 1], z_of(jacov, slice(None)))
    with pytest.raises(UnsupportedError, match="predictor=omni_seminas reads learning curves"):
        model.fit(Inputs(inputs.archs), y, mask)
