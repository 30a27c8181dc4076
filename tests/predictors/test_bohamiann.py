import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.predictors.blr import Evidence
from nasrun.predictors.bohamiann import BOHAMIANN
from nasrun.predictors.sampled_networks import Records
from nasrun.predictors.sghmc import SGHMC
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()


def variance(rate, noise_sd=0.0, adapting=0, steps=300):
    """Of 5,000 chains on a normal density of variance 1/4, from gradients with noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(5_000, dtype=torch.float64)

    def normal():
        return torch.randn(len(x), generator=generator, dtype=torch.float64)

    chains = SGHMC([x], rate, 0.3, noisy=noise_sd > 0)
    for step in range(steps):
        gradient = 4.0 * x + noise_sd * normal()
        chains.step([x], [gradient], [normal()], adapting=step < adapting)
    return x.var().item()


def test_draws_have_the_density_that_the_energy_says():
    for rate in (0.1, 0.4):
        inflated = 1.0 / (1.0 - rate**2 * 4.0 / (2.0 * (2.0 - 0.3)))
        assert variance(rate) == pytest.approx(0.25 * inflated, rel=0.06)


def test_noise_of_the_gradients_is_taken_off_that_of_the_steps():
    # The mass is 1, so the noise of a gradient adds rate⁴ · its variance to every step.
    chains = SGHMC([torch.zeros(2, dtype=torch.float64)], 0.3, 0.3, noisy=True)
    [state] = chains._states
    state.gradient[:] = torch.tensor([0.0, 0.6])
    x = torch.zeros(2, dtype=torch.float64)
    chains.step([x], [torch.zeros(2)], [torch.ones(2)], adapting=False)
    own = 2 * 0.3 * 0.3**2 - 0.3**4 * np.array([1.0, 0.64])
    np.testing.assert_allclose(x, np.sqrt(own))
    assert variance(0.1, noise_sd=4.0, adapting=300, steps=900) == pytest.approx(0.25, rel=0.1)


def test_masses_are_roots_of_mean_squares():
    x = torch.zeros(1, dtype=torch.float64)
    chains = SGHMC([x], 0.1, 0.5)
    gradient = torch.full((1,), 3.0, dtype=torch.float64)
    chains.step([x], [gradient], [torch.zeros(1)], adapting=True)
    # The first step looks one step back: half of the first 1, half of the new gradient.
    [state] = chains._states
    assert state.square.item() == pytest.approx(0.5 + 0.5 * 9.0)
    assert state.gradient.item() == pytest.approx(0.5 + 0.5 * 3.0)
    assert state.window.item() == pytest.approx(1.0)
    assert x.item() == pytest.approx(-(0.1**2) * 3.0 / np.sqrt(5.0))


def test_without_hidden_units_it_is_the_conjugate_regression():
    """64 chains on the same records, with known noise, against the posterior in closed form."""
    streams = Streams([1], "records")
    archs = np.stack([SPACE.sample(streams) for _ in range(12)], axis=1)
    y = archs.sum(axis=2) + streams.normal(12)
    settings = {"encodings": ["onehot"], "layers": 0, "noise": 0.2, "noise_log_sd": 0.03}
    lengths = {"rate": 0.1, "friction": 0.3, "burn_in": 150, "samples": 20, "thin": 15}
    model = BOHAMIANN(**settings, **lengths).opened(SPACE, Streams(range(64)))
    known = Inputs(np.repeat(archs[:, :9], 64, axis=0))
    model.fit(known, np.repeat(y[:, :9], 64, axis=0), np.ones((64, 9), bool))
    draws = model.predict(Inputs(np.repeat(archs, 64, axis=0))).members
    x = np.concatenate([SPACE.encode(archs, "onehot"), np.ones((1, 12, 1))], axis=2)
    own = y[:, :9]
    z = (own - own.mean()) / own.std()
    inputs = x.shape[2] - 1  # the prior's variance is one over them
    exact = Evidence(x[:, :9], z, np.array([9.0]), float(inputs), 1 / 0.2, 0)
    mean, sd = exact.predict(x)
    sd = own.std() * np.sqrt(sd**2 - 0.2)  # of the function
    chains = draws.mean(axis=1)
    error = chains.std(axis=0, ddof=1) / 8.0
    assert (np.abs(chains.mean(axis=0) - own.mean() - own.std() * mean[0]) < 4 * error).all()
    np.testing.assert_allclose(draws.std(axis=(0, 1)), sd[0], rtol=0.1)


def test_batches_count_as_all_records_do():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 8, 4, generator=generator)
    weight = torch.ones(4, 8)
    weight[0, 5:] = 0.0
    every = Records(x, x[..., 0], weight)
    rows = torch.arange(3, 6).expand(4, 3)
    own = every.batch(rows)
    assert torch.equal(own.goal[:, :3], x[:, 3:6, 0])
    assert own.weight[0].tolist() == [2.5, 2.5, 0, 0]  # one is not known, one fills up the line
    torch.testing.assert_close(own.weight[1], torch.tensor([8 / 3, 8 / 3, 8 / 3, 0]))
    assert every.batch(torch.arange(5, 8).expand(4, 3)).weight[0].tolist() == [0.0] * 4


def test_a_step_that_cannot_follow_the_noise_is_refused():
    with pytest.raises(ConfigError, match=r"noise_log_sd must be above predictor\.rate"):
        BOHAMIANN(rate=0.1, noise_log_sd=0.001)
