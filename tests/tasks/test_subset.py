import copy

import numpy as np
import pytest

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.spec import Task
from nasrun.tasks.subset import Subset
from nasrun.tasks.synthetic_images import SyntheticImages


def whole(classes=6, **changes):
    sizes = {"train_images": 60, "valid_images": 30, "test_images": 30, **changes}
    return SyntheticImages("made", classes, 8, "made", "made", **sizes)


def parts(splits):
    return splits.search_train, splits.search_valid, splits.final_train, splits.final_test


def test_classes_are_numbered_anew_in_the_order_given():
    source = whole()
    subset = source.subset([4, 1])
    assert (subset.name, subset.classes) == ("made[4,1]", 2)
    for part, own in zip(parts(source.load()), parts(subset.load()), strict=True):
        for new, old in enumerate((4, 1)):
            assert np.array_equal(own.pixels[own.labels == new], part.pixels[part.labels == old])
        assert set(own.labels.tolist()) == {0, 1}


def test_the_rest_is_the_sources():
    source = whole()
    subset = source.subset([0, 5]).load()
    assert (subset.mean, subset.std, subset.flip) == (
        source.load().mean,
        source.load().std,
        source.load().flip,
    )
    assert subset.source == f"{source.load().source}; classes 0, 5"


def test_counts_are_those_of_classes_of_equal_size():
    subset = whole().subset([0, 1, 2])
    assert (subset.train_images, subset.valid_images) == (30, 15)
    splits = subset.load()
    assert [len(part) for part in (splits.search_train, splits.search_valid)] == [30, 15]


def test_a_subset_of_a_subset_is_one_of_the_source():
    source = whole()
    twice = source.subset([5, 3, 1]).subset([2, 0])
    assert twice == source.subset([1, 5])
    with pytest.raises(ConfigError, match="different numbers"):
        source.subset([5, 3]).subset([2])


@pytest.mark.parametrize("classes", [[0, 0], [6], [-1]])
def test_classes_that_there_are_not_are_refused(classes):
    with pytest.raises(ConfigError, match="different numbers from 0 to 5"):
        whole().subset(classes)


def test_a_class_without_pictures_is_refused():
    source = whole(train_images=6, valid_images=6)
    splits = source.load()
    rows = splits.search_valid.labels != 2
    object.__setattr__(splits.search_valid, "labels", splits.search_valid.labels[rows])
    object.__setattr__(splits.search_valid, "pixels", splits.search_valid.pixels[rows])
    with pytest.raises(DataError, match="no picture of some"):
        source.subset([2, 3]).load()


def test_classes_are_drawn_by_seed():
    names = {Subset(count=3, seed=seed).make(lambda *_: whole()).name for seed in range(20)}
    assert len(names) > 5
    again = {Subset(count=3, seed=seed).make(lambda *_: whole()).name for seed in range(20)}
    assert names == again


def test_named_classes_are_taken_as_they_are_named():
    assert Subset(classes=[3, 0]).make(lambda *_: whole()).name == "made[3,0]"


def test_pictures_are_taken_once_and_stay_out_of_copies():
    subset = whole().subset([0, 1])
    assert subset.loaded is None
    assert subset.load() is subset.load() is subset.loaded
    assert copy.deepcopy(subset).loaded is None


def test_requests_that_make_no_subset_are_refused():
    with pytest.raises(ConfigError, match="another task"):
        Subset(of="subset")
    with pytest.raises(ConfigError, match=r"task\.count"):
        Subset(count=0)
    with pytest.raises(ConfigError, match="7 classes, but cifar10 has 6"):
        Subset(count=7).make(lambda *_: whole())
    with pytest.raises(UnsupportedError, match="no images"):
        Subset().make(lambda *_: Task("table", 10, 32, "t", "t", 1, 1))
