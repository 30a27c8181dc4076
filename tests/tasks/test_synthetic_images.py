import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.tasks.synthetic_images import SyntheticImages


def task(**changes):
    sizes = {"train_images": 400, "valid_images": 100, "test_images": 100}
    return SyntheticImages("made", 4, 8, "made", "made", **{**sizes, **changes})


def test_pictures_depend_on_their_seed_alone():
    first, again, other = task().load(), task().load(), task(data_seed=1).load()
    assert np.array_equal(first.final_test.pixels, again.final_test.pixels)
    assert not np.array_equal(first.final_test.pixels, other.final_test.pixels)
    moved = task(seed=1).load()
    assert np.array_equal(first.final_test.pixels, moved.final_test.pixels)
    assert not np.array_equal(first.search_valid.pixels, moved.search_valid.pixels)


def test_classes_are_balanced():
    splits = task().load()
    for part in (splits.search_train, splits.search_valid, splits.final_test):
        counts = np.bincount(part.labels)
        assert len(counts) == 4
        assert counts.max() - counts.min() <= 1


def test_something_can_be_learnt():
    """The nearest neighbour over all shifts: well above the chance of 25%."""
    splits = task().load()
    train, test = splits.search_train, splits.search_valid
    known = train.pixels.astype(np.float64)
    hits = 0
    for picture, label in zip(test.pixels.astype(np.float64), test.labels, strict=True):
        distance = np.square(known - picture).sum(axis=(1, 2, 3))
        hits += train.labels[distance.argmin()] == label
    accuracy = hits / len(test)
    assert accuracy > 0.6, accuracy


def test_a_negative_noise_is_refused():
    with pytest.raises(ConfigError, match=r"task\.noise"):
        task(noise=-1.0)
