from dataclasses import replace

import numpy as np
import pytest

from nasrun.budget import Budget, Edge
from nasrun.errors import ConfigError
from nasrun.meter import FREE_STEPS, Meter
from nasrun.spec import Measured


def measured(*costs, archs=None, epochs=12):
    n = len(costs)
    archs = np.zeros((n, 2), np.int64) if archs is None else np.array(archs)
    nan = np.full(n, np.nan)
    return Measured(archs, np.full(n, epochs), nan, np.array(costs, float), nan, nan)


def test_evaluations_end_a_trial():
    meter = Meter(Budget(evaluations=2), 1, 0)
    for expected in ([False], [True]):
        counted, _ = meter.charge(measured(5.0))
        assert counted.all()
        assert meter.finished.tolist() == expected
    assert meter.clock_s.tolist() == [10.0]


@pytest.mark.parametrize(("edge", "clock", "evaluations"), [("keep", 12.0, 2), ("drop", 6.0, 1)])
def test_the_measurement_that_crosses_the_limit(edge, clock, evaluations):
    meter = Meter(Budget(simulated_s=10.0, edge=Edge(edge)), 1, 0)
    while not meter.finished.all():
        meter.charge(measured(6.0))
    assert meter.clock_s.tolist() == [clock]
    assert meter.evaluations.tolist() == [evaluations]


@pytest.mark.parametrize(("edge", "evaluations"), [("keep", 2), ("drop", 2)])
def test_a_measurement_that_ends_on_the_limit_counts_either_way(edge, evaluations):
    meter = Meter(Budget(simulated_s=10.0, edge=Edge(edge)), 1, 0)
    while not meter.finished.all():
        meter.charge(measured(5.0))
    assert meter.evaluations.tolist() == [evaluations]
    assert meter.clock_s.tolist() == [10.0]


def test_a_finished_trial_is_charged_no_more():
    meter = Meter(Budget(simulated_s=10.0), 2, 0)
    meter.charge(measured(20.0, 4.0))
    counted, _ = meter.charge(measured(20.0, 4.0))
    assert counted.tolist() == [False, True]
    assert meter.clock_s.tolist() == [20.0, 8.0]


def test_repeats_can_be_free_unless_they_train_longer():
    meter = Meter(Budget(evaluations=9, charge_repeats=False), 1, 0)
    costs = [
        meter.charge(measured(3.0, archs=[arch], epochs=epochs))[1].cost_s[0]
        for arch, epochs in [([0, 1], 4), ([0, 1], 4), ([0, 1], 12), ([0, 1], 4), ([1, 1], 4)]
    ]
    assert costs == [3.0, 0.0, 3.0, 0.0, 3.0]
    assert meter.evaluations.tolist() == [3]


def test_what_is_measured_without_training_is_a_repeat_the_second_time_alone():
    meter = Meter(Budget(evaluations=9, charge_repeats=False), 1, 0)
    for spent in (1, 1):
        meter.charge(measured(3.0, epochs=0))
        assert meter.evaluations.tolist() == [spent]


def test_a_generation_is_charged_whole_though_its_best_was_measured_before():
    meter = Meter(Budget(evaluations=99, charge_repeats=False), 1, 0)
    for spent in (10, 20):
        meter.charge(replace(measured(3.0), count=np.array([10])))
        assert meter.evaluations.tolist() == [spent]


def test_the_initial_population_can_be_free():
    meter = Meter(Budget(evaluations=1, charge_startup=False), 1, startup_steps=2)
    finished = [bool(meter.charge(measured(3.0)) and meter.finished[0]) for _ in range(3)]
    assert finished == [False, False, True]
    assert meter.clock_s.tolist() == [3.0]


def test_an_architecture_from_other_weights_is_no_repeat():
    meter = Meter(Budget(evaluations=9, charge_repeats=False), 1, 0)
    costs = [
        meter.charge(replace(measured(3.0), parents=parent and np.array([parent])))[1].cost_s[0]
        for parent in (None, [0, 1], [1, 0], [0, 1], None)
    ]
    assert costs == [3.0, 3.0, 3.0, 0.0, 0.0]


def test_what_the_initial_population_measured_is_a_repeat_later():
    budget = Budget(evaluations=1, charge_startup=False, charge_repeats=False)
    meter = Meter(budget, 2, startup_steps=1)
    meter.charge(measured(3.0, 3.0, archs=[[0, 1], [1, 0]]))
    _, charged = meter.charge(measured(3.0, 3.0, archs=[[0, 1], [0, 1]]))
    assert charged.cost_s.tolist() == [0.0, 3.0]
    assert meter.evaluations.tolist() == [0, 1]


