"""What every predictor promises. A YAML file in conf/predictor is all that enrols one here."""

import copy
import random
from functools import cache

import numpy as np
import pytest
import torch
from composed import GROUP_FILES, composed, quick
from omegaconf import OmegaConf
from scipy.stats import kendalltau
from toys import ToySpace

from nasrun.config import build
from nasrun.predictors import graph_cohort, mlp, nao, sampled_networks
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs, Predictor
from nasrun.streams import Streams

PREDICTORS = [name for group, name in GROUP_FILES if group == "predictor"]
SPACES = {"toy": ToySpace((2, 3, 4)), "nb201": NB201()}
TRIALS, RECORDS, ASKED = 3, 13, 7
pytestmark = pytest.mark.parametrize("name", PREDICTORS)
every_space = pytest.mark.parametrize("space", SPACES)


@cache
def node(name):
    own = composed(f"predictor={name}").predictor
    return OmegaConf.create(OmegaConf.to_container(own, resolve=True))


@pytest.fixture(scope="module", autouse=True)
def tables(tmp_path_factory):
    """Scores of all architectures of each space, for what cannot do without."""
    folder = tmp_path_factory.mktemp("scores")
    for name, space in SPACES.items():
        archs = space.at(np.arange(space.size))
        rows = zip(map(space.text, archs), figures(archs) ** 2, strict=True)
        lines = [f"{text},{score}" for text, score in rows]
        TABLES[name] = folder / f"{name}.csv"
        TABLES[name].write_text("\n".join(["arch,jacov", *lines]))


TABLES = {}
NEED_SCORES = {"zero_cost"}


def completed(name, own, space):
    if name in NEED_SCORES:
        own.scores = str(TABLES[space])
    return own


def make(name, space="nb201"):
    own = completed(name, quick(copy.deepcopy(node(name))), space)
    return build(own, Predictor, "predictor")


def curve(archs):
    """What a training would have reached after each of six epochs."""
    epochs = np.arange(1.0, 7.0)
    return figures(archs)[..., None] * (1.0 - 0.5 / epochs)


def known(archs):
    return Inputs(archs, curve=curve(archs), full=12)


def figures(archs):
    """A score in percent: the more of the later options, the better."""
    return 50.0 + 2.0 * archs.sum(axis=-1)


def records(space, seeds, count):
    streams = Streams(seeds, "records")
    archs = np.stack([space.sample(streams) for _ in range(count)], axis=1)
    return archs, figures(archs)


def masked(space, seeds=range(TRIALS)):
    """Records of which a fifth are missing, by trial, with what is to be predicted."""
    archs, y = records(space, seeds, RECORDS)
    mask = Streams(seeds, "mask").uniform(RECORDS) > 0.2
    asked, _ = records(space, [seed + 1000 for seed in seeds], ASKED)
    return known(archs), y, mask, known(asked)


def predicted(name, space, seeds=range(TRIALS), model=None, fill=np.nan):
    recipe, space = make(name, space), SPACES[space]
    inputs, y, mask, asked = masked(space, seeds)
    model = model or recipe.opened(space, Streams(seeds), figures)
    model.fit(inputs, np.where(mask, y, fill), mask)
    return model.predict(asked)


@cache
def plain(name, space):
    """Predictions that several tests look at."""
    return predicted(name, space)


def parts(prediction, trial):
    own = [prediction.mean[trial], prediction.sd[trial], prediction.best[trial]]
    if prediction.members is not None:
        own.append(prediction.members[trial])
    return [np.asarray(part).tobytes() for part in own]


@every_space
def test_predictions_have_a_row_a_trial(name, space):
    found = plain(name, space)
    assert found.mean.shape == found.sd.shape == (TRIALS, ASKED)
    assert found.best.shape == (TRIALS,)
    assert np.isfinite(found.mean).all()
    assert (found.sd >= 0).all()
    assert (found.members is not None) == make(name).has_members
    if found.members is not None:
        assert found.members.shape[::2] == (TRIALS, ASKED)


@every_space
def test_a_trial_is_the_same_alone_and_in_a_cohort(name, space):
    together = plain(name, space)
    for seed in range(TRIALS):
        alone = predicted(name, space, [seed])
        assert parts(together, seed) == parts(alone, 0)


