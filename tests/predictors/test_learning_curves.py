import json
import zipfile
from functools import partial

import numpy as np
import pytest
from scipy.stats import kendalltau, norm

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.predictors.curve_families import FAMILIES
from nasrun.predictors.lce import LCE, USED, log_likelihood
from nasrun.predictors.lce_m import LCEM
from nasrun.predictors.lcnet import LCNet
from nasrun.predictors.lcsvr import LCSVR, curve_features, held_out_r2
from nasrun.predictors.learning_curves import CurveReading, Reading, last_epoch, read
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

TRUE = {
    "vapour_pressure": [-0.5, -0.7, 0.03],
    "pow3": [0.9, 0.6, 0.8],
    "pow4": [0.9, 0.8, 1.5, 0.9],
    "log_log_linear": [0.2, 1.6],
    "log_power": [0.9, 1.0, -1.1],
    "mmf": [0.9, 0.2, 0.4, 1.3],
    "exp4": [0.9, 0.7, -0.4, 0.7],
    "janoschek": [0.9, 0.2, 0.25, 0.8],
    "weibull": [0.9, 0.2, 0.2, 0.8],
    "ilog2": [0.9, 0.35],
    "hill3": [0.9, 0.9, 1.4],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_goes_on_as_a_noiseless_curve_of_it_does(name):
    family, x = FAMILIES[name], np.arange(1.0, 101.0)
    whole = family(x, np.array(TRUE[name]))
    assert np.isfinite(whole).all()
    assert (np.diff(whole) > 0).all()
    found = family(x, family.fitted(whole[:30]))
    np.testing.assert_allclose(found, whole, atol=2e-3)


def test_there_are_domhans_eleven():
    assert TRUE.keys() == FAMILIES.keys()
    # Hill's third: half of theta at kappa.
    assert FAMILIES["hill3"](np.array([2.0]), np.array([0.8, 3.0, 2.0]))[0] == pytest.approx(0.4)


def test_families_by_hand():
    """At epoch 2, by Domhan et al.'s Table 1."""
    two = {
        "vapour_pressure": np.exp(-0.5 - 0.35) * 2**0.03,
        "pow3": 0.9 - 0.6 / 2**0.8,
        "pow4": 0.9 - 1 / 3.1**0.9,
        "log_log_linear": np.log(0.2 * np.log(2) + 1.6),
        "log_power": 0.9 / (1 + (np.e / 2) ** 1.1),
        "mmf": 0.9 - 0.7 / (1 + 0.8**1.3),
        "exp4": 0.9 - np.exp(-0.7 * 2**0.7 - 0.4),
        "janoschek": 0.9 - 0.7 * np.exp(-0.25 * 2**0.8),
        "weibull": 0.9 - 0.7 * np.exp(-(0.4**0.8)),
        "ilog2": 0.9 - 0.35 / np.log(3),
        "hill3": 0.9 * 2**0.9 / (1.4**0.9 + 2**0.9),
    }
    found = {name: FAMILIES[name](np.array([2.0]), np.array(TRUE[name]))[0] for name in TRUE}
    assert found == pytest.approx(two)


def test_the_likelihood_is_that_of_normal_errors():
    value, curve = np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.9])  # the last is beyond the curve
    wanted = norm.logpdf(curve, value[:2], 0.2).sum() + 2 * np.log(0.2 * np.sqrt(2 * np.pi))
    assert log_likelihood(value, curve, 0.2) == pytest.approx(wanted)


def test_r2_is_of_the_third_that_is_held_out():
    class Mean:
        def fit(self, x, y):
            self.mean = y.mean()
            return self

        def predict(self, x):
            return np.full(len(x), self.mean)

    # Held out are 1 and 5 (mean of the others 4.75), 2 and 8 (3.75), 3 and 6 (4).
    parts = [1 - (3.75**2 + 0.25**2) / 8, 1 - (1.75**2 + 4.25**2) / 18, 1 - (1 + 4) / 4.5]
    y = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 6.0])
    assert held_out_r2(Mean(), y[:, None], y) == pytest.approx(np.mean(parts))