def test_a_trial_that_only_repeats_itself_ends():
    meter = Meter(Budget(evaluations=5, charge_repeats=False), 1, 0)
    steps = 0
    while not meter.finished.all():
        meter.charge(measured(1.0))
        steps += 1
    assert steps == FREE_STEPS + 1
    assert meter.evaluations.tolist() == [1]


def test_a_free_population_may_be_larger_than_what_ends_a_trial_of_repeats():
    population = FREE_STEPS + 5
    meter = Meter(Budget(evaluations=2, charge_startup=False), 1, startup_steps=population)
    steps = 0
    while not meter.finished.all():
        meter.charge(measured(1.0))
        steps += 1
    assert steps == population + 2
    assert meter.evaluations.tolist() == [2]


def test_a_cost_that_is_not_known_leaves_the_clock_at_the_sum_of_the_others():
    meter = Meter(Budget(evaluations=3), 2, 0)
    for costs in [(np.nan, np.nan), (5.0, np.nan), (np.nan, np.nan)]:
        meter.charge(measured(*costs))
    np.testing.assert_array_equal(meter.clock_s, [5.0, np.nan])
    assert meter.evaluations.tolist() == [3, 3]


def test_a_step_may_stand_for_several_evaluations_or_for_none():
    meter = Meter(Budget(evaluations=100), 3, 0)
    for _ in range(2):
        counts = np.array([1, 40, 0])
        meter.charge(replace(measured(1.0, 1.0, 1.0), count=counts))
    assert meter.evaluations.tolist() == [2, 80, 0]
    meter.charge(replace(measured(1.0, 1.0, 1.0), count=np.array([1, 40, 0])))
    assert meter.finished.tolist() == [False, True, False]
    assert meter.evaluations.tolist() == [3, 120, 0]


def test_failures_are_counted_among_what_is_charged():
    meter = Meter(Budget(evaluations=9, charge_startup=False), 2, startup_steps=1)
    scored = replace(measured(1.0, 1.0), score=np.array([np.nan, 5.0]))
    for _ in range(3):  # the first step is free
        meter.charge(scored)
    assert meter.evaluations.tolist() == [2, 2]
    assert meter.failed.tolist() == [2, 0]
    meter.charge(replace(scored, count=np.array([4, 0])))
    assert meter.failed.tolist() == [6, 0]


def test_a_method_with_a_plan_ends_though_its_steps_count_nothing():
    meter = Meter(Budget(evaluations=2), 1, 0, planned_steps=2)
    for expected in (False, True):
        meter.charge(replace(measured(1.0), count=np.zeros(1, np.int64)))
        assert meter.finished.tolist() == [expected]
    assert meter.evaluations.tolist() == [0]


def test_a_trial_of_failures_without_a_cost_ends_within_a_time_budget():
    meter, steps = Meter(Budget(simulated_s=10.0), 1, 0), 0
    while not meter.finished.all():
        meter.charge(measured(np.nan))
        steps += 1
    assert steps == FREE_STEPS


def test_wall_seconds_end_a_trial():
    meter = Meter(Budget(wall_s=1e-9), 1, 0)
    meter.charge(measured(1.0))
    assert meter.finished.all()
    assert meter.wall_s[0] > 0


def test_the_wall_seconds_of_a_trial_are_those_of_its_end():
    meter = Meter(Budget(simulated_s=10.0), 2, 0)
    meter.charge(measured(20.0, 4.0))
    first, open_still = meter.wall_s
    assert first > 0
    assert np.isnan(open_still)
    meter.charge(measured(20.0, 20.0))
    assert meter.wall_s[0] == first < meter.wall_s[1]


def test_no_limit_at_all_means_fifty_evaluations():
    assert Budget().within(None).evaluations == 50
    assert Budget(simulated_s=1.0).within(None).evaluations is None


def test_a_method_that_plans_its_steps_ends_with_its_plan_or_with_the_budget():
    assert Budget().within(250).evaluations == 250
    assert Budget(evaluations=10).within(250).evaluations == 10
    assert Budget(evaluations=300).within(250).evaluations == 250


@pytest.mark.parametrize("limit", ["evaluations", "simulated_s", "wall_s"])
def test_a_limit_that_is_not_positive_is_refused(limit):
    with pytest.raises(ConfigError, match=f"budget.{limit} must be positive and finite, got 0"):
        Budget(**{limit: 0})
