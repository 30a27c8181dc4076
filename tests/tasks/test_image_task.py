import copy
import json
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest

from nasrun.errors import ConfigError, DataError
from nasrun.images import Images
from nasrun.tasks import base
from nasrun.tasks.base import ImageTask, ValidFrom
from nasrun.tasks.parts import Published, in_memory


@dataclass
class Numbered(ImageTask):
    """Pictures whose first pixel is their number: 60 to train on, then 40 to test on."""

    there: int = 60
    labels: int = 4

    def read(self) -> Published:
        train, test = (
            in_memory(Images(self.pictures(rows), rows % self.labels))
            for rows in (np.arange(self.there), np.arange(100, 140))
        )
        return Published(train, test, "numbers", {"file": "hash"})

    def pictures(self, rows):
        return np.broadcast_to(rows[:, None, None, None], (len(rows), 3, 8, 8)).astype(np.uint8)


def task(valid_from=ValidFrom.train, **changes):
    sizes = (
        {"train_images": 45, "valid_images": 15, "test_images": 40}
        if valid_from is ValidFrom.train
        else {"train_images": 60, "valid_images": 20, "test_images": 20}
    )
    fixed = {"name": "numbered", "classes": 4, "image_px": 8, "flip": False}
    splits = {"search_split": "n", "final_split": "n", "valid_from": valid_from}
    return Numbered(**{**fixed, **splits, **sizes, **changes})


def numbers(images):
    return set(images.pixels[:, 0, 0, 0].tolist())


def test_the_training_part_is_cut_in_two():
    splits = task().load()
    train, valid = numbers(splits.search_train), numbers(splits.search_valid)
    assert len(train) == 45
    assert len(valid) == 15
    assert not train & valid
    assert numbers(splits.final_train) == train | valid == set(range(60))
    assert numbers(splits.final_test) == set(range(100, 140))


def test_the_test_part_is_cut_in_two():
    splits = task(ValidFrom.test).load()
    valid, test = numbers(splits.search_valid), numbers(splits.final_test)
    assert len(valid) == len(test) == 20
    assert not valid & test
    assert valid | test == set(range(100, 140))
    assert numbers(splits.search_train) == numbers(splits.final_train) == set(range(60))


@pytest.mark.parametrize("valid_from", ValidFrom)
def test_labels_stay_with_their_pictures(valid_from):
    splits = task(valid_from).load()
    for part in (splits.search_train, splits.search_valid, splits.final_train, splits.final_test):
        assert np.array_equal(part.pixels[:, 0, 0, 0] % 4, part.labels)


@pytest.mark.parametrize("valid_from", ValidFrom)
def test_a_published_list_cuts(tmp_path, valid_from):
    of_train = valid_from is ValidFrom.train
    n = 60 if of_train else 40
    names = ("train", "valid") if of_train else ("xvalid", "xtest")
    sizes = (45, 15) if of_train else (20, 20)
    rows = np.random.default_rng(0).permutation(n)
    lists = dict(zip(names, np.split(rows, [sizes[0]]), strict=True))
    (tmp_path / "lists").mkdir()
    content = {name: ["int", [str(row) for row in own]] for name, own in lists.items()}
    (tmp_path / "lists" / "cut.txt").write_text(json.dumps(content))
    places = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    own = task(valid_from, split_list="lists/cut.txt", **places)
    splits = own.load()
    assert "split by cut.txt" in splits.source
    assert set(splits.files) == {"file", "numbered/cut.txt"}
    first, second = (
        (splits.search_train, splits.search_valid)
        if of_train
        else (splits.search_valid, splits.final_test)
    )
    offset = 0 if of_train else 100
    assert first.pixels[:, 0, 0, 0].tolist() == (lists[names[0]] + offset).tolist()
    assert second.pixels[:, 0, 0, 0].tolist() == (lists[names[1]] + offset).tolist()
    smaller = replace(own, there=30)
    if of_train:
        with pytest.raises(DataError, match="belongs to other data"):
            smaller.load()


def test_where_the_list_is_missing_the_source_says_so():
    assert (
        "split drawn by seed 3 as cut.txt is not at hand"
        in task(split_list="lists/cut.txt", seed=3).load().source
    )
    assert task(seed=1).load().source == "numbers; split drawn by seed 1"


def test_a_list_is_fetched_only_if_asked_for(tmp_path, monkeypatch):
    rows = [str(row) for row in range(60)]
    content = json.dumps({"train": ["int", rows[:45]], "valid": ["int", rows[45:]]})
    asked = []

    def fetch(lists, folder):
        asked.append(lists[0].url)
        (folder / lists[0].folder).mkdir(parents=True)
        (folder / lists[0].folder / "cifar-split.txt").write_text(content)

    monkeypatch.setattr(base, "fetch_archives", fetch)
    changes = {"split_list": "nb201/splits/cifar-split.txt", "cache_dir": str(tmp_path)}
    assert "not at hand" in task(**changes).load().source
    assert not asked
    assert "split by cifar-split.txt" in task(**changes, download=True).load().source
    assert "D-X-Y/AutoDL-Projects" in asked[0]


def test_fewer_pictures_are_drawn_by_class():
    splits = task(train_images=8, valid_images=4, test_images=12).load()
    assert [len(p) for p in (splits.search_train, splits.search_valid)] == [8, 4]
    assert [len(p) for p in (splits.final_train, splits.final_test)] == [12, 12]
    assert np.bincount(splits.search_train.labels).tolist() == [2, 2, 2, 2]
    assert splits.source.endswith("24 of 100 pictures taken by seed 0")


def test_the_moments_are_given_or_measured():
    measured = task().load()
    assert measured.mean == pytest.approx(measured.search_train.pixels.mean(axis=(0, 2, 3)))
    given = task(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0]).load()
    assert (given.mean, given.std) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


def test_another_size_is_made():
    assert task(image_px=6).load().final_test.pixels.shape == (40, 3, 6, 6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train_images": 50}, "expects 50 pictures in a part that has 45"),
        ({"test_images": 41}, "expects 41 pictures in a part that has 40"),
        ({"there": 30}, "expects 45 pictures in a part that has 15"),
        ({"classes": 3}, "labels up to 3, but task.classes is 3: set task.classes=4"),
        ({"classes": 5}, "no picture of class 4 in one of its parts"),
    ],
)
def test_other_data_than_the_tasks_is_refused(changes, sentence):
    with pytest.raises(DataError, match=sentence):
        task(**changes).load()


@pytest.mark.parametrize(
    "changes",
    [
        {"test_images": 0},
        {"seed": -1},
        {"mean": [1.0]},
        {"mean": [1.0], "std": [1.0]},
        {"mean": [1.0] * 3, "std": [1.0, 0.0, 1.0]},
    ],
)
def test_what_means_nothing_is_refused(changes):
    with pytest.raises(ConfigError, match=r"task\."):
        task(**changes)


def test_images_are_read_once_and_stay_out_of_copies():
    own = task()
    assert own.loaded is None
    assert own.load() is own.load() is own.loaded
    for other in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert other == own
        assert other.loaded is None
