from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.predictors.learning_curves import Figure
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams
from nasrun.studies.predictors import PredictorBenchmark, _Logs

pytestmark = pytest.mark.skipif(find_spec("ngboost") is None, reason="needs NGBoost")
SPACE = NB201()


def known(count=30, seed=3):
    """Inputs of two trials, and the columns that a plain reading of the paper makes of them."""
    streams = Streams([seed, seed + 1], "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(count)], axis=1)
    curve = streams.normal(4 * count).reshape(2, count, 4)
    extra = 5.0 + 3.0 * streams.normal(count)[..., None]
    return Inputs(archs, extra, curve)


def opened(**settings):
    from nasrun.predictors.omni import OMNI

    return OMNI(rounds=12, depth=3, **settings).opened(SPACE, Streams([0, 1]))


def test_features_are_z_scores_of_what_was_learnt_from_and_the_architecture():
    inputs, asked = known(), known(1, seed=8)
    mask = np.arange(30)[None] < np.array([[30], [20]])
    model = opened()
    model.fit(inputs, inputs.curve[..., -1].copy(), mask)
    found = model._encode(asked)  # one query alone has a z-score
    for trial, count in enumerate((30, 20)):
        for column, values, own in (
            (0, inputs.curve[trial, :count, -1], asked.curve[trial, 0, -1]),
            (1, inputs.extra[trial, :count, 0], asked.extra[trial, 0, 0]),
        ):
            wanted = (own - values.mean()) / values.std()
            assert found[trial, 0, column] == pytest.approx(wanted)
        coded = SPACE.encode(asked.archs[trial], "adjacency")
        np.testing.assert_array_equal(found[trial, :, 2:], coded)


def test_each_part_is_used():
    """A figure that is half of one part and half of another needs both."""
    inputs, asked = known(120), known(60, seed=8)

    def figure(own):
        return own.curve[..., -1] + (own.extra[..., 0] - 5.0) / 3.0

    def error(drop):
        parts = [
            Inputs(own.archs, None if drop else own.extra, own.curve) for own in (inputs, asked)
        ]
        model = opened(figure="val_score")
        model.fit(parts[0], figure(inputs), np.ones((2, 120), bool))
        return np.abs(model.predict(parts[1]).mean - figure(asked)).mean()

    assert error(drop=False) < 0.8 * error(drop=True)


def test_scores_come_from_a_table(tmp_path):
    inputs = known()
    path = tmp_path / "scores.csv"
    texts = {SPACE.text(arch): at for at, arch in enumerate(inputs.archs.reshape(-1, 6))}
    path.write_text("arch,zen,jacov\n" + "".join(f"{text},1,{at}\n" for text, at in texts.items()))
    model, mask = opened(scores=str(path)), np.ones((2, 30), bool)
    plain = Inputs(inputs.archs, curve=inputs.curve)
    model.fit(plain, inputs.curve[..., -1].copy(), mask)
    jacov = np.array([texts[SPACE.text(arch)] for arch in inputs.archs[0]])
    found = model._encode(model.scored(plain))[0, :, 1]
    np.testing.assert_allclose(found, (jacov - jacov.mean()) / jacov.std())


def test_curves_and_architectures_are_needed(tmp_path):
    from nasrun.predictors.omni import OMNI

    assert (OMNI().reads, OMNI(figure=Figure.val_score).reads) == ("train_loss", "val_score")
    path = tmp_path / "curves.csv"  # which does not say what was trained
    path.write_text("acc_1,acc_2,acc_3\n" + "0.1,0.2,0.3\n" * 9)
    opened = SimpleNamespace(experiment=SimpleNamespace(space=SPACE))
    with pytest.raises(ConfigError, match=r"predictor=omni reads architectures, which study\.logs"):
        _Logs(PredictorBenchmark(predictor=OMNI(), logs=str(path)), opened)


def test_a_curve_is_needed():
    inputs = known()
    with pytest.raises(UnsupportedError, match="predictor=omni reads learning curves"):
        opened().fit(Inputs(inputs.archs), np.zeros((2, 30)), np.ones((2, 30), bool))
