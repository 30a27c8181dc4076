from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.hardware.none import NoHardware
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Task

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
POSITIVE = st.floats(0.1, 1e3)


@dataclass
class Counting(Weighing):
    """The latency of an architecture is its number, in ms; the first is unknown."""

    name: str = "counting"

    def opened(self, space, task):
        latencies_ms = np.arange(space.size, dtype=float)
        latencies_ms[0] = np.nan
        return KnownDevice(self, space, None, latencies_ms, {})


def started(**settings):
    return Counting(**settings).opened(SPACE, TASK)


def test_latency_by_architecture():
    archs = SPACE.at(np.array([5, 0, 5, 99]))
    np.testing.assert_array_equal(started().latency_ms(archs), [5, np.nan, 5, 99])


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(-2, 0))
def test_reward_is_that_of_the_paper(accuracy, latency, target, exponent):
    device = started(target_ms=target, exponent=exponent)
    reward = device.reward(np.array([accuracy]), np.array([latency]), ACCURACY)
    np.testing.assert_allclose(reward, accuracy * (latency / target) ** exponent)


def test_default_exponent_and_a_figure_by_hand():
    """90 % at twice the target: 90 * exp(-0.05 * ln 2) = 90 * 0.9659363."""
    reward = started(target_ms=10.0).reward(
        np.array([90.0, 90.0]), np.array([20.0, 10.0]), ACCURACY
    )
    np.testing.assert_allclose(reward, [86.934267, 90.0], atol=1e-5)


def test_unknown_latency_has_no_reward():
    reward = started().reward(np.array([90.0, np.nan]), np.array([np.nan, 3.0]), ACCURACY)
    assert np.isnan(reward).all()


def test_exponent_zero_is_accuracy_alone():
    accuracy = np.array([1.0, 2.0])
    reward = started(exponent=0.0).reward(accuracy, np.array([3.0, 4.0]), ACCURACY)
    np.testing.assert_array_equal(reward, accuracy)


def test_without_a_target_it_is_the_median_of_the_space_and_is_said(caplog):
    with caplog.at_level("INFO"):
        device = started()
    median = np.median(np.arange(1, SPACE.size))
    assert device.reward(np.array([50.0]), np.array([median]), ACCURACY)[0] == 50.0
    assert f"the target is {median:.4g} ms" in caplog.text


def test_a_given_target_is_not_commented(caplog):
    with caplog.at_level("INFO"):
        started(target_ms=3.0)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target_ms": 0.0}, "target_ms must be positive"),
        ({"target_ms": -1.0}, "target_ms must be positive"),
        ({"target_ms": float("nan")}, "target_ms must be positive"),
        ({"exponent": 0.05}, "exponent must be zero or negative"),
        ({"exponent": float("nan")}, "exponent must be zero or negative"),
    ],
)
def test_senseless_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Counting(**settings)


def test_no_hardware_knows_nothing_and_rewards_accuracy():
    device = NoHardware()
    device = device.opened(SPACE, TASK)
    archs, accuracy = SPACE.at(np.arange(3)), np.array([1.0, 2.0, 3.0])
    latency_ms = device.latency_ms(archs)
    assert np.isnan(latency_ms).all()
    np.testing.assert_array_equal(device.reward(accuracy, latency_ms, ACCURACY), accuracy)
    assert device.files == {}
