import numpy as np
import pytest

from nasrun.predictors.base import Encoded
from nasrun.predictors.blr import BayesianLinear, Evidence
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams


def records(seed=0, n=30, d=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x @ rng.normal(size=d) + 0.3 * rng.normal(size=n)


def test_with_given_precisions_the_posterior_is_the_closed_form():
    x, y = records()
    asked = np.random.default_rng(1).normal(size=(5, 4))
    found = Evidence(x[None], y[None], np.array([30.0]), 0.7, 9.0, steps=0)
    covariance = np.linalg.inv(0.7 * np.eye(4) + 9.0 * x.T @ x)
    weights = 9.0 * covariance @ x.T @ y
    mean, sd = found.predict(asked[None])
    np.testing.assert_allclose(found.weights[0], weights)
    np.testing.assert_allclose(mean[0], asked @ weights)
    variance = 1 / 9.0 + np.einsum("md,de,me->m", asked, covariance, asked)
    np.testing.assert_allclose(sd[0], np.sqrt(variance))


def test_evidence_is_maximised_as_by_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    both = [records(seed) for seed in (0, 5)]
    x, y = (np.stack(parts) for parts in zip(*both, strict=True))
    found = Evidence(x, y, np.full(2, 30.0), 1.0, 100.0, steps=500, tolerance=1e-10)
    flat = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    for trial in range(2):
        theirs = linear_model.BayesianRidge(fit_intercept=False, max_iter=500, tol=1e-10, **flat)
        theirs.fit(x[trial], y[trial])
        np.testing.assert_allclose(found.alpha[trial], theirs.lambda_, rtol=1e-4)
        np.testing.assert_allclose(found.beta[trial], theirs.alpha_, rtol=1e-4)
        np.testing.assert_allclose(found.weights[trial], theirs.coef_, rtol=1e-4)


def test_missing_records_say_nothing():
    x, y = records()
    whole = Evidence(x[None, :20], y[None, :20], np.array([20.0]), 1.0, 100.0, steps=50)
    x[20:], y[20:] = 0.0, 0.0
    part = Evidence(x[None], y[None], np.array([20.0]), 1.0, 100.0, steps=50)
    np.testing.assert_allclose(part.weights, whole.weights)
    np.testing.assert_allclose(part.beta, whole.beta)


def test_a_linear_predictor_is_a_regression_of_z_scores_with_a_constant():
    space, streams = NB201(), Streams([1, 2], "records")
    archs = np.stack([space.sample(streams) for _ in range(12)], axis=1)
    y = archs.sum(axis=2) + 70.0
    known = np.arange(12) < np.array([[9], [7]])
    model = BayesianLinear(encodings=["onehot"], steps=3).opened(space, Streams([1, 2]))
    model.fit(Inputs(archs), np.where(known, y, np.nan), known)
    found = model.predict(Inputs(archs))
    x = Encoded(space, ["onehot"])(Inputs(archs))
    x = np.concatenate([x, np.ones((2, 12, 1))], axis=2)
    for trial, count in enumerate((9, 7)):
        own = y[trial, :count]
        z = (own - own.mean()) / own.std()
        wanted = Evidence(x[[trial], :count], z[None], np.array([count]), 1.0, 100.0, 3)
        mean, sd = wanted.predict(x[[trial]])
        np.testing.assert_allclose(found.mean[trial], own.mean() + own.std() * mean[0])
        np.testing.assert_allclose(found.sd[trial], own.std() * sd[0])
        assert found.best[trial] == own.max()
