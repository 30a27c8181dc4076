import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.catch import CATCH
from nasrun.benchmarks.trainings import TrainingLog
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.experiment import MetaTraining
from nasrun.meta.image_subsets import ImageSubsets
from nasrun.meta_training import adapt
from nasrun.nets.recipe import Precision, Recipe
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Clock
from nasrun.tasks.synthetic_images import SyntheticImages


def source(classes=1000, name="imagenet16"):
    """Stands for ImageNet's images; nothing is read unless it is loaded."""
    return SyntheticImages(name, classes, 8, name, name, 50 * classes, 1300 * classes)


def subsets(classes=1000, **fields):
    return ImageSubsets(source=source(classes), **fields)


@dataclass
class FakeTraining(ToyEvaluator):
    """Stands for an evaluator that trains networks."""

    clock: ClassVar[Clock] = Clock.MEASURED


def classes_of(task):
    return [int(part) for part in task.name.partition("[")[2].rstrip("]").split(",")]


def test_every_epoch_is_a_subset_of_the_classes():
    pool = subsets()
    tasks = [pool.task(epoch) for epoch in range(200)]
    for task in tasks:
        chosen = classes_of(task)
        assert task.classes == len(chosen) == len(set(chosen))
        assert chosen == sorted(chosen)
        assert 0 <= chosen[0] <= chosen[-1] < 1000
        assert task.valid_images == 50 * task.classes
    counts = [sum(task.classes == count for task in tasks) for count in (10, 20, 30)]
    assert sum(counts) == 200
    assert min(counts) > 40, counts
    assert len({task.name for task in tasks}) == 200
    drawn = np.bincount(np.concatenate([classes_of(task) for task in tasks]), minlength=1000)
    assert (drawn > 0).mean() > 0.95  # of about 4,000 draws


def test_an_epochs_subset_depends_on_seed_and_epoch_alone():
    one, other = subsets(), subsets()
    assert [one.task(e) for e in (3, 1)] == [other.task(e) for e in (3, 1)]
    assert subsets(seed=1).task(3) != one.task(3)


def test_each_subset_is_given_to_an_evaluator_of_its_own():
    evaluator = FakeTraining().opened(ToySpace(), TASK)
    pool = subsets(40).opened(ToySpace(), TASK, evaluator)
    task, own = pool.problem(2)
    assert own.task is task
    assert evaluator.task is TASK
    assert pool.label == "image_subsets(imagenet16:10/20/30)"


def test_an_evaluator_that_cannot_train_is_refused():
    with pytest.raises(UnsupportedError, match="trains networks, which evaluator=toy cannot do"):
        subsets().opened(ToySpace(), TASK, ToyEvaluator())


def test_the_targets_own_data_is_refused():
    for name in ("imagenet16", "imagenet16[0,3]"):
        with pytest.raises(ConfigError, match="is the data of task=imagenet16"):
            subsets().opened(ToySpace(), replace(TASK, name=name), FakeTraining())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"class_counts": []}, "meta.class_counts must hold"),
        ({"class_counts": [1, 10]}, "meta.class_counts must hold"),
        ({"classes": 20}, "asks for 30 classes, but imagenet16 has 20"),
        ({"epochs": 0}, "meta.epochs must be at least 1"),
        ({"seed": -1}, "meta.seed must not be negative"),
    ],
)
def test_pools_that_cannot_be_are_refused(fields, named):
    with pytest.raises(ConfigError, match=named):
        subsets(**fields)


def test_a_pool_needs_a_task():
    with pytest.raises(ConfigError, match=r"meta\.source must be a task"):
        ImageSubsets()


def test_catch_learns_from_trainings_that_stay_on_record(tmp_path):
    tasks = SyntheticImages("made_up", 6, 8, "made-up", "made-up", 60, 120, test_images=60)
    target = replace(tasks, name="target")
    evaluator = Training(
        recipe=Recipe(batch=30), epochs=2, channels=2, cells=1, threads=1, device="cpu",
        score_epochs=None, cache_dir=str(tmp_path), precision=Precision.float32,
    )  # fmt: skip
    pool = ImageSubsets(source=tasks, class_counts=[2, 3], epochs=2, networks=4)
    made = replace(
        toy_experiment(CATCH(initial=2)), space=NB201(), evaluator=evaluator, task=target,
        final_tasks=[target], meta=MetaTraining(pool, {}, tmp_path / "meta"),
    )  # fmt: skip
    artifact = adapt(made.opened())
    assert artifact["evaluations"] == 8
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.task for row in rows} == {pool.task(0).name, pool.task(1).name}
    # The same meta-training again, without its artifact, asks for the same networks: all on record.
    before = (tmp_path / "trainings" / "trainings.csv").read_bytes()
    shutil.rmtree(tmp_path / "meta")
    adapt(made.opened())
    assert (tmp_path / "trainings" / "trainings.csv").read_bytes() == before


def test_a_pool_is_named_without_reading_its_images(monkeypatch):
    """An agent that was trained before needs none of them."""
    monkeypatch.setattr(SyntheticImages, "read", lambda _: pytest.fail("it was read"))
    session = subsets().opened(ToySpace(), TASK, FakeTraining())
    assert session.files == {}
    assert session.label.startswith("image_subsets(imagenet16")


def test_sizes_are_drawn_with_the_classes_and_pictures_resized(tmp_path):
    """The classes of an epoch are those without sizes, so that pools compare."""
    pool = subsets(6, class_counts=[2, 3], sizes=[4, 16])
    tasks = [pool.task(epoch) for epoch in range(40)]
    sizes = [task.image_px for task in tasks]
    assert 10 < sizes.count(4) < 30
    assert set(sizes) == {4, 16}
    plain = subsets(6, class_counts=[2, 3])
    assert [task.name for task in tasks] == [
        f"{plain.task(epoch).name}@{px}" for epoch, px in enumerate(sizes)
    ]
    for px in (4, 16):
        task = tasks[sizes.index(px)]
        assert task.load().search_train.pixels.shape[2:] == (px, px)
    assert pool.opened(ToySpace(), TASK, FakeTraining()).label == (
        "image_subsets(imagenet16:2/3@4/16)"
    )


def test_the_targets_own_data_serves_where_that_is_said():
    target = replace(TASK, name="imagenet16")
    pool = subsets(own_data=True).opened(ToySpace(), target, FakeTraining())
    assert pool.problem(0)[0].name.startswith("imagenet16[")


def test_subsets_may_be_trained_by_an_evaluator_of_their_own():
    own, searching = FakeTraining(), ToyEvaluator()
    pool = subsets(evaluator=own).opened(ToySpace(), TASK, searching)
    assert isinstance(pool.problem(0)[1], FakeTraining)
    with pytest.raises(ConfigError, match="must be an evaluator"):
        subsets(evaluator={"epochs": 3})
