import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nasrun.predictors.gp import GaussianProcess
from nasrun.predictors.sparse_gp import Approximation, SparseGaussianProcess, farthest
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()
SETTINGS = {"variance": 2.0, "length": 3.0, "noise": 0.1, "encodings": ["onehot"]}


def records(trials=2, count=15):
    streams = Streams(range(trials), "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(count)], axis=1)
    return archs, archs.sum(axis=2) + 0.5 * streams.normal(count)


def fitted(recipe, archs, y, mask):
    model = recipe.opened(SPACE, Streams(range(len(y))))
    model.fit(Inputs(archs[:, :10]), y[:, :10], mask)
    return model


@pytest.mark.parametrize("approximation", Approximation)
@pytest.mark.parametrize("steps", [0, 40])
def test_with_every_record_it_is_the_full_process(approximation, steps):
    archs, y = records()
    mask = np.ones((2, 10), bool)
    mask[0, 3] = False
    own = SparseGaussianProcess(inducing=10, approximation=approximation, steps=steps, **SETTINGS)
    full = GaussianProcess(steps=steps, **SETTINGS)
    found, wanted = (
        fitted(recipe, archs, y, mask).predict(Inputs(archs)) for recipe in (own, full)
    )
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5)
    np.testing.assert_allclose(found.sd, wanted.sd, rtol=1e-3)


@pytest.mark.parametrize("approximation", Approximation)
def test_the_likelihood_of_few_inducing_points_is_a_normal_density(approximation):
    archs, y = records(trials=1)
    own = SparseGaussianProcess(inducing=4, approximation=approximation, steps=0, **SETTINGS)
    model = fitted(own, archs, y, np.ones((1, 10), bool))
    x, u = SPACE.encode(archs[0, :10], "onehot"), model._points[0]
    kernel = lambda a, b: 2.0 * np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 18.0)  # noqa: E731
    through = kernel(x, u) @ np.linalg.solve(kernel(u, u), kernel(u, x))
    left = np.diag(kernel(x, x) - through)
    z = (y[0, :10] - y[0, :10].mean()) / y[0, :10].std()
    noise = 0.1 + (left if approximation is Approximation.fitc else 0.0)
    wanted = multivariate_normal(np.zeros(10), through + np.eye(10) * noise).logpdf(z)
    if approximation is Approximation.variational:
        wanted -= 0.5 * left.sum() / 0.1
        assert wanted < multivariate_normal(np.zeros(10), kernel(x, x) + 0.1 * np.eye(10)).logpdf(z)
    assert model._found.objective[0].item() == pytest.approx(wanted, rel=1e-5)


def test_inducing_points_lie_far_apart():
    x = np.array([0.0, 0.1, 5.0, 3.0, 9.0])
    apart = np.abs(x[:, None] - x[None])[None]
    points, used = farthest(apart, np.array([[True, True, True, True, False]]), 3)
    assert points[0, :3].tolist() == [0, 2, 3]
    assert used[0].tolist() == [True, True, True, False]