def test_one_draw_of_settings_is_enough_to_choose_between_two():
    """A kernel so narrow that it says the same everywhere between records, and a drawn one."""
    pytest.importorskip("sklearn")
    level = np.linspace(50.0, 90.0, 12)[None, :, None]
    inputs = Inputs(np.zeros((1, 12, 6), np.int64), curve=level + np.arange(3.0))
    known = np.arange(12)[None] % 2 == 0
    spread = []
    for draws in (0, 1):
        model = LCSVR(gamma=1e4, draws=draws).opened(NB201(), Streams([2]))
        model.fit(inputs, level[..., 0], known)
        spread.append(np.ptp(model.predict(inputs).mean[~known]))
    assert spread[0] < 1e-9 < 0.1 < spread[1]


def test_sums_and_averages_of_curves():
    curve = np.array([[-4.0, -2.0, -1.0]])
    assert read(curve, Reading.last).tolist() == [-1.0]
    assert read(curve, Reading.sum).tolist() == [-7.0]
    averages = [-4.0, 0.25 * -4 + 0.75 * -2]
    averages.append(0.25 * averages[1] + 0.75 * -1)
    np.testing.assert_allclose(read(curve, Reading.ema, 0.75), [sum(averages)])


def test_features_of_a_curve():
    found = curve_features(np.array([1.0, 3.0, 4.0, 4.0]))
    first, second = [2.0, 1.0, 0.0], [-1.0, -1.0]
    wanted = [3.0, np.std([1, 3, 4, 4]), np.mean(first), np.std(first), -1.0, np.std(second)]
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(curve_features(np.array([2.0])), [2.0, 0, 0, 0, 0, 0])


def test_an_extrapolation_is_the_mean_of_what_its_families_say():
    x = np.arange(1.0, 201.0)
    whole = 100 * FAMILIES["mmf"](x, np.array(TRUE["mmf"]))
    inputs = Inputs(NB201().sample(Streams([0]))[:, None], curve=whole[None, None, :40], full=200)
    model = LCE(walk=30).opened(NB201(), Streams([0]))
    model.fit(inputs, np.array([[80.0]]), np.array([[True]]))
    found = model.predict(inputs)
    own = [FAMILIES[name](x, FAMILIES[name].fitted(whole[:40] / 100, 100))[-1] for name in USED]
    assert found.mean[0, 0] == pytest.approx(100 * np.mean(own), abs=0.5)
    assert 0 < found.sd[0, 0] < 1


@pytest.mark.parametrize("kind", [LCE, partial(LCEM, burn_in=3, samples=3), LCNet])
def test_a_curve_goes_on_to_the_end_of_the_training_unless_said(kind):
    assert last_epoch(Inputs(np.zeros((1, 1, 2), int), full=12), kind().final) == 12
    assert last_epoch(Inputs(np.zeros((1, 1, 2), int), full=12), kind(final=50).final) == 50
    space = NB201()
    inputs = Inputs(space.sample(Streams([0]))[:, None], curve=np.arange(1.0, 5.0)[None, None])
    model = kind().opened(space, Streams([0]))

    def asked():
        model.fit(inputs, np.array([[80.0]]), np.array([[True]]))
        model.predict(inputs)

    with pytest.raises(ConfigError, match=r"predictor\.final must be set"):
        asked()


def test_what_is_predicted_of_a_short_training_is_its_end():
    space, x = NB201(), np.arange(1.0, 201.0)
    whole = 100 * FAMILIES["mmf"](x, np.array(TRUE["mmf"]))
    archs = space.sample(Streams([0]))[:, None]
    means = []
    for own, full in ((LCE(walk=9), 12), (LCE(walk=9, final=12), 200), (LCE(walk=9), 200)):
        inputs = Inputs(archs, curve=whole[None, None, :6], full=full)
        model = own.opened(space, Streams([0]))
        model.fit(inputs, np.array([[80.0]]), np.array([[True]]))
        means.append(model.predict(inputs).mean[0, 0])
    assert means[0] == means[1] != means[2]


