"""Trainings that are stopped by their curves: the rule by hand, a search, and real curves."""

import csv
import gzip
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import norm
from toys import TASK, ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.evaluators.curve_stopped import CurveStopped
from nasrun.evaluators.screened import Screened
from nasrun.evaluators.stopping_rule import Foresight, Rule, Trainings, chance_below, looks
from nasrun.pipeline import search
from nasrun.predictors.base import Targets
from nasrun.predictors.lce import LCE
from nasrun.predictors.lcsvr import LCSVR
from nasrun.predictors.learning_curves import CurveReading, Figure, Reading
from nasrun.spec import Metric
from nasrun.streams import Streams

SPACE = ToySpace()
LAST = CurveReading()  # predicts the last score, learns nothing
LOSS = Metric("error_pct", "error", "%", higher_is_better=False)


@dataclass
class Curved(ToyEvaluator):
    """The toy, whose score grows from epoch to epoch and is asked for by epoch."""

    sign: float = 1.0
    asked: int = 0  # the most epochs that a curve was asked for

    @property
    def curves(self):
        return ("val_score",)

    @property
    def fidelities(self):
        return tuple(range(1, 13))

    def evaluate(self, archs, *, epochs, streams, parents=None):
        found = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(found, score=self.sign * found.score)

    def curve(self, archs, *, epochs, figure="val_score"):
        self.asked = max(self.asked, int(epochs.max()))
        at = np.arange(1, epochs.max() + 1)
        return self.sign * SPACE.index(archs)[:, None] * at / 12


def stopped(then=None, **changes):
    own = {"predictor": LAST, "first": 3, "folds": 3, "looks": [0.25, 0.5], **changes}
    return CurveStopped(then=then or Curved(), **own).opened(SPACE, TASK)


def ask(session, streams, *numbers, epochs=12):
    """Each of these architectures in turn, by the first trial of the streams."""
    rows = []
    for number in numbers:
        archs = np.repeat(SPACE.at(np.array([number])), len(streams), axis=0)
        found = session.evaluate(archs, epochs=np.full(len(archs), epochs), streams=streams)
        rows.append((int(found.epochs[0]), float(found.score[0]), float(found.cost_s[0])))
    return rows


def test_the_probability_is_that_of_a_normal_distribution():
    assert chance_below(90.0, 86.71, 2.0) == pytest.approx(norm.cdf(1.645))
    assert chance_below(90.0, 90.0, 2.0) == 0.5
    assert chance_below(90.0, 89.0, 0.0) == 1.0
    assert chance_below(-np.inf, 0.0, 1.0) == 0.0


def test_looks_are_at_epochs_that_can_be_measured():
    assert looks(range(1, 21), [0.1, 0.25, 0.5]) == (2, 5, 10)
    assert looks([12, 100, 200], [0.1, 0.25, 0.5]) == (100,)
    with pytest.raises(ConfigError, match="leave nothing to stop"):
        looks([200], [0.5])


def test_the_error_is_that_of_a_cross_validation_by_hand():
    """A predictor of the mean of what it learnt: each is predicted by the others' mean."""

    class Mean:
        def fit(self, inputs, y, mask):
            self.mean = y[mask].mean()

        def predict(self, inputs):
            return type("P", (), {"mean": np.full(inputs.archs.shape[:2], self.mean)})

    finals, archs = np.array([1.0, 2.0, 6.0]), SPACE.at(np.arange(3))
    found = Foresight(Mean(), archs, np.zeros((3, 2)), finals, 3, 9)
    errors = [1 - (2 + 6) / 2, 2 - (1 + 6) / 2, 6 - (1 + 2) / 2]
    assert found.sd == pytest.approx(np.sqrt(np.square(errors).mean()))
    assert found(archs[0], np.zeros(2)) == (3.0, found.sd)
    two = Foresight(Mean(), archs, np.zeros((3, 2)), finals, 2, 9)  # records 0 and 2 in one fold
    errors = [1 - 2, 2 - (1 + 6) / 2, 6 - 2]
    assert two.sd == pytest.approx(np.sqrt(np.square(errors).mean()))


def test_epochs_at_which_one_training_has_no_score_are_left_out():
    finals, archs = np.array([10.0, 20.0, 30.0]), SPACE.at(np.arange(3))
    curves = np.array([[1.0, 2, 3, 9], [4, 5, 6, np.nan], [7, np.nan, 9, 9]])
    found = Foresight(LAST.opened(SPACE, Streams([0])), archs, curves, finals, 3, 9)
    assert found.sd == pytest.approx(np.sqrt((7**2 + 14**2 + 21**2) / 3))  # by the third epoch
    assert found(archs[0], np.array([1.0, np.nan, 2.5, np.nan])) == (2.5, found.sd)
    assert found(archs[0], np.array([np.nan, 1.0, 2.5, 3.0])) == (np.inf, found.sd)


