from dataclasses import replace

import numpy as np
import pytest
import torch
from conditioned import experiment
from scipy.stats import spearmanr

from nasrun.algorithms.metad2a_predictor import Ranker
from nasrun.errors import ConfigError
from nasrun.meta_training import adapt
from nasrun.nets.set_encoders import Outline, SetEncoding
from nasrun.spec import Library, Records
from nasrun.studies.metad2a_encoders import (
    ALONE,
    OURS,
    PENALTIES,
    R,
    SetEncoders,
    _correlation,
    _in_order,
    _left_one_out,
    _left_out,
    pairs_in_order,
    ridge,
    scores,
)


def records(**changes):
    made = {
        "archs": np.zeros((7, 1), np.int64),
        "score": np.array([1.0, 3.0, 2.0, 5.0, 5.0, 0.0, 1.0]),
        "dataset": np.array([0, 0, 0, 1, 1, 2, 2]),
        "datasets": [(0, 1)] * 3,
        "features": np.zeros((2, 1, 1), np.float32),
        "held_out": np.array([False, False, True, True, True, True, False]),
    }
    return Records(**{**made, **changes})


PREDICTED = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -9.0, 9.0])


def test_pairs_of_a_task_that_are_not_both_learnt_from():
    """Task 0: (0, 1) both learnt from, (0, 2) right, (1, 2) wrong; task 1: equal scores; task 2."""
    right, count = pairs_in_order(PREDICTED, records())
    assert right.tolist() == [1, 0, 1]
    assert count.tolist() == [2, 0, 1]


def test_pairs_of_other_judgements_do_not_compare():
    """(0, 2) is one now, and so is task 2's."""
    judgement = np.array([0, 1, 1, 0, 0, 0, 1])
    right, count = pairs_in_order(PREDICTED, records(judgement=judgement))
    assert right.sum() == 0
    assert count.tolist() == [1, 0, 0]


def test_the_error_of_pairs_is_that_between_data_sets():
    """1 of 2 and 1 of 1: they stray from 2/3 by a third of a pair each, the one with none by 0."""
    found = _in_order("here", "toy", PREDICTED, records())
    assert (found.n, found.value) == (3, pytest.approx(2 / 3))
    assert found.error == pytest.approx(np.sqrt(2 * 2 / 9) / 3)


def test_the_error_of_a_correlation_is_what_draws_have():
    """Of 400 samples of 30 records with a true correlation of 0.6."""
    draws = np.random.default_rng(0)
    found = []
    for _ in range(400):
        x = draws.normal(size=30)
        made = records(
            archs=np.zeros((30, 1), np.int64), score=0.6 * x + 0.8 * draws.normal(size=30),
            dataset=np.arange(30), datasets=[(0, 1)] * 30, held_out=np.ones(30, bool),
        )  # fmt: skip
        found.append(_correlation(R, "toy", x, made))
    errors = [each.error for each in found]
    assert np.mean(errors) == pytest.approx(np.std([each.value for each in found]), rel=0.1)


def test_leaving_one_out_is_what_it_says():
    """The shortcut, against as many fits as there are records."""
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(12, 3)), draws.normal(size=12)
    x, y, penalty = x - x.mean(0), y - y.mean(), 2.0
    x1 = np.column_stack([np.ones(12), x])
    punished = penalty * np.diag([0.0, 1.0, 1.0, 1.0])
    errors = []
    for out in range(12):
        rest = np.arange(12) != out
        weights = np.linalg.solve(x1[rest].T @ x1[rest] + punished, x1[rest].T @ y[rest])
        errors.append((y[out] - x1[out] @ weights) ** 2)
    left, spread, _ = np.linalg.svd(x, full_matrices=False)
    found = _left_one_out(left, spread**2 / (spread**2 + penalty), y)
    assert found == pytest.approx(np.mean(errors))


def test_a_ridge_learns_what_is_linear_in_the_outline():
    draws = np.random.default_rng(0)
    features = draws.normal(size=(6, 1, 2)).astype(np.float32)
    sets = [(a, b) for a in range(6) for b in range(a)]
    x = Outline(2)(torch.from_numpy(features), torch.tensor(sets)).double().numpy()
    score = x @ np.array([0.3, -0.2, 0.05, 0.01]) + 1.0
    made = records(
        archs=np.zeros((15, 1), np.int64), score=score, dataset=np.arange(15), datasets=sets,
        features=features, held_out=np.arange(15) % 3 == 0,
    )  # fmt: skip
    assert np.abs(ridge(made) - score).max() < 1e-2
    assert len(PENALTIES) > 1


QUICK = [SetEncoding.none]
LEARNERS = "generator", "predictor"


