from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.hardware.none import NoHardware
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, RewardTerms, Task, metric_named

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


def test_scores_without_a_meaning_in_the_product_are_refused():
    """-0.6 would be worth -0.85 at 5 ms and -0.42 at 20 ms: more for the slower network."""
    device = started(target_ms=10.0, exponent=-0.5)
    with pytest.raises(ConfigError, match=r"of accuracy_pct one is -0.6: set"):
        device.reward(np.array([90.0, np.nan, -0.6]), np.array([5.0, 5.0, 20.0]), ACCURACY)


def test_a_network_that_finds_nothing_is_worth_nothing_and_ends_no_search():
    device = started(target_ms=10.0, exponent=-0.5)
    worth = device.reward(np.array([0.0, 0.0, 1e-3]), np.array([5.0, 20.0, 500.0]), ACCURACY)
    assert worth[:2].tolist() == [0.0, 0.0]
    assert worth[2] > 0


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


def test_a_target_is_the_median_and_a_hypervolumes_corner_the_slowest_of_what_is_known():
    device = started()
    device.settle(np.array([1.0, np.nan, 2.0, 9.0]), "these")
    assert (device.terms.target_ms, device.reference_ms) == (2.0, 9.0)


def test_what_a_device_knows_is_said_where_it_is_not_all(caplog):
    started(target_ms=3.0)
    assert "latencies of 15,624 of 15,625 architectures (99.9 %) of space=nb201" in caplog.text


def test_a_target_that_only_scales_is_said(caplog):
    """T = 15 ms and w = -0.05 found 4.83 ms: a target is no limit, and the user has to know."""
    started(target_ms=3.0)
    assert "hardware.target_ms=3 only scales the reward" in caplog.text
    caplog.clear()
    started(target_ms=3.0, exponent=0.0, exponent_above=-1.0)
    assert "target_ms" not in caplog.text


def test_mnasnets_hard_exponents_weigh_above_the_target_alone():
    """alpha = 0, beta = -1: 90 % at 20 ms of 10 ms is worth 90 * (20 / 10)^-1 = 45."""
    device = started(target_ms=10.0, exponent=0.0, exponent_above=-1.0)
    reward = device.reward(np.full(4, 90.0), np.array([5.0, 10.0, 20.0, np.nan]), ACCURACY)
    np.testing.assert_allclose(reward, [90.0, 90.0, 45.0, np.nan])
    both = started(target_ms=10.0, exponent=-0.5, exponent_above=-1.0)
    reward = both.reward(np.full(2, 90.0), np.array([2.5, 20.0]), ACCURACY)
    np.testing.assert_allclose(reward, [180.0, 45.0])  # (2.5 / 10)^-0.5 = 2


def test_beyond_the_limit_everything_is_worth_less_than_anything_within():
    device = started(exponent=0.0, limit_ms=10.0)
    score = np.array([0.1, 99.0, 99.0, np.nan, 50.0, 50.0])
    reward = device.reward(score, np.array([10.0, 11, 30, 30, 5, np.nan]), ACCURACY)
    np.testing.assert_allclose(reward, [0.1, -1.1, -3.0, np.nan, 50.0, np.nan])
    # An error has its worst value at 100 %: the rewards lie below -100.
    reward = device.reward(np.array([99.9, 1.0]), np.array([10.0, 11.0]), ERROR)
    np.testing.assert_allclose(reward, [-99.9, -101.1])


def test_in_several_objectives_what_keeps_the_limit_dominates():
    """Constrained domination (Deb, 2000): every network within beats every one beyond."""
    device = started(exponent=0.0, limit_ms=10.0)
    values = device.objective_values(np.array([1.0, 99.0, 98.0]), np.array([9.9, 12, 11]), ACCURACY)
    np.testing.assert_allclose(values, [[1.0, -9.9], [-1.2, -12], [-1.1, -11]])
    assert (values[0] > values[1:]).all()
    assert (values[2] > values[1]).all()  # and among those beyond, the faster one


def test_a_limit_needs_a_worst_value_and_an_architecture_within_it():
    device = started(exponent=0.0, limit_ms=10.0)
    with pytest.raises(ConfigError, match=r"limit_ms needs a metric with a worst value, .* neg_l"):
        device.reward(np.array([-0.6]), np.array([5.0]), metric_named("neg_loss"))
    with pytest.raises(ConfigError, match=r"limit_ms=0.5 is below every latency .* least is 1 ms"):
        started(limit_ms=0.5)


def test_rows_say_how_the_latency_weighed():
    terms = started(target_ms=10.0, exponent_above=-1.0, limit_ms=20.0).terms
    assert terms == RewardTerms("counting", 10.0, -0.05, -1.0, 20.0)
    assert started(exponent=0.0).terms == RewardTerms("counting", None, 0.0, 0.0, None)
    assert NoHardware().opened(SPACE, TASK).terms == RewardTerms()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target_ms": 0.0}, "target_ms must be positive"),
        ({"target_ms": -1.0}, "target_ms must be positive"),
        ({"target_ms": float("nan")}, "target_ms must be positive"),
        ({"exponent": 0.05}, "exponent must be zero or negative"),
        ({"exponent": float("nan")}, "exponent must be zero or negative"),
        ({"exponent_above": 1.0}, "exponent_above must be zero or negative"),
        ({"limit_ms": 0.0}, "limit_ms must be positive"),
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
