from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from nasrun.errors import DataError, UnsupportedError
from nasrun.nets.checkpoint import load_checkpoint
from nasrun.nets.device import Device
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.training_cache import TrainingCache
from nasrun.nets.training_request import Part, TrainingRequest, images_id
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale
from nasrun.tasks.synthetic_images import SyntheticImages

CPU = Device("cpu", Precision.float32, threads=1)
TASK = SyntheticImages("made_up", 3, 8, "valid", "test", 24, 48, test_images=24)


@dataclass
class Heirs(NB201):
    """Networks of one shape alone, whose weights fit each other."""

    def morph(self, parent, child, state):
        assert (parent == child).all()
        return state


REQUEST = TrainingRequest(
    space=Heirs(), arch=(3, 1, 1, 1, 0, 1), task=TASK, images=images_id(TASK.load()),
    part=Part.search, scale=Scale(4, 1), recipe=Recipe(batch=16), epochs=1, until=1, judged=(),
    seed=777,
)  # fmt: skip


def test_a_name_without_a_parent_is_the_one_it_has_always_had():
    """Names stand in the caches of users."""
    old = replace(REQUEST, arch=(0, 1, 2, 3, 4, 0), images="pictures", epochs=2, until=2)
    assert replace(old, space=NB201(), recipe=Recipe()).name(CPU) == "5e7f5008a657a114"
    assert replace(REQUEST, keep=True).name(CPU) == REQUEST.name(CPU)


def test_a_lineage_is_part_of_the_name():
    child = replace(REQUEST, parent=REQUEST.name(CPU))
    grandchild = replace(REQUEST, parent=child.name(CPU))
    other = replace(REQUEST, parent=replace(REQUEST, seed=1).name(CPU))
    names = {each.name(CPU) for each in (REQUEST, child, grandchild, other)}
    assert len(names) == 4


def test_weights_of_a_search_stay_if_they_are_to(tmp_path):
    cache, kept = TrainingCache(tmp_path, CPU), replace(REQUEST, keep=True)
    cache.train(REQUEST)
    assert not cache.checkpoint(REQUEST).exists()
    figures = cache.known(REQUEST)
    assert figures
    assert not cache.known(kept)  # the weights are gone
    cache.train(kept)
    assert cache.known(kept) == figures
    assert cache.network(kept)(torch.zeros(1, 3, 8, 8)).shape == (1, 3)


def test_a_training_begins_with_its_parents_weights(tmp_path):
    cache = TrainingCache(tmp_path, CPU)
    parent, still = replace(REQUEST, keep=True), Recipe(batch=16, learning_rate=1e-12)
    child = replace(parent, parent=parent.name(CPU), recipe=still)
    with pytest.raises(DataError, match="ask for the parent's training first"):
        cache.train(child)
    cache.train(parent)
    cache.train(child)
    own, theirs = (load_checkpoint(cache.checkpoint(each))["network"] for each in (child, parent))
    torch.testing.assert_close(own["classifier.weight"], theirs["classifier.weight"])
    orphan = replace(child, parent="")
    cache.train(orphan)
    drawn = load_checkpoint(cache.checkpoint(orphan))["network"]["classifier.weight"]
    assert not torch.allclose(drawn, theirs["classifier.weight"])


def test_a_space_without_morphisms_hands_no_weights_on(tmp_path):
    cache = TrainingCache(tmp_path, CPU)
    parent = replace(REQUEST, space=NB201(), keep=True)
    cache.train(parent)
    with pytest.raises(UnsupportedError, match="cannot hand weights on"):
        cache.train(replace(parent, parent=parent.name(CPU)))


def test_targets_of_other_shapes_are_other_images():
    splits = TASK.load()
    part = splits.search_train
    masks = replace(part, labels=np.zeros((48, 2, 3), np.int64))
    turned = replace(part, labels=np.zeros((48, 3, 2), np.int64))
    ids = {images_id(replace(splits, search_train=each)) for each in (part, masks, turned)}
    assert len(ids) == 3
