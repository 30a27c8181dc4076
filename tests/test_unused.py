"""What was asked for without effect is said."""

import pytest
from composed import composed

from nasrun.__main__ import CONF
from nasrun.config import check
from nasrun.unused import say, unused


def said(*overrides, sweep=False):
    config = composed(*overrides)
    return list(unused(config, check(config, [CONF / "task"]), overrides, sweep))


LATENCY = "hardware=nb201_latency", "hardware.limit_ms=5"
SCREEN = (
    "evaluator=screened",
    "evaluator@evaluator.screen=zero_cost",
    "evaluator@evaluator.then=tabular",
)
STOPPED = ("evaluator=curve_stopped", "evaluator@evaluator.then=tabular")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("scale=small",), "scale (channels=8 and more)"),
        (("algorithm=metad2a", "scale.epochs=3"), "scale (epochs=3 and more)"),
        (("features=pixels",), "features are for methods that look at a data set"),
        (("predictor=gp",), "predictor is for methods that choose candidates by one"),
        (("algorithm=metad2a", "predictor=gp"), "changes nothing of algorithm=metad2a"),
        (("data_dir=/nowhere",), "data_dir=/nowhere is no folder, so no data file is read"),
        (
            ("algorithm=neat", "space=genome", "task=xor", "budget.charge_repeats=false"),
            "changes nothing of algorithm=neat, whose generations are charged whole",
        ),
        (("report.title=x",), "report is of a sweep"),
        (("algorithm=gdas", *SCREEN), "evaluator.screen filters nothing"),
        (("algorithm=gdas", *STOPPED), "evaluator=curve_stopped stops nothing, because"),
        (STOPPED, "first=100 full trainings, and budget.evaluations=50 ends by then"),
        (("algorithm=gdas", *LATENCY), "chooses nothing: algorithm=unas"),
        (("algorithm=unas", *LATENCY), "chooses nothing: set algorithm.latency_weight"),
        (("algorithm=proxylessnas", *LATENCY), "chooses nothing: set algorithm.latency_target_ms"),
    ],
    ids=str,
)
def test_an_option_without_effect_is_said_in_a_sentence(overrides, words):
    (sentence,) = said(*overrides)
    assert words in sentence


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("algorithm=gdas", "scale=small"),
        ("algorithm=metad2a", "features=pixels"),
        ("algorithm=bananas", "predictor=gp"),
        ("study=predictors", "predictor=gp"),
        ("space=residual", "evaluator=training", "scale=small"),
        LATENCY,
        SCREEN,
        (*STOPPED, "budget.evaluations=101"),
        (*STOPPED, "budget.simulated_s=1e5"),
        ("algorithm=proxylessnas_rl", *LATENCY),
        ("algorithm=proxylessnas", "algorithm.latency_target_ms=5", *LATENCY),
        (
            "algorithm=unas",
            "algorithm.latency_weight=0.1",
            "algorithm.latency_target_ms=5",
            *LATENCY,
        ),
    ],
    ids=str,
)
def test_options_that_have_an_effect_are_not(overrides):
    assert said(*overrides) == []


def test_a_sweep_has_a_report():
    assert said("report.title=x", sweep=True) == []


def test_a_sentence_is_said_once_by_a_process(caplog):
    say.cache_clear()
    with caplog.at_level("WARNING", logger="nasrun"):
        for _ in range(2):
            say("this changes nothing")
    assert caplog.messages == ["this changes nothing"]
