import numpy as np
import pytest
from scipy.stats import norm

from nasrun.errors import ConfigError
from nasrun.predictors.curve_families import FAMILIES
from nasrun.predictors.lce_m import DIMENSIONS, LCEM, SIZES, Sums
from nasrun.predictors.stretch import Ensemble
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

CHAINS, WALKERS = 32, 12
X = np.arange(1.0, 201.0)
MMF = 100 * FAMILIES["mmf"](X, np.array([0.9, 0.2, 0.4, 1.3]))


def test_walkers_have_the_mean_and_covariance_of_a_gaussian():
    """Three of four dimensions are free; the fourth stays where it is. Five standard errors."""
    mean = np.array([1.0, -2.0, 30.0])
    covariance = np.array([[1.0, 0.8, 0.0], [0.8, 2.0, -9.0], [0.0, -9.0, 100.0]])
    precision = np.linalg.inv(covariance)

    def density(at):
        off = at[..., :3] - mean
        return -0.5 * np.einsum("...i,ij,...j", off, precision, off), at[..., 2]

    streams = Streams(range(CHAINS))
    begun = streams.normal(WALKERS * 4).reshape(CHAINS, WALKERS, 4)
    begun[..., 3] = 7.0
    ensemble, seen = Ensemble(density, begun, np.full(CHAINS, 3)), []
    for step in range(1_200):
        ensemble.step(streams.uniform(3 * WALKERS).reshape(CHAINS, 3, WALKERS))
        if step >= 200:
            seen.append(ensemble.walkers.copy())
    seen = np.stack(seen)
    np.testing.assert_allclose(seen[..., 3], 7.0)
    np.testing.assert_array_equal(ensemble.figure, ensemble.walkers[..., 2])

    def close(figures, wanted):
        """Means of independent chains."""
        error = figures.std(axis=0, ddof=1) / np.sqrt(CHAINS)
        assert (np.abs(figures.mean(axis=0) - wanted) < 5 * error).all()

    off = seen[..., :3] - mean
    close(off.mean(axis=(0, 2)), np.zeros(3))
    close(np.einsum("scwi,scwj->cij", off, off) / (len(off) * WALKERS), covariance)


def test_a_step_of_the_walkers_by_hand():
    """Two walkers move along lines to partners among the other two; two stretch by 1."""
    ensemble = Ensemble(
        lambda at: (-(at**2).sum(axis=2), at[..., 0]),
        np.array([[[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [1.0, 2.0]]]),
        np.array([2]),
    )
    # The first goes half of its way to the last; the third would go away from the second.
    stay = np.sqrt(2.0) - 1.0
    uniforms = np.array([[[0.0, stay, 1.0, stay], [0.9, 0.0, 0.6, 0.0], [0.0, 0.9, 0.9, 0.9]]])
    ensemble.step(uniforms)
    first = np.array([1.0, 2.0]) + 0.5 * (np.array([1.0, 0.0]) - np.array([1.0, 2.0]))
    wanted = [first, [0.0, 1.0], [3.0, 1.0], [1.0, 2.0]]
    # It does not: at (6, 1) it is too unlikely, since 2 exp(10 - 37) < 0.9.
    np.testing.assert_allclose(ensemble.walkers[0], wanted, atol=1e-12)
    np.testing.assert_allclose(ensemble.log_density[0], [-2.0, -1.0, -10.0, -5.0], atol=1e-12)


def test_the_posterior_of_a_sum_by_hand():
    curve = 0.7 - 0.3 / np.arange(1.0, 6.0)
    sums = Sums(curve[None], 50, LCEM(most=0.95))
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 50.0])
    fits = [
        FAMILIES[name](x, part)
        for name, part in zip(FAMILIES, np.split(sums.start[0], np.cumsum(SIZES))[:11], strict=True)
    ]
    assert sums.free.all()
    share = sums.start[0, -12:-1]
    left = sum(each * fit[:-1] for each, fit in zip(share, fits, strict=True)) - curve
    assert sums.start[0, -1] == pytest.approx(np.log(max(left.std(), 2e-4)))
    weights, sd = np.linspace(0.02, 0.15, 11), 0.03
    own = sums.start.copy()
    own[0, -12:] = [*weights, np.log(sd)]
    value = sum(weight * fit for weight, fit in zip(weights, fits, strict=True))
    # Flat over the variance, so twice it over log sd; norm.logpdf has another constant.
    wanted = norm.logpdf(curve, value[:-1], sd).sum() + 2.5 * np.log(2 * np.pi) + 2 * np.log(sd)
    found, last = sums(own[:, None])
    np.testing.assert_allclose([found[0, 0], last[0, 0]], [wanted, value[-1]])
    for at, outside in ((-12, -0.01), (-12, 5.0), (-1, np.log(1.1)), (-1, np.log(5e-5))):
        other = own.copy()
        other[0, at] = outside  # a weight, what is above `most`, and noise
        assert sums(other[:, None])[0][0, 0] == -np.inf
    falling = own.copy()
    falling[0, -12:-1] = 1e-9
    falling[0, -12 + list(FAMILIES).index("ilog2")] = 1.0
    ilog2 = slice(sum(SIZES[: list(FAMILIES).index("ilog2")]), None)
    falling[0, ilog2][:2] = [0.5, -0.2]
    assert sums(falling[:, None])[0][0, 0] == -np.inf


def extrapolated(curves, **settings):
    archs = NB201().sample(Streams([0]))[:, None].repeat(len(curves), axis=1)
    inputs = Inputs(archs, curve=np.asarray(curves)[None], full=200)
    model = LCEM(**settings).opened(NB201(), Streams([0]))
    model.fit(inputs, np.full((1, len(curves)), 80.0), np.ones((1, len(curves)), bool))
    return model.predict(inputs)


def test_a_curve_goes_on_as_it_was_going():
    noise = 0.3 * Streams([3]).normal(40)
    found = extrapolated([MMF[:40], MMF[:40] + noise[0]], burn_in=100, samples=100)
    np.testing.assert_allclose(found.mean[0], MMF[-1], atol=2.0)
    assert (found.sd > 0).all()
    assert (found.sd < 5.0).all()
    assert found.best.tolist() == [80.0]


def test_where_no_sum_is_possible_the_last_value_stands_in():
    found = extrapolated([np.linspace(150.0, 180.0, 6)], burn_in=1, samples=2)
    assert found.mean.tolist() == [[180.0]]
    assert found.sd.tolist() == [[0.0]]


def test_fewer_than_two_walkers_a_dimension_are_refused():
    assert DIMENSIONS == 48
    with pytest.raises(ConfigError, match=r"predictor\.walkers must be at least 96, got 50"):
        LCEM(walkers=50)
