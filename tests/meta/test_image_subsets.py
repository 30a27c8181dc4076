from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.meta.image_subsets import ImageSubsets
from nasrun.spec import Clock


@dataclass
class FakeTraining(ToyEvaluator):
    """Stands for an evaluator that trains networks."""

    clock: ClassVar[Clock] = Clock.MEASURED


def classes_of(task):
    return [int(part) for part in task.name.partition("[")[2].rstrip("]").split(",")]


def test_every_epoch_is_a_subset_of_the_classes():
    pool = ImageSubsets()
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
    one, other = ImageSubsets(), ImageSubsets()
    assert [one.task(e) for e in (3, 1)] == [other.task(e) for e in (3, 1)]
    assert ImageSubsets(seed=1).task(3) != one.task(3)


def test_each_subset_is_given_to_an_evaluator_of_its_own():
    pool, evaluator = ImageSubsets(classes=40), FakeTraining()
    evaluator.start(ToySpace(), TASK)
    pool.start(ToySpace(), TASK, evaluator)
    task, own = pool.problem(2)
    assert own.task is task
    assert evaluator.task is TASK
    assert pool.label == "image_subsets(imagenet16:10/20/30)"


def test_an_evaluator_that_cannot_train_is_refused():
    with pytest.raises(UnsupportedError, match="trains networks, which evaluator=toy cannot do"):
        ImageSubsets().start(ToySpace(), TASK, ToyEvaluator())


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
        ImageSubsets(**fields)
