"""Predicted latencies: the regression by hand, and what the rows say of it."""

from dataclasses import dataclass

import numpy as np
import pytest
from composed import composed

from nasrun.config import build
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing, WeighingDevice
from nasrun.hardware.ridge import RidgeLatency, quality, ridge
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Hardware, Task
from nasrun.streams import Streams

SPACE = MobileNetV3()
TASK = Task("imagenet", 1000, 224, "t", "t", 1, 1)
SIGNAL = ("titan_rtx_32_ms", "titan_rtx_64_ms", "titan_xp_32_ms", "titan_xp_64_ms", "v100_64_ms")


def flops(archs):
    return SPACE.footprint(archs, TASK)[1]


@dataclass
class Listing(Weighing):
    """A table of ``count`` random networks, whose latency is their FLOPs."""

    name: str = "listing"
    count: int = 400

    def opened(self, space, task):
        archs = space.sample(Streams(range(self.count), "listed"))
        return KnownDevice(self, space, archs, flops(archs), {"listing": "0" * 64})


class Measuring(WeighingDevice):
    asked = 0

    def latency_ms(self, archs):
        self.asked += len(archs)
        return flops(archs)


@dataclass
class Machine(Weighing):
    """One that can measure what it is asked for."""

    name: str = "machine"

    def opened(self, space, task):
        self.device = Measuring(self)
        self.device.settle(np.ones(1), "nothing")
        return self.device


def test_the_line_is_the_solution_of_the_penalised_normal_equations():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)) + 2, rng.normal(size=30) + 50
    weights, bias = ridge(x, y, penalty=3.0)
    free = np.concatenate([x, np.ones((30, 1))], axis=1)
    penalty = 3.0 * np.diag([1, 1, 1, 1, 0])
    expected = np.linalg.solve(free.T @ free + penalty, free.T @ y)
    np.testing.assert_allclose([*weights, bias], expected, rtol=1e-9)


def test_errors_are_shares_of_what_is_known_and_ranks_correlate():
    fit = quality(np.array([11.0, 18.0, 33.0, 30.0]), np.array([10.0, 20.0, 30.0, 40.0]), 7)
    assert fit.error_pct == pytest.approx((10 + 10 + 10 + 25) / 4)
    assert fit.rank_correlation == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert str(fit) == (
        "ridge on 7 networks; 4 held out: error 13.75 %, rank correlation 0.800"
    )  # fmt: skip


def test_all_that_a_table_lists_is_fitted_but_what_is_held_out():
    device = RidgeLatency(source=Listing(), held_out=0.25).opened(SPACE, TASK)
    assert (device.fit.fitted, device.fit.held_out) == (300, 100)
    unseen = SPACE.sample(Streams(range(1000, 1200)))
    error = np.abs(device.latency_ms(unseen) / flops(unseen) - 1).mean() * 100
    assert device.fit.error_pct == pytest.approx(error, rel=0.3)
    assert error < 4  # FLOPs are nearly linear in layers by area
    assert device.terms.device == f"listing ({device.fit})"
    assert device.files == {"listing": "0" * 64}


def test_one_hot_options_predict_worse():
    by_area = RidgeLatency(source=Listing()).opened(SPACE, TASK).fit.error_pct
    plain = RidgeLatency(source=Listing(), encoding="onehot").opened(SPACE, TASK).fit.error_pct
    assert plain > 1.2 * by_area


def test_a_machine_measures_samples():
    source = Machine()
    device = RidgeLatency(source=source, samples=60).opened(SPACE, TASK)
    assert source.device.asked == 60
    device.latency_ms(SPACE.sample(Streams(range(5))))
    assert source.device.asked == 60


def test_what_does_not_exist_has_no_latency_and_nothing_is_below_the_least():
    device = RidgeLatency(source=Listing(), penalty=1e-3).opened(SPACE, TASK)
    smallest = np.zeros((1, 46), np.int64)
    assert device.latency_ms(smallest)[0] > 0
    wrong = smallest.copy()
    wrong[0, 8] = 1
    assert np.isnan(device.latency_ms(wrong)[0])
    rewards = device.reward(np.array([70.0]), device.latency_ms(smallest), ACCURACY)
    assert rewards[0] > 70  # faster than the median


def test_a_source_that_knows_nothing_is_refused():
    with pytest.raises(UnsupportedError, match=r"at least 10 networks.*listing knows 6"):
        RidgeLatency(source=Listing(count=6)).opened(SPACE, TASK)


@pytest.mark.parametrize(
    "settings", [{"samples": 9}, {"held_out": 0.0}, {"held_out": 1.0}, {"penalty": 0.0}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        RidgeLatency(source=Listing(), **settings)


@pytest.mark.parametrize("held_out", [0.01, 0.99])
def test_extreme_shares_leave_networks_to_fit_and_to_judge(held_out):
    fit = RidgeLatency(source=Listing(count=10), held_out=held_out).opened(SPACE, TASK).fit
    assert {fit.fitted, fit.held_out} == {2, 8}
    assert np.isfinite(fit.error_pct)
    assert np.isfinite(fit.rank_correlation)


def test_a_space_without_an_encoding_of_its_own_has_one_hot_options():
    assert NB201().cost_encoding == "onehot"


@pytest.mark.data
@pytest.mark.parametrize("column", SIGNAL)
def test_measured_latencies_of_networks_are_predicted(column):
    """Once-for-all's networks on the settings that carry signal."""
    config = composed(
        "hardware=ridge", "hardware@hardware.source=ofa_latency", f"hardware.source.device={column}"
    )
    fit = build(config.hardware, Hardware, "hardware").opened(SPACE, TASK).fit
    assert (fit.fitted, fit.held_out) == (4000, 1000)
    assert fit.error_pct < 5
    assert fit.rank_correlation > 0.97
