from dataclasses import replace

import numpy as np
import pytest
from composed import composed
from test_image_subsets import FakeTraining
from toys import TASK, ToySpace, toy_experiment

from nasrun.algorithms.catch import CATCH
from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.config import build
from nasrun.errors import DataError
from nasrun.experiment import MetaTraining
from nasrun.meta.recorded import Recorded
from nasrun.meta_training import adapt
from nasrun.spaces.nb201 import NB201
from nasrun.spec import MetaPool
from nasrun.streams import Streams

SPACE = ToySpace()


def row(task, number, epoch=2, **changes):
    arch = SPACE.text(SPACE.at(np.array(number)))
    made = TrainedEpoch(
        f"{task}/{number}", task, 3, 8, 90, 30, "0f", "search", "toy", arch, "", "", "r", 2, 777,
        "cpu", epoch, 1.0, "accuracy_pct", 10.0, float(number), float("nan"), 4.0, 0.5, "",
    )  # fmt: skip
    return replace(made, **changes)


def table(tmp_path, *extra):
    log = TrainingLog(tmp_path / "trainings.csv")
    for task in ("in16[1,2,3]", "in16[4,5,6]"):
        log.add(row(task, number, epoch) for number in (0, 5, 23) for epoch in (1, 2))
    log.add(extra)
    return str(log.path)


def started(tmp_path, *extra):
    pool = Recorded(path=table(tmp_path, *extra), agents=2, epochs=2, networks=4)
    return pool.opened(SPACE, TASK, FakeTraining())


def test_the_tasks_on_record_take_turns(tmp_path):
    pool = started(tmp_path, row("toy", 3), row("half", 3, 1), row("final", 3, part="final"))
    assert [pool.problem(epoch)[0].name for epoch in range(3)] == [
        "in16[1,2,3]", "in16[4,5,6]", "in16[1,2,3]"
    ]  # fmt: skip
    assert pool.problem(0)[0].classes == 3
    assert pool.label == "recorded(2 tasks, 6 trainings)"


@pytest.mark.parametrize(
    "other",
    [{"images": "1f"}, {"channels": "4"}, {"cells": "1"}, {"recipe": "s"}, {"seed": 888},
     {"epochs": 3}],
)  # fmt: skip
def test_trainings_that_cannot_be_compared_are_tasks_of_their_own(tmp_path, other):
    extra = row("in16[1,2,3]", 7, other.get("epochs", 2), training="another", **other)
    pool = started(tmp_path, extra)
    assert pool.label == "recorded(3 tasks, 7 trainings)"
    task, evaluator = pool.problem(2)
    assert task.name == "in16[1,2,3]"
    assert evaluator.fidelities == (extra.epochs,)
    assert evaluator.protocol.run == str(extra.seed)


@pytest.mark.parametrize(
    ("target", "recorded"), [("toy", "toy[0,3]"), ("toy[0,3]", "toy"), ("toy[0,3]", "toy[1,2]")]
)
def test_the_targets_own_data_is_left_out(tmp_path, target, recorded):
    pool = Recorded(path=table(tmp_path, row(recorded, 3)))
    pool = pool.opened(SPACE, replace(TASK, name=target), FakeTraining())
    assert pool.label == "recorded(2 tasks, 6 trainings)"


def test_the_nearest_one_on_record_is_measured_and_named(tmp_path):
    _, evaluator = started(tmp_path).problem(0)
    asked = SPACE.at(np.array([4, 22]))
    streams = Streams([0, 1])
    found = evaluator.evaluate(asked, epochs=np.array([2, 2]), streams=streams)
    assert SPACE.index(found.archs).tolist() == found.score.tolist()
    assert set(found.score) <= {0.0, 5.0, 23.0}
    assert (found.cost_s == 8.5).all()
    seen = [found.score]
    seen += [
        evaluator.evaluate(asked, epochs=np.array([2, 2]), streams=streams).score for _ in range(2)
    ]
    assert (np.sort(seen, axis=0) == np.array([[0.0], [5.0], [23.0]])).all()  # each one once
    again = evaluator.evaluate(asked, epochs=np.array([2, 2]), streams=streams)
    np.testing.assert_array_equal(again.score, seen[0])


def test_catch_learns_from_the_record_whatever_evaluates_a_search(tmp_path):
    pool = Recorded(path=table(tmp_path), agents=2, epochs=2, networks=4)
    keys = set[str]()
    for epochs in (12, 200):
        made = toy_experiment(CATCH(initial=2))
        recipe = {"evaluator": {"epochs": epochs}}
        made = replace(made, meta=MetaTraining(pool, recipe, tmp_path / "meta"))
        adapted = adapt(made.opened())
        keys.add(adapted["artifact"])
        assert adapted["evaluations"] == 16
        assert len(made.algorithm.learnt()["controller.0"]) == 2
    assert len(keys) == 1


def test_a_table_without_anything_to_learn_from_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is not there: set meta\.path"):
        Recorded(path=str(tmp_path / "no.csv")).opened(SPACE, TASK, FakeTraining())
    TrainingLog(tmp_path / "t.csv").add([row("toy", 3)])
    with pytest.raises(DataError, match="expected finished trainings of space=toy"):
        Recorded(path=str(tmp_path / "t.csv")).opened(SPACE, TASK, FakeTraining())


@pytest.mark.parametrize(
    ("name", "tasks", "trainings", "classes"),
    [("in16_reduced", 8, 153, {10, 20, 30}), ("in16_full", 4, 95, {10, 30})],
)
def test_the_tables_that_come_along_have_real_trainings_of_other_tasks(
    name, tasks, trainings, classes
):
    pool = build(composed("algorithm=catch", f"meta={name}").meta, MetaPool, "meta")
    pool = pool.opened(NB201(), TASK, FakeTraining())
    assert pool.label == f"{name}({tasks} tasks, {trainings} trainings)"
    tasks = [pool.problem(epoch)[0] for epoch in range(tasks)]
    assert {task.classes for task in tasks} == classes
    assert all(task.name.startswith("in16[") for task in tasks)
    task, evaluator = pool.problem(0)
    archs = NB201().sample(Streams(range(64)))
    epochs = np.full(64, 12)
    found = evaluator.evaluate(archs, epochs=epochs, streams=Streams(range(64)))
    assert (found.score >= 0).all()
    assert found.score.max() > 2 * 100 / task.classes  # the better ones learnt something