def test_the_rule_by_hand():
    """Finals 10, 20, 12: the last score at epoch 6 is half of each, so the error is known."""
    rule = Rule(LAST, 3, 0.95, 3)
    own = Trainings(rule, SPACE, 0)
    for number, final in enumerate([10.0, 20.0, 12.0]):
        assert not own.enough
        own.add(SPACE.at(np.array([number]))[0], final * np.arange(1, 13) / 12, final)
    sd = np.sqrt(np.mean(np.square([5.0, 10.0, 6.0])))
    bar = 20.0 - 1.6448536 * sd
    arch = SPACE.at(np.array([5]))[0]
    assert own.verdict(arch, np.linspace(0, bar - 1e-3, 6)) == pytest.approx(bar - 1e-3)
    assert own.verdict(arch, np.linspace(0, bar + 1e-3, 6)) is None
    own.add(arch, np.full(12, np.nan), 21.0)  # the best is that of all, the curves of the first
    assert own.verdict(arch, np.linspace(0, bar + 0.9, 6)) == pytest.approx(bar + 0.9)
    assert own.verdict(arch, np.array([0, np.nan, 0, 0, 0, 0])) is None


def test_trainings_are_stopped_after_the_first_and_charged_what_they_used():
    session, streams = stopped(first=3), Streams([0])
    # At epoch 3 the last score is a quarter, the error sd 0.75 of the finals' root mean square.
    assert ask(session, streams, 20, 22, 22, 21) == [(12, n, 12.0) for n in (20.0, 22, 22, 21)]
    sd = {epoch: (1 - epoch / 12) * np.sqrt((20**2 + 22**2 + 21**2) / 3) for epoch in (3, 6)}
    assert norm.cdf((22 - 23 * 3 / 12) / sd[3]) < 0.95
    assert norm.cdf((22 - 23 * 6 / 12) / sd[6]) < 0.95
    assert norm.cdf((22 - 6 * 6 / 12) / sd[6]) > 0.95 > norm.cdf((22 - 6 * 3 / 12) / sd[3])
    assert ask(session, streams, 23, 6) == [(12, 23.0, 12.0), (6, 3.0, 6.0)]
    assert ask(session, streams, 6, epochs=4) == [(4, 2.0, 4.0)]  # no full training was asked for


def test_a_stopped_training_goes_no_further():
    then = Curved()
    session, streams = stopped(then=then, first=3), Streams([0])
    ask(session, streams, 20, 22, 21)
    session._then.asked = 0
    ask(session, streams, 6)
    assert session._then.asked == 6


def test_of_errors_the_lower_one_is_better():
    session, streams = stopped(then=Curved(sign=-1.0, metric=LOSS)), Streams([0])
    up = stopped()
    # Errors -20, -22, -21: the same rule with all signs turned.
    found = ask(session, streams, 20, 22, 21, 23, 6)
    same = ask(up, Streams([0]), 20, 22, 21, 23, 6)
    assert [(e, -s, c) for e, s, c in found] == same
    assert same[-1][0] == 6


def test_every_search_and_every_trial_has_its_own_memory():
    session = stopped()
    ask(session, one := Streams([0]), 20, 22, 21)
    assert ask(session, Streams([0]), 1) == [(12, 1.0, 12.0)]  # another search of the same seed
    assert ask(session, one, 1)[0][0] < 12
    archs = SPACE.at(np.array([[20, 1], [22, 1], [21, 2], [1, 1]]).T.reshape(-1)).reshape(2, 4, 3)
    both, full = Streams([4, 5]), np.full(2, 12)
    epochs = [
        session.evaluate(archs[:, at], epochs=full, streams=both).epochs.tolist() for at in range(4)
    ]
    assert epochs[-1][0] < 12  # the first trial knows three
    assert epochs[-1][1] == 12  # the second has trained two networks, one of them twice


def test_behind_a_filter_it_remembers():
    made = Screened(
        screen=ToyEvaluator(),
        then=CurveStopped(then=Curved(), predictor=LAST, first=3, folds=3, looks=[0.25, 0.5]),
        share=0.01,
    ).opened(SPACE, TASK)
    assert ask(made, Streams([0]), 20, 22, 21, 6)[-1] == (6, 3.0, 6.0)


def test_failed_trainings_teach_nothing_and_stay_failed():
    session, streams = stopped(then=Curved(fails_below=5)), Streams([0])
    found = ask(session, streams, 2, 3, 20, 22, 21, 23)
    assert np.isnan([score for _, score, _ in found[:2]]).all()
    assert [epochs for epochs, _, _ in found] == [12] * 6


def evaluations(experiment):
    _, history = search(experiment.opened(), np.array(experiment.seeds), None)
    return [(m.archs, m.epochs, m.score, m.cost_s) for m in history._measured]


