"""Searches by predictors of learning curves: what they train, read and pay for."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from toys import Rewarding, ToyEvaluator, ToySpace, toy_experiment, toy_problem

from nasrun.algorithms.acquisition import Acquisition
from nasrun.algorithms.predictor_based import PredictorBased
from nasrun.errors import DataError, UnsupportedError
from nasrun.pipeline import search
from nasrun.predictors.learning_curves import CurveReading, Figure, Reading
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Measured, Metric, Phase
from nasrun.streams import Streams

TRIALS = 3
SPACE = NB201()


class Curved(Rewarding):
    """Twenty epochs, of which each adds a twentieth; losses are how much is left."""

    fidelities = tuple(range(1, 21))
    curves = ("val_score", "train_loss")

    def __init__(self, gap=None, short=20, sign=1.0):
        super().__init__(lambda archs: archs.sum(axis=1))
        self.gap, self.short, self.sign, self.read = gap, short, sign, []
        if sign < 0:
            self.metric = Metric("error_pct", "error", "%", higher_is_better=False)

    def evaluate(self, archs, *, epochs, streams, parents=None):
        trained = np.minimum(epochs, self.short)
        score = self.sign * archs.sum(axis=1) * trained / 20
        return Measured.scored(archs, trained, score, trained.astype(float))

    def curve(self, archs, *, epochs, figure="val_score"):
        self.read.append((archs, epochs))
        at = np.arange(1, epochs.max() + 1)
        curve = archs.sum(axis=1)[:, None] * at / 20
        curve = 30.0 - curve if figure == "train_loss" else self.sign * curve
        curve[at > epochs[:, None]] = np.nan
        if self.gap is not None:
            curve[:, self.gap - 1] = np.nan
        return curve


SETTINGS = {"initial": 4, "batch": 2, "pool": 6, "acquisition": Acquisition.exploit}


def played(predictor, steps, measuring=None, trials=TRIALS, seeds=None, **settings):
    measuring = measuring or Curved()
    algorithm = PredictorBased(predictor=predictor, **{**SETTINGS, **settings})
    algorithm.start(
        toy_problem(measuring, trials, SPACE), Streams(seeds or range(trials)), Phase.SEARCH
    )
    return [algorithm.step() for _ in range(steps)], algorithm


@pytest.mark.parametrize(
    "predictor",
    [
        CurveReading(),
        CurveReading(name="sotl", figure=Figure.train_loss, reading=Reading.sum),
        CurveReading(name="sotl_e", figure=Figure.train_loss),
    ],
    ids=lambda own: own.name,
)
def test_candidates_are_trained_for_a_while_and_the_best_of_them_in_full(predictor):
    measured, algorithm = played(predictor, 4 + 2 * 8)
    assert [int(m.epochs[0]) for m in measured] == [20] * 4 + 2 * ([2] * 6 + [20] * 2)
    assert [float(m.cost_s[0]) for m in measured[4:12]] == [2.0] * 6 + [20.0] * 2
    for begun in (4, 12):
        pool = np.stack([m.archs for m in measured[begun : begun + 6]], axis=1)
        taken = np.stack([m.archs for m in measured[begun + 6 : begun + 8]], axis=1)
        best = np.sort(pool.sum(axis=2), axis=1)[:, ::-1][:, :2]
        np.testing.assert_array_equal(taken.sum(axis=2), best)
    full = [m.archs.sum(axis=1) for m in measured if m.epochs[0] == 20]
    np.testing.assert_array_equal(algorithm.recommend().sum(axis=1), np.max(full, axis=0))


def test_nothing_is_a_candidate_twice_and_no_curve_is_read_that_was_not_paid_for():
    measuring = Curved()
    measured, _ = played(CurveReading(), 4 + 3 * 8, measuring)
    for trial in range(TRIALS):
        new = [m.archs[trial] for m in measured[:4]]
        new += [m.archs[trial] for m in measured[4:] if m.epochs[0] == 2]
        assert len({SPACE.canonical(arch) for arch in new}) == 4 + 3 * 6
    paid = {arch.tobytes() for m in measured for arch in m.archs}
    for archs, epochs in measuring.read:
        assert all(arch.tobytes() in paid for arch in archs)
        assert (epochs <= 2).all()


@dataclass
class Listening(CurveReading):
    """Keeps what it was fitted to."""

    fitted: list = field(default_factory=list)

    def opened(self, space, streams, truth=None):
        model = super().opened(space, streams)
        fit = model.fit

        def keep(inputs, y, mask):
            self.fitted.append((inputs, y, mask))
            fit(inputs, y, mask)

        model.fit = keep
        return model


def test_it_learns_from_the_beginnings_of_what_was_trained_in_full():
    predictor = Listening()
    measured, _ = played(predictor, 11, curve_share=0.15)
    inputs, y, mask = predictor.fitted[0]
    sums = np.stack([m.archs.sum(axis=1) for m in measured[:4]], axis=1)
    np.testing.assert_array_equal(y, sums)
    np.testing.assert_allclose(inputs.curve, sums[:, :, None] * [1 / 20, 2 / 20, 3 / 20])
    assert mask.all()


def test_of_errors_the_curve_is_turned_round():
    predictor = Listening()
    played(predictor, 11, Curved(sign=-1.0))
    inputs, _, _ = predictor.fitted[0]
    assert (inputs.curve >= 0).all()


def test_what_was_stopped_before_that_epoch_teaches_nothing():
    with pytest.raises(DataError, match="found gaps in each curve"):
        played(CurveReading(), 11, Curved(short=1))
    with pytest.raises(DataError, match=r"expected val_score after every epoch up to 2"):
        played(CurveReading(), 11, Curved(gap=1))


def test_without_curves_the_search_is_refused():
    with pytest.raises(UnsupportedError, match="expected learning curves of val_score"):
        played(CurveReading(), 1, Rewarding(lambda archs: archs.sum(axis=1)))


def test_a_trial_is_the_same_alone_and_in_a_cohort():
    whole, _ = played(CurveReading(), 20)
    alone, _ = played(CurveReading(), 20, trials=1, seeds=[2])
    for together, single in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(together.archs[2:], single.archs)


def test_the_label_says_which_share():
    assert PredictorBased(predictor=CurveReading()).label == "bananas[predictor=early_stop@0.1]"


@dataclass
class CurvedToy(ToyEvaluator):
    """The toy with curves."""

    curves = ("val_score",)

    def curve(self, archs, *, epochs, figure="val_score"):
        at = np.arange(1, epochs.max() + 1)
        return np.where(at > epochs[:, None], np.nan, ToySpace().index(archs)[:, None] * at / 12)


def test_a_whole_run_counts_and_charges_the_candidates():
    algorithm = PredictorBased(predictor=CurveReading(), **SETTINGS)
    experiment = toy_experiment(algorithm, evaluator=CurvedToy(), evaluations=12)
    outcome, _ = search(experiment.opened(), np.array(experiment.seeds), None)
    assert outcome.clock_s.tolist() == [4 * 12 + 6 * 4 + 2 * 12.0] * 3  # 4 epochs are the first
