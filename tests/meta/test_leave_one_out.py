from dataclasses import replace

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace

from nasrun.errors import ConfigError
from nasrun.meta.leave_one_out import LeaveOneOut
from nasrun.streams import Streams

TASKS = {name: replace(TASK, name=name) for name in ("a", "b", "c")}


def pool(target, **fields):
    made = LeaveOneOut(tasks=TASKS, **fields)
    evaluator = ToyEvaluator().opened(ToySpace(), target)
    return made.opened(ToySpace(), target, evaluator), evaluator


@pytest.mark.parametrize("left_out", TASKS)
def test_the_target_is_never_in_the_pool(left_out):
    made, evaluator = pool(TASKS[left_out])
    names = [made.problem(epoch)[0].name for epoch in range(6)]
    assert names == [name for name in TASKS if name != left_out] * 3
    assert left_out not in made.label.removeprefix("leave_one_out")
    assert evaluator.task is TASKS[left_out]  # the search's own evaluator is left as it was


def test_every_problem_has_an_evaluator_of_its_own_task():
    made, _ = pool(TASKS["b"])
    for epoch in range(4):
        task, evaluator = made.problem(epoch)
        assert evaluator.task is task
        archs = ToySpace().sample(Streams(range(3)))
        measured = evaluator.evaluate(archs, epochs=np.full(3, 12), streams=Streams(range(3)))
        assert not np.isnan(measured.score).any()


def test_the_pool_can_be_a_single_task():
    made, _ = pool(TASKS["a"], others=1)
    assert {made.problem(epoch)[0].name for epoch in range(4)} == {"b"}
    assert made.label == "leave_one_out(b)"


def test_a_target_without_company_is_refused():
    made = LeaveOneOut(tasks={"a": TASKS["a"]})
    with pytest.raises(ConfigError, match=r"no task besides a in meta\.tasks"):
        made.opened(ToySpace(), TASKS["a"], ToyEvaluator())


@pytest.mark.parametrize("field", ["agents", "epochs", "networks", "others"])
def test_sizes_below_one_are_refused(field):
    with pytest.raises(ConfigError, match=f"meta.{field} must be at least 1"):
        LeaveOneOut(tasks=TASKS, **{field: 0})
