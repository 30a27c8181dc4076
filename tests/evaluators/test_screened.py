from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace

from nasrun.errors import ConfigError, DataError
from nasrun.evaluators.screened import Screened
from nasrun.spec import Clock
from nasrun.streams import Streams


@dataclass
class Cheap(ToyEvaluator):
    """Scores like the toy, at a second an epoch of this machine's time."""

    clock: ClassVar[Clock] = Clock.MEASURED


@dataclass
class Counting(ToyEvaluator):
    """Counts what it measures."""

    asked: int = 0

    def evaluate(self, archs, *, epochs, streams, parents=None):
        self.asked += len(archs)
        return super().evaluate(archs, epochs=epochs, streams=streams)


def screened(then=None, **changes):
    made = Screened(screen=Cheap(), then=then or Counting(), **changes)
    return made.opened(ToySpace(), TASK)


def judge(evaluator, numbers, seeds=None):
    archs = ToySpace().at(np.array(numbers))
    full = np.full(len(archs), 12, np.int64)
    streams = Streams(range(len(archs)) if seeds is None else seeds)
    return evaluator.evaluate(archs, epochs=full, streams=streams)


def test_those_under_the_bar_are_not_judged():
    evaluator = screened()
    found = judge(evaluator, range(24))
    passed = ~np.isnan(found.score)
    assert 8 <= passed.sum() <= 16
    assert passed[np.argmax(passed) :].all()  # the bar is one number
    assert evaluator._then.asked == passed.sum()
    assert (found.cost_s == np.where(passed, 12.0, 0.0)).all()


@dataclass
class Alike(ToyEvaluator):
    """The same of all."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        found = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(found, score=np.ones(len(archs)))


def test_those_at_the_bar_are_judged():
    made = Screened(screen=Alike(), then=Counting()).opened(ToySpace(), TASK)
    assert not np.isnan(judge(made, range(24)).score).any()


def test_screening_is_charged_where_both_clocks_are_this_machines():
    found = judge(screened(then=Cheap()), range(24))
    assert (found.cost_s == np.where(np.isnan(found.score), 12.0, 24.0)).all()


def test_a_screen_by_a_table_adds_no_simulated_seconds_to_measured_ones():
    made = Screened(screen=Counting(), then=Cheap()).opened(ToySpace(), TASK)
    found = judge(made, range(24))
    assert (found.cost_s == np.where(np.isnan(found.score), 0.0, 12.0)).all()


@dataclass
class Inheriting(ToyEvaluator):
    """Says that it started from the parents' weights."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        found = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(found, parents=parents)


@pytest.mark.parametrize(("then", "inherits"), [(Inheriting(), True), (Counting(), False)])
def test_what_networks_started_from_is_passed_on(then, inherits):
    archs = ToySpace().at(np.arange(24))
    full, streams = np.full(24, 12, np.int64), Streams(range(24))
    found = screened(then=then).evaluate(archs, epochs=full, streams=streams, parents=archs[::-1])
    assert (found.parents is not None) == inherits
    assert not inherits or (found.parents == archs[::-1]).all()


def test_a_trials_draws_do_not_depend_on_the_others():
    whole = judge(screened(then=Counting(noise=1.0)), range(24), range(24))
    for row in (2, 20, 23):
        alone = judge(screened(then=Counting(noise=1.0)), [row], [row])
        np.testing.assert_array_equal(alone.score, whole.score[row : row + 1])


def test_it_needs_two_evaluators_and_a_share():
    with pytest.raises(ConfigError, match="must be evaluators"):
        Screened()
    with pytest.raises(ConfigError, match=r"share must be in \(0, 1\)"):
        screened(share=1.0)


@dataclass
class Unscored(ToyEvaluator):
    """Scores nothing."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        found = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(found, score=np.full(len(archs), np.nan))


def test_a_screen_that_scores_nothing_is_refused():
    with pytest.raises(DataError, match="gave none of 100 sampled architectures a score"):
        Screened(screen=Unscored(), then=Counting()).opened(ToySpace(), TASK)
