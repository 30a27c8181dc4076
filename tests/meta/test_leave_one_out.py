from dataclasses import replace

import numpy as np
import pytest
from composed import CONF, composed
from toys import TASK, ToyEvaluator, ToySpace

from nasrun.config import check
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


@pytest.mark.parametrize("target", ["b_part", "b[0,1]", "b_miou"])
def test_what_the_target_is_a_part_of_is_not_in_the_pool(target):
    made, _ = pool(replace(TASK, name=target))
    assert made.label == "leave_one_out(a+c)"
    assert made.uses_target  # no artifact of a target that has all three in its pool


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


def test_targets_that_are_not_listed_share_what_is_learnt():
    """Such as segmentation by agents that learn on classification alone."""
    others = [pool(replace(TASK, name=name))[0] for name in ("d", "e")]
    assert not any(made.uses_target for made in others)
    assert len({made.label for made in others}) == 1
    assert pool(TASKS["a"])[0].uses_target


def test_a_target_without_company_is_refused():
    made = LeaveOneOut(tasks={"a": TASKS["a"]})
    with pytest.raises(ConfigError, match=r"no task besides a in meta\.tasks"):
        made.opened(ToySpace(), TASKS["a"], ToyEvaluator())


@pytest.mark.parametrize("field", ["agents", "epochs", "networks", "others"])
def test_sizes_below_one_are_refused(field):
    with pytest.raises(ConfigError, match=f"meta.{field} must be at least 1"):
        LeaveOneOut(tasks=TASKS, **{field: 0})


TRANSNAS = [
    "class_scene", "class_object", "jigsaw", "room_layout", "segmentsemantic", "normal",
    "autoencoder",
]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["space=nb201"], ["cifar10", "cifar100", "imagenet16_120"]),
        (["space=darts"], ["cifar10", "cifar100", "imagenet16_120"]),
        (["space=transnas_micro"], TRANSNAS),
        (["space=transnas_macro"], TRANSNAS),
        (["space=transnas_micro", "meta.tasks=[normal,jigsaw]"], ["normal", "jigsaw"]),
    ],
    ids=str,
)
def test_the_space_says_which_tasks_there_are_unless_they_are_named(overrides, names):
    config = composed("algorithm=catch", *overrides)
    found = check(config, [CONF / "task"]).meta
    assert list(found.pool.tasks) == names
    assert [task.name for task in found.pool.tasks.values()] == names
    # What was learnt is kept under a hash of what the task files say, not of their names alone.
    assert all("search_split" in node for node in found.recipe["meta"]["tasks"].values())


def test_an_unknown_task_is_refused_by_its_name():
    config = composed("algorithm=catch", "meta.tasks=[cifar10,cifra100]")
    with pytest.raises(ConfigError, match=r"meta\.tasks names 'cifra100', which is none of"):
        check(config, [CONF / "task"])