class LastHeldOut(Library):
    """The records of another library, the last data set held out."""

    def __init__(self, other):
        self.other = other

    def records(self):
        known = self.other.records()
        return replace(known, held_out=known.dataset == 3)

    label, files = "toy", {}


def opened(folder):
    made = experiment(folder, *(f"algorithm.{name}.epochs=1" for name in LEARNERS)).opened()
    adapt(made)
    return replace(made, pool=LastHeldOut(made.pool))


def test_rows_of_all_encoders_and_of_the_trainings(conditioned_folder):
    made = opened(conditioned_folder)
    pool = made.experiment.meta.pool
    study = SetEncoders(
        encodings=QUICK, trainings=pool.path, source=pool.source, pictures=6, epochs=1
    )
    found = study.measured(made)
    r = {e.method: e for e in found if e.figure == "pearson_r"}
    assert list(r) == [ALONE, "graph_encoder", OURS]
    assert {e.method: e.published for e in r.values() if e.published == e.published} == {
        "graph_encoder": 0.6439,
    }
    assert {e.n for e in r.values()} == {30}
    means = {e.method: e.value for e in found if e.figure == "mean"}
    assert list(means) == [
        "graph_encoder, left out", f"{OURS}, left out", "learnt from meta",
    ]  # fmt: skip
    each = [e.value for e in found if e.method == "learnt from meta" and e.figure != "mean"]
    assert means["learnt from meta"] == pytest.approx(np.mean(each))
    assert len(each) == 4


class JudgedTwice(LastHeldOut):
    """The same; every other record was judged in another way, which took two off its score."""

    def records(self):
        known = super().records()
        judgement = np.arange(len(known.archs)) % 2
        return replace(known, judgement=judgement, joint_score=known.score - 2.0 * judgement)


def test_two_judgements_have_two_correlations(tmp_path):
    """The published one is of all scores together."""
    made = opened(tmp_path)
    study = SetEncoders(encodings=QUICK)
    joint, apart = R, f"{R}, judgements apart"
    found = study.measured(replace(made, pool=JudgedTwice(made.pool.other)))
    r = {(e.figure, e.method): e for e in found}
    assert [e.method for e in found if e.figure == joint] == [ALONE, "graph_encoder", OURS]
    assert r[joint, "graph_encoder"].published == 0.6439
    assert np.isnan(r[apart, "graph_encoder"].published)
    single = {(e.figure, e.method): e.value for e in study.measured(made)}
    for name in ("graph_encoder", OURS):
        assert r[apart, name].value == single[joint, name] != r[joint, name].value
    pairs = [e.method for e in found if e.figure == "pairs_in_order"]
    assert pairs == ["graph_encoder", OURS]  # of the scores that compare


def test_what_is_left_out_was_not_learnt_from(tmp_path):
    """Another order of the cells on a data set changes nothing in what is predicted for it."""
    made = opened(tmp_path)
    recipe = replace(made.experiment.algorithm.predictor, epochs=1)
    known = made.pool.records()
    own = known.dataset == 2
    other = replace(known, score=np.where(own, -known.score, known.score))
    space = made.experiment.space
    first, second = (_left_out(recipe, each, space, each.dataset) for each in (known, other))
    assert first[own].tolist() == second[own].tolist()
    assert spearmanr(first[~own], second[~own]).statistic < 1


def test_pairs_of_all_data_sets_by_what_has_not_seen_them(tmp_path):
    """Each record once, by the predictor of the other parts; every pair of a data set counts."""
    made = opened(tmp_path)
    found = SetEncoders(encodings=QUICK, folds=2).measured(made)
    folded = [each for each in found if "2 parts" in each.task]
    assert [each.method for each in folded] == ["graph_encoder", OURS]
    known = made.pool.records()
    recipe = replace(made.experiment.algorithm.predictor, encoding=SetEncoding.none, direct=False)
    space, part = made.experiment.space, known.dataset % 2
    own = np.empty(len(known.archs))
    for out in (part == 0, part == 1):
        arrays = recipe.learn(replace(known, held_out=out), space).arrays
        own[out] = scores(Ranker(recipe, space, arrays), known)[out]
    right, count = pairs_in_order(own, replace(known, held_out=np.ones(len(own), bool)))
    assert folded[0].n == count.sum()
    assert folded[0].value == pytest.approx(right.sum() / count.sum())
    apart = known.score[:, None] != known.score
    assert count.sum() == (apart & (known.dataset[:, None] == known.dataset)).sum() // 2


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\+task@study\.source=in16"):
        SetEncoders(trainings="x.csv")
    with pytest.raises(ConfigError, match=r"study\.epochs must be at least 1"):
        SetEncoders(epochs=0)
    with pytest.raises(ConfigError, match=r"study\.folds must be at least 2"):
        SetEncoders(folds=1)
