import math
from types import SimpleNamespace

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.evaluators.few_shot import FewShotEvaluator
from nasrun.evaluators.training import Training
from nasrun.evaluators.zero_cost import ZeroCost
from nasrun.hardware.measured import MeasuredLatency
from nasrun.ranges import (
    require_at_least,
    require_not_negative,
    require_positive,
    require_seeds,
    require_within,
)


def two_or_more(owner, group, key):
    require_at_least(owner, group, 2, key)


def half_open(owner, group, key):
    require_within(owner, group, "[0, 1)", key)


def other_half_open(owner, group, key):
    require_within(owner, group, "(0, 1]", key)


@pytest.mark.parametrize(
    ("require", "good", "bad", "words"),
    [
        (two_or_more, [2, 2.0, np.int64(3)], [1, 1.9], "must be at least 2"),
        (require_positive, [1e-9, 5], [0, -1], "must be positive and finite"),
        (require_not_negative, [0, 0.0, 7], [-1, -1e-9], "must not be negative"),
        (half_open, [0, 0.999], [1, -0.1], r"must be in \[0, 1\)"),
        (other_half_open, [1, 0.001], [0, 1.1], r"must be in \(0, 1\]"),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(require, good, bad, words):
    for value in good:
        require(SimpleNamespace(rate=value), "algorithm", "rate")
        require(SimpleNamespace(rate=[value, value]), "algorithm", "rate")
    for value in bad:
        for held in (value, [good[0], value], (value,)):
            with pytest.raises(ConfigError, match=rf"^algorithm\.rate {words}, got {value}$"):
                require(SimpleNamespace(rate=held), "algorithm", "rate")
    for value in (math.nan, math.inf, -math.inf, True, "5"):
        with pytest.raises(ConfigError, match=r"^algorithm\.rate must be .*finite.*, got"):
            require(SimpleNamespace(rate=value), "algorithm", "rate")


def test_a_field_that_is_not_set_passes():
    require_at_least(SimpleNamespace(epochs=None, seeds=[]), "evaluator", 1, "epochs", "seeds")


def test_each_key_is_asked_about():
    owner = SimpleNamespace(a=1, b=1, c=0)
    require_at_least(owner, "space", 1, "a", "b")
    with pytest.raises(ConfigError, match=r"^space\.c must"):
        require_at_least(owner, "space", 1, "a", "b", "c")


def test_without_a_group_the_key_stands_alone():
    with pytest.raises(ConfigError, match=r"^cells must be at least 1, got 0$"):
        require_at_least(SimpleNamespace(cells=0), "", 1, "cells")


def test_seeds_are_there_and_each_once():
    require_seeds(SimpleNamespace(seeds=[3, 1]), "evaluator", "seeds")
    for seeds, words in (([], "at least one seed"), ([1, 1], "each seed once"), ([-1], "negative")):
        with pytest.raises(ConfigError, match=rf"^evaluator\.seeds must .*{words}"):
            require_seeds(SimpleNamespace(seeds=seeds), "evaluator", "seeds")


@pytest.mark.parametrize("make", [Training, ZeroCost, FewShotEvaluator, MeasuredLatency])
def test_a_network_without_size_is_refused_by_the_key_of_its_group(make):
    for key in ("channels", "cells"):
        with pytest.raises(ConfigError, match=rf"^(evaluator|hardware)\.{key} must be at least 1"):
            make(**{key: 0})
