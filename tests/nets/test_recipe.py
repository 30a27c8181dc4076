import math

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.errors import ConfigError
from nasrun.nets.optimizers import make_optimizer
from nasrun.nets.recipe import Optimizer, Recipe, Schedule, recipe_id


def rates(epochs, **changes):
    recipe = Recipe(learning_rate=1.0, **changes)
    return [recipe.rate(epoch, epochs) for epoch in range(epochs)]


def test_steps_by_hand():
    found = rates(7, schedule=Schedule.steps, milestones=[2, 5], gamma=0.2, warmup_epochs=1)
    np.testing.assert_allclose(found, [1.0, 1.0, 0.2, 0.2, 0.2, 0.04, 0.04])


def test_a_constant_rate_after_its_warm_up():
    found = rates(4, schedule=Schedule.constant, warmup_epochs=2, final_rate=0.5)
    assert found == [0.5, 1.0, 1.0, 1.0]


def test_warm_restarts_by_hand():
    found = rates(9, schedule=Schedule.warm_restarts, first_period=2, final_rate=0.2)
    quarter = [0.2 + 0.4 * (1 + math.cos(math.pi * place / 4)) for place in range(4)]
    np.testing.assert_allclose(found, [1.0, 0.6, *quarter, 1.0, *found[7:]])
    np.testing.assert_allclose(found[7], 0.2 + 0.4 * (1 + math.cos(math.pi / 8)))
    even = rates(6, schedule=Schedule.warm_restarts, first_period=2, period_factor=1)
    np.testing.assert_allclose(even, [1.0, 0.5] * 3)


def test_ids_of_recipes_that_say_nothing_new_are_the_old_ones():
    """The ids stand in the caches of users and in ``benchmarks/measured``."""
    assert recipe_id(Recipe()) == "37853447"
    assert recipe_id(Recipe(batch=32)) == "6b4b30f0"
    assert recipe_id(Recipe(batch=32, augment=False, momentum=0.0, nesterov=False)) == "36fc2461"


def test_every_other_word_of_a_recipe_changes_its_id():
    changes = [
        {}, {"optimizer": Optimizer.adam}, {"optimizer": Optimizer.adamw},
        {"optimizer": Optimizer.rmsprop}, {"schedule": Schedule.constant}, {"milestones": [3]},
        {"schedule": Schedule.warm_restarts}, {"gamma": 0.2}, {"first_period": 3},
        {"period_factor": 3}, {"epsilon": 1e-3}, {"squares_decay": 0.9},
    ]  # fmt: skip
    assert len({recipe_id(Recipe(**change)) for change in changes}) == len(changes)


@pytest.mark.parametrize("milestones", [[], [5, 2], [2, 2]])
def test_milestones_rise_and_are_there(milestones):
    with pytest.raises(ConfigError, match="rising order"):
        Recipe(schedule=Schedule.steps, milestones=milestones)


def test_momentum_is_asked_of_nesterov_in_sgd_alone():
    with pytest.raises(ConfigError, match="nesterov"):
        Recipe(momentum=0.0)
    Recipe(momentum=0.0, optimizer=Optimizer.rmsprop)


def stepped(recipe, gradients):
    """A weight of 1 after these gradients."""
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    optimizer = make_optimizer(network, recipe, scales=False)
    for gradient in gradients:
        network.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    return float(network.weight.detach())


def test_optimisers_step_as_by_hand():
    common = {"learning_rate": 0.1, "weight_decay": 0.5}
    # Gradient 2 + 0.5 of decay, momentum 0.9 looked ahead.
    assert stepped(Recipe(**common), [2.0]) == pytest.approx(1 - 0.1 * 2.5 * 1.9)
    plain = {**common, "momentum": 0.0, "squares_decay": 0.75, "epsilon": 0.5}
    adam = Recipe(**plain, optimizer=Optimizer.adam)
    assert stepped(adam, [2.0]) == pytest.approx(1 - 0.1 * 2.5 / (2.5 + 0.5))
    adamw = Recipe(**plain, optimizer=Optimizer.adamw)
    assert stepped(adamw, [2.0]) == pytest.approx(1 - 0.1 * 0.5 - 0.1 * 2.0 / (2.0 + 0.5))
    rmsprop = Recipe(**plain, optimizer=Optimizer.rmsprop)
    assert stepped(rmsprop, [2.0]) == pytest.approx(1 - 0.1 * 2.5 / (1.25 + 0.5))
    # The first beta: after gradients 3 and 1 without decay the mean is (0.5 * 3 + 1) / 1.5.
    slow = Recipe(
        learning_rate=0.1, weight_decay=0.0, momentum=0.5, squares_decay=0.0,
        epsilon=1e-12, optimizer=Optimizer.adam,
    )  # fmt: skip
    assert stepped(slow, [3.0, 1.0]) == pytest.approx(1 - 0.1 - 0.1 * (0.5 * 3 + 1) / 1.5)
