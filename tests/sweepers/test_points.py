"""Which points of a sweep a command line chooses, and which settings it makes in all of them."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from nasrun.errors import ConfigError
from nasrun.sweepers.points import chosen

POINTS = [
    ["space=nb201", "task=cifar10"],
    ["space=nb201", "task=cifar100"],
    ["space=darts", "task=in16"],
    ["space=darts", "task=in16", "budget.evaluations=3", "evaluator.flip=true"],
]


def choose(*arguments):
    return chosen(POINTS, OverridesParser.create().parse_overrides(list(arguments)))


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        ([], [0, 1, 2, 3]),
        (["seed=3,4"], [0, 1, 2, 3]),
        (["task=cifar100,in16", "seed=3"], [1, 2, 3]),
        (["budget.evaluations=3"], [3]),
        (["evaluator.flip=true"], [3]),
        (["space=nb201"], [0, 1]),
    ],
)
def test_a_key_chooses_the_points_that_have_its_values(arguments, points):
    assert choose(*arguments) == [tuple(POINTS[at]) for at in points]


@pytest.mark.parametrize(
    "asked",
    [
        ["space=darts", "task=cifar10"],
        ["task=cifar10,svhn"],
        ["space=nb201", "task=cifar10,in16"],
        ["task=cifar10,in16", "budget.evaluations=3"],
    ],
)
def test_a_point_that_there_is_not_is_refused_with_those_there_are(asked):
    with pytest.raises(ConfigError, match=rf"^{' '.join(asked)} is none of .* task=in16"):
        choose("+experiment=toy", *asked, "seed=3")


@pytest.mark.parametrize("given", ["4", "3,4", "range(4,6)"])
def test_a_setting_that_no_point_has_is_no_choice_and_left_out_of_the_points(given):
    alike = [("space=nb201", "task=cifar100"), ("space=darts", "task=in16")]
    flipped = ("space=darts", "task=in16", "evaluator.flip=true")
    assert choose(f"budget.evaluations={given}", "task=cifar100,in16") == [*alike, flipped]
    assert choose(f"budget.evaluations={given}", "evaluator.flip=true") == [flipped]
    assert choose(f"budget.evaluations={given}", "evaluator.flip=false", "task=in16") == alike[1:]
