import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nasrun.predictors.base import Encoded
from nasrun.predictors.gaussian import posterior
from nasrun.predictors.gp import GaussianProcess, Kernel, Process
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()


def records(trials=2, count=15):
    streams = Streams(range(trials), "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(count)], axis=1)
    return archs, archs.sum(axis=2) + 0.5 * streams.normal(count)


def test_the_posterior_is_that_of_scikit_learn():
    gaussian = pytest.importorskip("sklearn.gaussian_process")
    archs, y = records()
    settings = {"variance": 2.0, "length": 3.0, "noise": 0.1, "steps": 0, "encodings": ["onehot"]}
    model = GaussianProcess(**settings).opened(SPACE, Streams(range(2)))
    model.fit(Inputs(archs[:, :10]), y[:, :10], np.ones((2, 10), bool))
    found = model.predict(Inputs(archs[:, 10:]))
    kernels = gaussian.kernels
    for trial in range(2):
        kernel = kernels.ConstantKernel(2.0, "fixed") * kernels.RBF(3.0, "fixed")
        theirs = gaussian.GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None)
        x, own = SPACE.encode(archs[trial], "onehot"), y[trial, :10]
        theirs.fit(x[:10], (own - own.mean()) / own.std())
        mean, sd = theirs.predict(x[10:], return_std=True)
        np.testing.assert_allclose(found.mean[trial], own.mean() + own.std() * mean, rtol=1e-8)
        np.testing.assert_allclose(found.sd[trial], own.std() * sd, rtol=1e-6)


def test_the_likelihood_is_a_normal_density_and_masked_records_say_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    kernel = np.exp(-0.5 * ((x[:, None] - x[None]) ** 2).sum(-1))
    y, mask = rng.normal(size=6), np.array([True, True, False, True, True, False])
    found = posterior(kernel[None], np.array([0.2]), np.where(mask, y, 0.0)[None], mask[None])
    own = kernel[np.ix_(mask, mask)] + 0.2 * np.eye(4)
    wanted = multivariate_normal(np.zeros(4), own).logpdf(y[mask])
    np.testing.assert_allclose(found.log_likelihood, wanted)
    mean, sd = found.predict(kernel[None], np.ones((1, 6)))
    between = kernel[mask]
    np.testing.assert_allclose(mean[0], between.T @ np.linalg.solve(own, y[mask]))
    gone = np.einsum("nm,nm->m", between, np.linalg.solve(own, between))
    np.testing.assert_allclose(sd[0], np.sqrt(1 - gone))


@pytest.mark.parametrize("kernel", Kernel)
def test_the_gradient_is_that_of_the_density(kernel):
    archs, y = records(trials=1)
    mask = np.arange(15)[None] % 4 > 0
    z = np.where(mask, y - 12.0, 0.0)
    process = Process(GaussianProcess(kernel=kernel), Encoded(SPACE, ["onehot"]))
    x = SPACE.encode(archs, "onehot")
    apart = np.abs(x[:, :, None] - x[:, None]).sum(-1)

    def density(logs):
        process.logs = np.array([logs])
        return process._of(apart, z, mask).log_likelihood[0] - 0.5 * (logs**2).sum()

    at = np.log([2.0, 4.0, 0.3])
    process.logs = at[None].copy()
    found = process._gradient(apart, z, mask)[0]
    step = 1e-5
    wanted = [(density(at + step * e) - density(at - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_fit_climbs_to_a_point_without_gradient():
    archs, y = records()
    model = GaussianProcess(steps=600).opened(SPACE, Streams(range(2)))
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    x = SPACE.encode(archs, "adjacency")
    apart = ((x[:, :, None] - x[:, None]) ** 2).sum(-1)
    z = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    assert np.abs(model._gradient(apart, z, np.ones(y.shape, bool))).max() < 1e-2
