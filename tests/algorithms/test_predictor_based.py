from dataclasses import dataclass

import numpy as np
import pytest
from toys import ToySpace, toy_problem

from nasrun.algorithms.acquisition import Acquisition
from nasrun.algorithms.candidates import Drawing, Mutants, Networks
from nasrun.algorithms.predictor_based import Candidates, PredictorBased
from nasrun.errors import ConfigError
from nasrun.predictors.mlp import MLPEnsemble
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Model, Phase, Prediction, Predictor
from nasrun.streams import Streams

TRIALS = 4


@dataclass
class Sum(Predictor, Model):
    """Predicts the sum of the options, and keeps what it was given."""

    name: str = "sum"

    def opened(self, space, streams, truth=None):
        self.fitted, self.asked = [], []
        return self

    def fit(self, inputs, y, mask):
        self.fitted.append((inputs.archs, y, mask))

    def predict(self, inputs):
        self.asked.append(inputs.archs)
        mean = inputs.archs.sum(axis=2).astype(float)
        return Prediction(mean, np.zeros_like(mean), np.zeros(len(mean)))


def played(steps, score=None, space=None, **settings):
    space, predictor = space or NB201(), Sum()
    algorithm = PredictorBased(predictor=predictor, usual="sum", **settings)
    problem = toy_problem(score or (lambda archs: archs.sum(axis=1)), TRIALS, space)
    algorithm.start(problem, Streams(range(TRIALS)), Phase.SEARCH)
    archs = np.stack([algorithm.step().archs for _ in range(steps)], axis=1)
    return archs, predictor, algorithm


def distinct(space, archs):
    return len({space.canonical(arch) for arch in archs})


def test_every_network_is_measured_once():
    archs, _, _ = played(30, initial=5, batch=5, pool=20)
    assert all(distinct(NB201(), own) == 30 for own in archs)


def test_a_round_measures_the_best_candidates_after_all_that_was_measured():
    archs, predictor, _ = played(14, initial=5, batch=3, pool=20, acquisition=Acquisition.exploit)
    assert [fit[0].shape[1] for fit in predictor.fitted] == [5, 8, 11]
    for number, (known, y, mask) in enumerate(predictor.fitted):
        np.testing.assert_array_equal(known, archs[:, : 5 + 3 * number])
        np.testing.assert_array_equal(y, known.sum(axis=2))
        assert mask.all()
        candidates = np.sort(predictor.asked[number].sum(axis=2), axis=1)[:, ::-1]
        taken = archs[:, 5 + 3 * number : 8 + 3 * number].sum(axis=2)
        np.testing.assert_array_equal(taken, candidates[:, :3])


def test_mutants_are_of_the_best():
    _, predictor, _ = played(11, initial=10, batch=1, pool=8, changes=1)
    known, y, _ = predictor.fitted[0]
    best = known[np.arange(TRIALS), y.argmax(axis=1)]
    differ = (predictor.asked[0] != best[:, None]).sum(axis=2)
    assert (differ == 1).all()


def test_where_the_best_has_too_few_mutants_the_next_ones_have():
    space = NB201()
    _, predictor, _ = played(11, initial=10, batch=1, pool=60, changes=1)
    known, y, _ = predictor.fitted[0]
    for trial in range(TRIALS):
        order = np.argsort(-y[trial], kind="stable")
        differ = (predictor.asked[0][trial][:, None] != known[trial][order[:5]]).sum(axis=2)
        assert (differ.min(axis=1) == 1).sum() > 40
        assert distinct(space, predictor.asked[0][trial]) == 60


def test_candidates_of_both_kinds():
    settings = {"initial": 10, "batch": 1, "pool": 40, "changes": 1, "mutant_share": 0.25}
    _, predictor, _ = played(11, candidates=Candidates.both, **settings)
    known, y, _ = predictor.fitted[0]
    best = known[np.arange(TRIALS), y.argmax(axis=1)]
    differ = (predictor.asked[0] != best[:, None]).sum(axis=2)
    assert (differ[:, :10] == 1).all()
    assert (differ[:, 10:].mean(axis=1) > 3.5).all()  # random cells differ in 4.8 of 6 operations


