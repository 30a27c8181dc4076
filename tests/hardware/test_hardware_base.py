from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.hardware.none import NoHardware
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Task, metric_named

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
ERROR = metric_named("error_pct")
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


@pytest.mark.parametrize("score", [0.0, -0.6])
def test_scores_without_a_meaning_in_the_product_are_refused(score):
    """-0.6 would be worth -0.85 at 5 ms and -0.42 at 20 ms: more for the slower network."""
    device = started(target_ms=10.0, exponent=-0.5)
    with pytest.raises(ConfigError, match=rf"of accuracy_pct one is {score:.4g}: set"):
        device.reward(np.array([90.0, np.nan, score]), np.array([5.0, 5.0, 20.0]), ACCURACY)


def test_a_metric_of_which_less_is_better_is_refused():
    with pytest.raises(ConfigError, match=r"of error_pct less is better: set hardware.exponent=0"):
        started().reward(np.array([7.0]), np.array([5.0]), ERROR)


def test_a_failed_measurement_is_no_reason_to_refuse():
    assert np.isnan(started().reward(np.array([np.nan]), np.array([5.0]), ACCURACY)).all()


def test_exponent_zero_serves_every_metric():
    score, latency_ms = np.array([-0.6, 0.0, 7.0, np.nan]), np.array([5.0, 20.0, np.nan, 5.0])
    device = started(exponent=0.0)
    np.testing.assert_array_equal(device.reward(score, latency_ms, ACCURACY), score)
    np.testing.assert_array_equal(device.reward(score, latency_ms, ERROR), -score)


def test_objectives_are_all_to_be_maximised_and_the_slowest_is_the_reference():
    device, score, latency_ms = started(), np.array([90.0, np.nan]), np.array([5.0, 7.0])
    assert device.objectives == ("score", "latency_ms")
    found = device.objective_values(score, latency_ms, ACCURACY)
    np.testing.assert_array_equal(found, [[90, -5], [np.nan, -7]])
    found = device.objective_values(score, latency_ms, ERROR)
    np.testing.assert_array_equal(found, [[-90, -5], [np.nan, -7]])
    assert device.reference_ms == SPACE.size - 1


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
