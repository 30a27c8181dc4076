from importlib.util import find_spec

import numpy as np
import pytest
from toys import toy_experiment

from nasrun.algorithms.predictor_based import PredictorBased
from nasrun.errors import UnsupportedError
from nasrun.predictors import trees
from nasrun.predictors.ngb import NGBoost
from nasrun.predictors.rf import RandomForest
from nasrun.predictors.xgb import XGBoost
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams
from nasrun.studies.predictors import PredictorBenchmark


def test_a_missing_library_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(trees, "find_spec", lambda name: None)
    with pytest.raises(
        UnsupportedError, match=r'needs sklearn.*pip install "nasrun\[predictors\]"'
    ):
        RandomForest()
    with pytest.raises(UnsupportedError, match="predictor=xgb needs xgboost"):
        XGBoost()


@pytest.mark.skipif(find_spec("sklearn") is None, reason="needs scikit-learn")
def test_a_forest_predicts_as_scikit_learn_does():
    space, streams = NB201(), Streams([3], "records")
    archs = np.stack([space.sample(streams) for _ in range(25)], axis=1)
    y = archs.sum(axis=2).astype(float)
    model = RandomForest(trees=7).opened(space, Streams([3]))
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    found = model.predict(Inputs(archs))
    (fitted,) = model._fitted
    wanted = fitted.predict(space.encode(archs[0], "adjacency"))
    np.testing.assert_allclose(found.mean[0], y.mean() + y.std() * wanted)
    assert found.sd[0].max() > 0


def scored(tmp_path, archs):
    """A table of these cells, whose score is what is to be predicted and the encoding hides."""
    space, path = NB201(), tmp_path / "scores.csv"
    scores = Streams([5], "scores").normal(len(archs))[0]
    rows = [f"{space.text(arch)},{score:.4f},0" for arch, score in zip(archs, scores, strict=True)]
    path.write_text("\n".join(["arch,jacov,zen", *rows]))
    return path, scores


@pytest.mark.skipif(find_spec("xgboost") is None, reason="needs XGBoost")
def test_a_run_is_another_one_with_other_scores_in_the_same_file(tmp_path):
    path, _ = scored(tmp_path, NB201().at(np.arange(9)))
    predictor = XGBoost(scores=str(path))
    study = PredictorBenchmark(predictor=predictor, cells=str(path))
    search = toy_experiment(PredictorBased(predictor=predictor))
    before = predictor.files, study.inputs, search.opened().files
    assert list(before[0]) == ["scores/scores.csv"]
    assert before[1] == {**before[0], "cells/scores.csv": before[0]["scores/scores.csv"]}
    assert before[2].items() >= before[0].items()
    path.write_text(path.read_text().replace(",0", ",1"))
    after = predictor.files, study.inputs, search.opened().files
    assert all(
        now["scores/scores.csv"] != old["scores/scores.csv"]
        for now, old in zip(after, before, strict=True)
    )
    assert not XGBoost().files
    assert not PredictorBenchmark().inputs


@pytest.mark.skipif(find_spec("xgboost") is None, reason="needs XGBoost")
def test_zero_cost_scores_are_features_beside_the_encoding(tmp_path):
    space = NB201()
    archs = space.at(Streams([3], "cells").subsets(space.size, 60)[0])
    path, y = scored(tmp_path, archs)
    inputs, asked = Inputs(archs[None, :40]), Inputs(archs[None, 40:])
    for settings, sure in (({}, False), ({"scores": str(path), "score_columns": ["jacov"]}, True)):
        model = XGBoost(rounds=40, **settings).opened(space, Streams([3]))
        model.fit(inputs, y[None, :40], np.ones((1, 40), bool))
        assert model._fitted[0].n_features_in_ == space.encode(archs, "adjacency").shape[1] + sure
        error = np.abs(model.predict(asked).mean[0] - y[40:]).mean()
        assert (error < 0.3) == sure


@pytest.mark.skipif(find_spec("ngboost") is None, reason="needs NGBoost")
def test_the_trees_of_ngboost_look_at_features_of_their_own():
    """A tree looks at 4 of 5 features: by one state for all, one would never be a root."""
    streams = Streams([0], "numbers")
    x, y = streams.normal(60 * 5).reshape(60, 5), streams.normal(60)[0]
    found = []
    for _ in range(2):
        fitted = NGBoost(rounds=40, depth=2, features=0.8).regressor(7)
        fitted.fit(x, y)
        found.append([tree.tree_.feature[0] for both in fitted.base_models for tree in both])
    assert set(found[0]) == set(range(5))
    assert found[0] == found[1]
