"""The plain loop that our trainer is compared with trains, and as the recipe says."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrun.images import Images
from nasrun.nets.classification import Classification
from nasrun.nets.device import Device
from nasrun.nets.recipe import Precision, Recipe
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale

SCRIPTS = Path(__file__).parents[1] / "scripts"
PX = 8


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield {
            name: importlib.import_module(name)
            for name in ("speed.plain_training", "train_both_ways")
        }


def light_and_dark(count):
    """Pictures of two classes that a glance tells apart."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    noise = generator.integers(0, 60, (count, 3, PX, PX))
    return Images((noise + 120 * labels[:, None, None, None]).astype(np.uint8), labels)


def test_the_plain_loop_learns_and_ends_with_the_cosine(scripts):
    space, images = NB201(), light_and_dark(64)
    arch = space.parse(scripts["train_both_ways"].CELL)
    recipe, device = Recipe(batch=16), Device("cpu", Precision.float32, threads=1)
    with device.seeded(0):
        loop = scripts["speed.plain_training"].PlainLoop(
            space.graph(arch),
            Classification(2),
            images,
            ((90.0,) * 3, (60.0,) * 3),
            Scale(4, 1),
            recipe,
            device,
        )
        assert loop.score(images) < 90.0
        loop.train(3)
    assert loop.score(images) > 90.0
    (group,) = loop._optimizer.param_groups
    assert group["lr"] == pytest.approx(recipe.rate(2, 3))


def test_pictures_that_judge_are_only_normalised(scripts):
    images = light_and_dark(2)
    pictures = scripts["speed.plain_training"].Pictures(
        images, ((90.0,) * 3, (60.0,) * 3), alter=False
    )
    picture, label = pictures[1]
    assert label == 1
    wanted = (torch.from_numpy(images.pixels[1]).float() - 90.0) / 60.0
    torch.testing.assert_close(picture, wanted)


def test_the_difference_of_two_ways_has_welchs_interval(scripts):
    one, two = np.array([60.0, 61.0, 62.0]), np.array([60.0, 60.5, 61.0])
    mean, half = scripts["train_both_ways"].difference(one, two)
    assert mean == pytest.approx(0.5)
    error = np.sqrt(1.0 / 3 + 0.25 / 3)
    assert half / error == pytest.approx(3.182, abs=0.4)  # Student's quantile at 2.9 degrees
