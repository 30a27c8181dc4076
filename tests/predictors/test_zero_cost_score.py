"""A zero-cost score as a predictor, on a miniature table."""

import numpy as np
import pytest
from composed import nb201_experiment
from toys import toy_experiment

from nasrun.algorithms.predictor_based import PredictorBased
from nasrun.errors import ConfigError, DataError
from nasrun.pipeline import search as played
from nasrun.predictors.zero_cost import ZeroCostScore
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams
from nasrun.studies.predictors import PredictorBenchmark

SPACE = NB201()
FULL = np.array([[3, 3, 3, 3, 3, 3], [2, 3, 2, 3, 2, 3], [3, 2, 3, 2, 3, 2]])


def table(path, archs, **columns):
    rows = zip(map(SPACE.text, archs), *columns.values(), strict=True)
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([",".join(["arch", *columns]), *lines]))
    return str(path)


def test_the_prediction_is_the_score_of_the_column(tmp_path):
    path = table(tmp_path / "own.csv", FULL, jacov=[-4.0, -2.5, -3.0], synflow=[7.0, 1e30, ""])
    asked, y = FULL[None, [2, 0, 1]].repeat(2, axis=0), np.array([[5.0, 9.0], [np.nan, 3.0]])
    for column, wanted, best in (
        ("jacov", [-3.0, -4.0, -2.5], -2.5), ("synflow", [7.0 - 1e30, 7.0, 1e30], 1e30)
    ):  # fmt: skip
        model = ZeroCostScore(scores=path, column=column).opened(SPACE, Streams([0, 1]))
        model.fit(Inputs(FULL[None, :2].repeat(2, axis=0)), y, ~np.isnan(y))
        found = model.predict(Inputs(asked))
        np.testing.assert_allclose(found.mean, [wanted] * 2)
        assert not found.sd.any()
        np.testing.assert_allclose(found.best, [best] * 2)  # of what is known, on its own scale


def test_what_is_missing_is_named_in_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"predictor\.scores, such as scripts/zero_cost_scores"):
        ZeroCostScore().opened(SPACE, Streams([0]))
    path = table(tmp_path / "own.csv", FULL[:2], jacov=[1.0, 2.0])
    with pytest.raises(ConfigError, match="no scores named synflow: take some of jacov"):
        ZeroCostScore(scores=path, column="synflow").opened(SPACE, Streams([0]))
    model = ZeroCostScore(scores=path).opened(SPACE, Streams([0]))
    with pytest.raises(DataError, match="has scores of 2 architectures, not of 1 of the 3"):
        model.predict(Inputs(FULL[None]))


def test_each_column_is_a_row_of_the_benchmark_that_learns_from_nothing(cache_dir, tmp_path):
    opened = nb201_experiment("cifar100", cache_dir).opened()
    archs = SPACE.at(np.arange(0, 15_000, 400))
    scores = archs.sum(axis=1)
    path = table(tmp_path / "own.csv", archs, jacov=scores, zen=-scores)
    taus = {}
    for column in ("jacov", "zen"):
        predictor = ZeroCostScore(scores=path, column=column)
        study = PredictorBenchmark(predictor=predictor, cells=path, test=25, train=[5, 10])
        (row,) = study.rows(opened, [0])
        own = dict(zip(study.columns, row, strict=True))
        assert (own["predictor"], own["train"], own["epochs"]) == (f"zero_cost[{column}]", 0, 0)
        assert list(predictor.files) == ["scores/own.csv"]
        taus[column] = own["kendall"]
    assert taus["jacov"] == -taus["zen"] != 0.0


def test_a_search_says_whose_scores_chose():
    search = PredictorBased(predictor=ZeroCostScore(column="synflow"), name="predictor_guided")
    assert search.label == "predictor_guided[predictor=zero_cost[synflow]]"
    with pytest.raises(ConfigError, match="reads its scores from a table"):
        played(toy_experiment(search).opened(), np.arange(2), None)
