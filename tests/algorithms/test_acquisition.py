import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from nasrun.algorithms.acquisition import Acquisition, expected_improvement, worth
from nasrun.spec import Prediction
from nasrun.streams import Streams

MEAN, SD = np.array([[1.0, 2.0, -0.5]]), np.array([[0.5, 0.1, 2.0]])
BEST = np.array([1.8])


def prediction(members=None):
    return Prediction(MEAN, SD, BEST, members)


def test_expected_improvement_is_the_integral():
    for mean, sd in zip(MEAN[0], SD[0], strict=True):
        wanted, _ = quad(lambda x, m=mean, s=sd: (x - 1.8) * norm.pdf(x, m, s), 1.8, mean + 12 * sd)
        found = expected_improvement(np.array([mean]), np.array([sd]), np.array([1.8]))
        np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_expected_improvement_divides_the_spread_by_its_calibration():
    found = worth(prediction(), Acquisition.ei, Streams([0]), calibration=5.0)
    np.testing.assert_allclose(found, expected_improvement(MEAN, SD / 5, BEST[:, None]))


def test_closed_forms():
    np.testing.assert_allclose(
        worth(prediction(), Acquisition.ucb, Streams([0]), factor=0.5), MEAN + 0.5 * SD
    )
    np.testing.assert_allclose(
        worth(prediction(), Acquisition.pi, Streams([0])), norm.sf(BEST[0], MEAN, SD)
    )
    np.testing.assert_array_equal(worth(prediction(), Acquisition.exploit, Streams([0])), MEAN)


def test_independent_thompson_sampling_draws_each_candidate_by_itself():
    trials = 4000
    many = Prediction(*(np.repeat(part, trials, axis=0) for part in (MEAN, SD)), np.zeros(trials))
    draws = worth(many, Acquisition.its, Streams(range(trials)))
    errors = SD[0] / np.sqrt(trials)
    assert (np.abs(draws.mean(axis=0) - MEAN[0]) < 4 * errors).all()
    np.testing.assert_allclose(draws.std(axis=0), SD[0], rtol=0.06)
    assert np.abs(np.corrcoef(draws.T)[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(trials)


def test_thompson_sampling_takes_one_member_for_all_candidates():
    members = np.arange(12.0).reshape(1, 4, 3)
    many = Prediction(*(np.repeat(part, 50, axis=0) for part in (MEAN, SD, BEST, members)))
    found = worth(many, Acquisition.ts, Streams(range(50)))
    assert {tuple(row) for row in found} == {tuple(row) for row in members[0]}


def test_a_trial_that_has_learnt_nothing_has_a_finite_worth():
    unknown = Prediction(MEAN, np.zeros_like(SD), np.array([-np.inf]))
    for how in (Acquisition.ei, Acquisition.pi):
        assert np.isfinite(worth(unknown, how, Streams([0]))).all()