def test_a_trial_is_the_same_in_any_cohort_and_recommends_what_was_trained_in_full():
    made = CurveStopped(then=Curved(), predictor=LAST, first=6, folds=3, looks=[0.25, 0.5])
    whole = evaluations(toy_experiment(RandomSearch(), evaluator=made, trials=5, evaluations=20))
    assert sum((epochs < 12).sum() for _, epochs, _, _ in whole) > 10
    alone = evaluations(
        toy_experiment(RandomSearch(), evaluator=made, seed=3, trials=1, evaluations=20)
    )
    for together, single in zip(whole, alone, strict=True):
        for a, b in zip(together, single, strict=True):
            np.testing.assert_array_equal(a[3], b[0])
    experiment = toy_experiment(RandomSearch(), evaluator=made, trials=5, evaluations=20)
    outcome, _ = search(experiment.opened(), np.array(experiment.seeds), None)
    best = [max(s[t] for _, e, s, _ in whole if e[t] == 12) for t in range(5)]
    assert SPACE.index(outcome.archs).tolist() == best


def test_the_row_says_the_rule():
    assert stopped(confidence=0.9).protocol.fidelity == (
        "val@12, from training 4 on stopped after 3 or 6 epochs if early_stop predicts less than "
        "the best with probability 0.9"
    )


def test_what_it_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match=r"evaluator\.then must be an evaluator"):
        CurveStopped(predictor=LAST)
    for own in (CurveReading(figure=Figure.train_loss), CurveReading(reading=Reading.sum)):
        with pytest.raises(ConfigError, match="must predict final scores from curves of val_score"):
            stopped(predictor=own)
    with pytest.raises(ConfigError, match=r"looks must be in \(0, 1\)"):
        stopped(looks=[0.5, 1.0])
    with pytest.raises(ConfigError, match="first must be at least 10"):
        stopped(folds=10)
    with pytest.raises(UnsupportedError, match=r"which evaluator\.then=toy has not"):
        stopped(then=ToyEvaluator())
    own = Trainings(Rule(LAST, 2, 0.95, 2), SPACE, 0)
    for arch in SPACE.at(np.arange(2)):
        own.add(arch, np.full(12, np.nan), 1.0)
    with pytest.raises(DataError, match="found gaps at each epoch"):
        own.verdict(arch, np.zeros(3))


def test_an_extrapolation_of_scores_will_do():
    assert stopped(predictor=LCE()).fidelities[-1] == 12
    told = []

    class Told:
        def fit(self, inputs, y, mask):
            told.append(inputs.full)

        def predict(self, inputs):
            told.append(inputs.full)
            return type("P", (), {"mean": np.zeros(inputs.archs.shape[:2])})

    class Telling(LCE):
        def opened(self, space, streams, truth=None):
            return Told()

    own = Trainings(Rule(Telling(), 2, 0.95, 2), SPACE, 0)
    for number in range(2):
        own.add(SPACE.at(np.arange(2))[number], np.arange(12.0), 11.0)
    own.verdict(SPACE.at(np.arange(2))[0], np.arange(3.0))
    assert set(told) == {12}


def test_logarithms_are_refused():
    pytest.importorskip("sklearn")
    with pytest.raises(ConfigError, match="must predict final scores"):
        stopped(predictor=LCSVR(targets=Targets.log_error))


def replayed(curves, order):
    """Share of the epochs after the first 100 that is saved, and points lost, of one order."""
    rule = Rule(LCSVR(c=10.0, gamma=0.01), 100, 0.95, 10)
    own, used, best = Trainings(rule, Numbered(), 0), 0, -np.inf
    for number in order.tolist():
        curve = curves[number]
        if own.enough:
            stop = next(
                (e for e in (2, 5, 10) if own.verdict(np.array([number]), curve[:e]) is not None),
                20,
            )
            used += stop
            if stop < 20:
                continue
        own.add(np.array([number]), curve, curve[-1])
        best = max(best, curve[-1])
    return 1 - used / (20 * (len(order) - 100)), curves[:, -1].max() - best


class Numbered:
    """A space of numbered networks."""

    def canonical(self, arch):
        return str(arch[0])


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "saved", "within"), [("cifar10", 0.84, 0.03), ("svhn", 0.37, 0.05)]
)
def test_figures_on_metaqnns_trainings(data_dir, name, saved, within):
    """Ten random orders of 1,000 and 1,300 real trainings of 20 epochs, looks at 2, 5 and 10.

    76 % and 39 % of all epochs were measured before; of those after the first 100 trainings 84 %
    are 76 % of all, and 37 % are 34 %.
    """
    pytest.importorskip("sklearn")
    with gzip.open(data_dir / f"curves/metaqnn_{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    curves = np.array([[100 * float(row[f"acc_{e}"]) for e in range(1, 21)] for row in rows])
    orders = np.argsort(Streams(range(10), "order").uniform(len(curves)), axis=1, kind="stable")
    found = [replayed(curves, order) for order in orders]
    shares, lost = np.array(found).T
    assert shares.mean() == pytest.approx(saved, abs=within)
    assert (lost == 0).sum() >= 8
    assert lost.mean() <= 0.1
