import numpy as np
import pytest

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.hardware.measured import MeasuredLatency
from nasrun.hardware.nb201_latency import NB201Latency
from nasrun.hardware.none import NoHardware
from nasrun.hardware.ridge import RidgeLatency
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Task

SPACE, TASK = NB201(), Task("toy", 5, 8, "toy", "toy", 1, 1)
SMALL = {"device": "cpu", "threads": 1, "channels": 4, "cells": 1, "runs": 3, "warm_up": 1}


def started(**changes):
    hardware = MeasuredLatency(**{**SMALL, "sample": 3, **changes})
    hardware = hardware.opened(SPACE, TASK)
    return hardware


def test_a_latency_is_measured_once():
    hardware = started()
    archs = SPACE.at(np.array([9000, 3, 9000]))
    found = hardware.latency_ms(archs)
    assert (found > 0).all()
    np.testing.assert_array_equal(found, hardware.latency_ms(archs))
    assert found[0] == found[2]


def test_the_reward_weighs_the_latency_against_the_target():
    hardware = started(target_ms=2.0)
    found = hardware.reward(np.array([50.0, 50.0]), np.array([2.0, 4.0]), ACCURACY)
    np.testing.assert_allclose(found, [50.0, 50.0 * 2**-0.05])
    assert started().reward(np.array([50.0]), np.array([1.0]), ACCURACY) > 0


def test_a_limit_below_the_sample_is_no_reason_to_refuse():
    """A few random architectures say nothing of the fastest one in the space."""
    hardware = started(exponent=0.0, limit_ms=1e-3)
    assert hardware.reference_ms > 1e-3
    assert hardware.reward(np.array([50.0]), np.array([2e-3]), ACCURACY)[0] == -2.0


def test_counts_that_mean_nothing_are_refused():
    for wrong in ({"runs": 0}, {"batch": 0}, {"warm_up": -1}, {"target_ms": 0.0}):
        with pytest.raises(ConfigError):
            MeasuredLatency(**wrong)


def test_a_space_without_networks_is_refused():
    from toys import ToySpace

    with pytest.raises(UnsupportedError, match="has no network"):
        MeasuredLatency(**SMALL).opened(ToySpace(), TASK)


def test_a_target_is_each_processes_own_where_it_weighs_and_is_not_given():
    assert MeasuredLatency().has_target_of_process
    assert MeasuredLatency(exponent=0, exponent_above=-1).has_target_of_process
    assert not MeasuredLatency(target_ms=3.0).has_target_of_process
    assert not MeasuredLatency(exponent=0).has_target_of_process
    assert RidgeLatency(source=MeasuredLatency(target_ms=3.0)).has_target_of_process
    assert not RidgeLatency(source=MeasuredLatency(), target_ms=3.0).has_target_of_process
    assert not RidgeLatency(source=NB201Latency()).has_target_of_process
    assert not NoHardware().has_target_of_process