def test_blocks_of_trials_on_several_threads_change_nothing(name, monkeypatch):
    together = plain(name, "nb201")
    monkeypatch.setattr(mlp, "NETWORKS", 2)
    monkeypatch.setattr(graph_cohort, "AT_ONCE", 2)
    monkeypatch.setattr(sampled_networks, "AT_ONCE", 2)
    monkeypatch.setattr(nao, "AT_ONCE", 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        apart = predicted(name, "nb201")
    finally:
        torch.set_num_threads(before)
    for trial in range(TRIALS):
        assert parts(together, trial) == parts(apart, trial)


def test_figures_that_are_masked_say_nothing(name):
    first, second = plain(name, "nb201"), predicted(name, "nb201", fill=1e9)
    for trial in range(TRIALS):
        assert parts(first, trial) == parts(second, trial)


def test_the_best_is_the_highest_figure_that_was_learnt_from(name):
    _, y, mask, _ = masked(SPACES["nb201"])
    found = plain(name, "nb201").best
    order = np.where(mask, y, -np.inf).max(axis=1)
    if found.tolist() != order.tolist():  # on another scale, which grows with the figures
        assert (
            np.argsort(found, kind="stable").tolist() == np.argsort(order, kind="stable").tolist()
        )


def test_a_trial_without_figures_predicts_a_constant(name):
    if name in LEARN_NOTHING:
        pytest.skip("learns nothing from figures")
    space = SPACES["nb201"]
    inputs, y, mask, asked = masked(space)
    mask[1] = False
    model = make(name).opened(space, Streams(range(TRIALS)))
    model.fit(inputs, np.where(mask, y, np.nan), mask)
    found = model.predict(asked)
    assert np.isfinite(found.mean).all()
    assert np.ptp(found.mean[1]) <= np.ptp(found.mean[0]) + 1e-6 or name in NETWORKS


def test_figures_that_are_all_alike_teach_what_they_are(name):
    """In one trial of three, and in all there are, so that none can lean on its neighbours."""
    space = SPACES["nb201"]
    inputs, y, mask, asked = masked(space)
    y[1] = 70.0
    for rows in (slice(0, TRIALS), slice(1, 2)):
        own, known = (Inputs(part.archs[rows], curve=part.curve[rows], full=12)
                      for part in (asked, inputs))  # fmt: skip
        model = make(name).opened(space, Streams(range(TRIALS)[rows]), figures)
        model.fit(known, np.where(mask, y, np.nan)[rows], mask[rows])
        found = model.predict(own)
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.sd).all()


def test_a_trial_alone_without_figures_is_predicted_too(name):
    inputs, y, mask, asked = masked(SPACES["nb201"], [0])
    model = make(name).opened(SPACES["nb201"], Streams([0]), figures)
    model.fit(inputs, np.full(y.shape, np.nan), np.zeros_like(mask))
    found = model.predict(asked)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.sd).all()


LEARN_NOTHING = {
    "oracle", "early_stop", "sotl", "sotl_e", "sotl_ema", "lce", "lce_m", "zero_cost"
}  # fmt: skip
# Sizes with which a predictor learns enough in a second.
SHORT_TEXTS = {
    "hidden": 8, "pretraining": 6, "epochs": 6, "repeats": 4, "batch": 20, "rate": 0.03
}  # fmt: skip
ENOUGH = {
    "gcn": {"hidden": 32, "head": 16, "rate": 1e-2, "epochs": 20},
    "gin": {"epochs": 30},
    "gin_normal": {"epochs": 40},
    "dngo": {"epochs": 60},
    "ngb": {"rounds": 15, "depth": 3},
    "nao": SHORT_TEXTS,
    "seminas": SHORT_TEXTS,
    "omni_seminas": SHORT_TEXTS,
    "lcnet": {"burn_in": 300, "samples": 10, "thin": 10},
    "lce": {"walk": 5, "fits": 5},
    "lce_m": {"burn_in": 5, "samples": 5, "fits": 5},
}
# Networks that saw nothing predict what their first weights say.
NETWORKS = {"mlp", "bohamiann", "bonas", "nao", "seminas", "omni_seminas", "lcnet"}


def test_a_fit_forgets_the_one_before(name):
    space, used = SPACES["nb201"], make(name)
    model = used.opened(space, Streams(range(TRIALS)), figures)
    inputs, y, mask, asked = masked(space)
    model.fit(inputs, 100.0 - y, mask)
    model.fit(inputs, y, mask)
    again = model.predict(asked)
    assert np.isfinite(again.mean).all()
    assert again.best.tolist() == plain(name, "nb201").best.tolist()


def test_opening_leaves_the_recipe_and_global_random_state_alone(name):
    def states():
        legacy = np.random.get_state()  # noqa: NPY002 (what must not change)
        return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist()

    recipe, before = make(name, "toy"), states()
    settings = copy.deepcopy(vars(recipe))
    model = recipe.opened(SPACES["toy"], Streams(range(TRIALS)), figures)
    predicted(name, "toy", model=model)
    assert vars(recipe) == settings
    assert states() == before


def test_predictions_order_what_was_not_learnt_from(name):
    """Kendall's tau of an additive figure over 60 new cells, from 40 of them."""
    space, seeds = SPACES["nb201"], range(2)
    archs, y = records(space, seeds, 40)
    asked, truth = records(space, [7, 8], 60)
    own = completed(name, copy.deepcopy(node(name)), "nb201")
    own.update({key: value for key, value in ENOUGH.get(name, {}).items() if key in own})
    model = build(own, Predictor, "predictor").opened(space, Streams(seeds), figures)
    model.fit(known(archs), y, np.ones(y.shape, bool))
    mean = model.predict(known(asked)).mean
    assert all(kendalltau(mean[trial], truth[trial]).statistic > 0.3 for trial in seeds)
