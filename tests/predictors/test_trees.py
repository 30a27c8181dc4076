from importlib.util import find_spec

import numpy as np
import pytest

from nasrun.errors import UnsupportedError
from nasrun.predictors import trees
from nasrun.predictors.rf import RandomForest
from nasrun.predictors.xgb import XGBoost
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams


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