def test_failed_measurements_are_no_parents_and_are_not_learnt_from():
    def score(archs):
        return np.where(archs[:, 0] < 3, archs.sum(axis=1), np.nan)

    _, predictor, _ = played(11, score, initial=10, batch=1, pool=8, changes=1)
    known, y, mask = predictor.fitted[0]
    np.testing.assert_array_equal(mask, known[:, :, 0] < 3)
    best = known[np.arange(TRIALS), np.where(mask, y, -1).argmax(axis=1)]
    assert ((predictor.asked[0] != best[:, None]).sum(axis=2) == 1).all()


def test_an_exhausted_space_is_measured_again():
    archs, _, _ = played(9, space=ToySpace((2, 2)), initial=3, batch=2, pool=5)
    assert all(len({tuple(arch) for arch in own[:4]}) == 4 for own in archs)


def test_a_pool_holds_different_networks_in_the_order_of_the_draws():
    space = NB201()
    draws = Streams(range(TRIALS))
    drawn = []

    def draw(number):
        drawn.append(space.sample(draws) % 2)  # few different cells
        return drawn[-1]

    networks = Networks(space)
    seen = networks(space.sample(Streams(range(TRIALS)))[:, None] % 2)
    drawing = Drawing(space, networks, seen, 6)
    drawing.fill(draw, 4, 300)
    for trial in range(TRIALS):
        known = [space.canonical(space.sample(Streams([trial]))[0] % 2)]
        wanted = []
        for archs in drawn:
            if space.canonical(archs[trial]) not in known and len(wanted) < 4:
                known.append(space.canonical(archs[trial]))
                wanted.append(archs[trial].tolist())
        found = drawing.pool.found[trial]
        assert found.sum() == len(wanted)
        assert drawing.pool.archs[trial][found].tolist() == wanted


def test_decisions_of_a_mutant_change_with_probability_one_in_length():
    space, trials = NB201(), 3000
    archs = np.zeros((trials, 1, 6), np.int64)
    mutants = Mutants(space, archs, np.zeros((trials, 1)), 1, None, Streams(range(trials)))
    changed = (mutants.of_parents(0) != 0).sum(axis=1)
    # At least one change: with probability (5/6)^6 + 6 (1/6) (5/6)^5 exactly one, or two that
    # met at one edge, which are 1/6 of the pairs.
    one = (5 / 6) ** 6 + (5 / 6) ** 5
    assert one < (changed == 1).mean() < one + 0.06
    assert changed.max() <= 4


def test_a_mutant_has_as_many_changes_as_any_other_number_up_to_the_most():
    space, trials = NB201(), 3000
    archs = np.zeros((trials, 1, 6), np.int64)
    mutants = Mutants(space, archs, np.zeros((trials, 1)), 1, 3, Streams(range(trials)))
    assert np.bincount(mutants._counts(), minlength=4) / trials == pytest.approx(
        [0, 1 / 3, 1 / 3, 1 / 3], abs=0.03
    )


def test_another_predictor_stands_in_the_label():
    assert PredictorBased(name="bananas", predictor=Sum(), usual="sum").label == "bananas"
    own = PredictorBased(name="bananas", predictor=Sum(), usual="mlp").label
    assert own == "bananas[predictor=sum]"


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.pool must be at least algorithm\.batch=10"):
        PredictorBased(predictor=Sum(), pool=3)
    with pytest.raises(ConfigError, match="must be a predictor"):
        PredictorBased()
    with pytest.raises(ConfigError, match="one member of an ensemble, which predictor=sum is not"):
        PredictorBased(predictor=Sum(), acquisition=Acquisition.ts)
    assert PredictorBased(predictor=MLPEnsemble(), acquisition=Acquisition.ts)
