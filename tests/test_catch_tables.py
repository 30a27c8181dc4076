"""CATCH's Tables 2 to 4: what every row of them would play, without playing it."""

from functools import cache

import pytest
from composed import composed

from nasrun.__main__ import CONF
from nasrun.config import check

TASKS = {"catch_table2": "in32", "catch_table3": "coco", "catch_table4": "nuclei"}


@cache
def rows(name):
    """The overrides of each job, by the name of its algorithm."""
    config = composed(f"+experiment={name}", "scale=small", f"task={TASKS[name]}", hydra=True)
    points = [list(point) for point in config.hydra.sweeper.points]
    named = [[text.partition("=")[2] for text in point if "algorithm" in text] for point in points]
    return {(own[1:2] or own)[0]: point for own, point in zip(named, points, strict=True)}


def played(name, row, *overrides):
    config = composed(f"+experiment={name}", *overrides, *rows(name)[row])
    return check(config, [CONF / "task"])


@pytest.mark.parametrize("name", TASKS)
def test_a_table_has_searches_and_networks_that_its_space_holds(name):
    given = {"resnet50": 16, "resnet101": 33}
    transferred = set() if name == "catch_table2" else {"transferred"}
    assert set(rows(name)) == {"catch", "random", *given, *transferred}
    for row in (*given, *transferred):
        made = played(name, row, "scale=small", f"task={TASKS[name]}")
        _, of_stages, _ = made.space.parts(made.space.parse(made.algorithm.arch))
        assert sum(of_stages) == given.get(row, sum(of_stages))
        assert made.hardware.exponents == (-0.05, -0.05)


def test_agents_are_trained_on_sized_subsets_by_a_recipe_of_their_own():
    small = played("catch_table3", "catch", "scale=small", "task=coco")
    pool, trained = small.meta.pool, small.meta.pool.evaluator
    assert (pool.source.name, pool.sizes, pool.epochs, pool.networks) == ("in32", [16, 32], 5, 5)
    assert small.evaluator.channels == trained.channels == small.hardware.channels == 12
    assert (small.evaluator.epochs, trained.epochs) == (3, 2)
    assert small.evaluator.recipe.optimizer.value == "adamw"
    assert trained.recipe.optimizer.value == "sgd"


def test_at_full_scale_sizes_and_epochs_are_the_papers():
    config = composed(
        "+experiment=catch_table2", "algorithm=catch", "meta=image_subsets",
        "task@meta.source=imagenet",
    )  # fmt: skip
    full = check(config, [CONF / "task"])
    pool = full.meta.pool
    assert (pool.source.name, pool.sizes) == ("imagenet", [16, 32, 224])
    assert (pool.epochs, pool.networks, pool.evaluator.epochs) == (25, 20, 12)
    assert full.budget.evaluations == 10
    assert full.evaluator.channels is None