@pytest.mark.parametrize(("reading", "best"), [(Reading.sum, 5.0), (Reading.last, 4.0)])
def test_the_best_is_what_a_curve_says_not_a_score(reading, best):
    """So that expected improvement compares sums with sums."""
    curve = np.array([[[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]]])
    inputs = Inputs(np.zeros((1, 3, 2), int), curve=curve)
    model = CurveReading(reading=reading).opened(NB201(), Streams([0]))
    model.fit(inputs, np.array([[90.0, 91.0, np.nan]]), np.array([[True, True, False]]))
    assert model.predict(inputs).best.tolist() == [best]


def test_without_curves_a_reader_of_curves_refuses():
    model = CurveReading().opened(NB201(), Streams([0]))
    with pytest.raises(UnsupportedError, match="predictor=early_stop reads learning curves"):
        model.predict(Inputs(NB201().sample(Streams([0]))[:, None]))


@pytest.fixture(scope="module")
def nlp(data_dir):
    """Training and validation losses of NAS-Bench-NLP's 341 whole trainings: ``(341, 50)`` each."""
    curves = []
    with zipfile.ZipFile(data_dir / "nb_nlp/nas_bench_nlp_wikitext2_logs.zip") as archive:
        for name in archive.namelist():
            log = json.loads(archive.read(name))
            if log["status"] == "OK" and len(log["val_losses"]) == 50:
                curves.append((log["train_losses"], log["val_losses"]))
    return np.array(curves).transpose(1, 0, 2)


def tau(mean, val):
    return kendalltau(mean, -val.min(axis=1)).statistic


@pytest.mark.data
def test_figures_on_real_curves(nlp):
    """Kendall's tau with the best validation loss at epochs 5, 10, 20 of 50, as measured before."""
    train, val = nlp
    assert len(train) == 341
    measured = {"sum": (-train, [0.688, 0.747, 0.795]), "last": (-train, [0.741, 0.804, 0.850])}
    for reading, (curve, wanted) in measured.items():
        found = [tau(read(curve[:, :epoch], Reading(reading)), val) for epoch in (5, 10, 20)]
        np.testing.assert_allclose(found, wanted, atol=0.001)
    found = [tau(read(-val[:, :epoch], Reading.last), val) for epoch in (5, 10, 20)]
    np.testing.assert_allclose(found, [0.766, 0.832, 0.908], atol=0.001)


@pytest.mark.data
def test_support_vectors_on_real_curves(nlp):
    """.80, .85, .90 with 100 curves to learn from, by C = 1 and nu = 0.5; ± .03."""
    pytest.importorskip("sklearn")
    _, val = nlp
    final = -val.min(axis=1)
    order = np.argsort(Streams(range(5), "order").uniform(len(val)), axis=1, kind="stable")
    archs = NB201().sample(Streams(range(5)))[:, None]
    for epoch, wanted in ((5, 0.80), (10, 0.85), (20, 0.90)):
        curves = -val[order][:, :, :epoch]
        model = LCSVR().opened(NB201(), Streams(range(5)))
        known = Inputs(archs.repeat(100, axis=1), curve=curves[:, :100])
        model.fit(known, final[order[:, :100]], np.ones((5, 100), bool))
        asked = Inputs(archs.repeat(len(val) - 100, axis=1), curve=curves[:, 100:])
        mean = model.predict(asked).mean
        own = [kendalltau(mean[at], final[order[at, 100:]]).statistic for at in range(5)]
        assert np.mean(own) == pytest.approx(wanted, abs=0.03)
