from dataclasses import replace

import pytest

from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.spec import Retrain, Task

CIFAR10 = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)


@pytest.mark.parametrize("limit", ["simulated_s", "wall_s"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_a_limit_that_no_trial_can_meet_is_refused(limit, value):
    with pytest.raises(ConfigError, match=rf"budget.{limit} must be positive and finite, got"):
        Budget(**{limit: value})


@pytest.mark.parametrize("count", ["classes", "image_px", "valid_images", "train_images"])
def test_a_task_without_images_or_classes_is_refused(count):
    with pytest.raises(ConfigError, match=f"task.{count} must be at least 1, got 0"):
        replace(CIFAR10, **{count: 0})


def test_a_task_to_score_on_is_named_once():
    assert Retrain(["cifar10", "cifar100"]).tasks == ["cifar10", "cifar100"]
    with pytest.raises(ConfigError, match="each task once, got cifar10, cifar10"):
        Retrain(["cifar10", "cifar10"])
