import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.tasks.few_shot import FewShotMaker
from nasrun.tasks.synthetic_images import SyntheticImages


def source(name="made_up", settings=None):
    del name, settings
    return SyntheticImages("made_up", 20, 4, "s", "s", 100, 40, test_images=60)


def made(**fields):
    return FewShotMaker(of="made_up", **fields).make(source)


def test_shares_of_the_classes():
    task = made(ways=3)
    assert [len(part) for part in task.parts] == [13, 3, 4]
    assert sorted(sum(task.parts, ())) == list(range(20))
    assert task.classes == 13


def test_every_picture_is_in_the_part_of_its_class():
    task, whole = made(ways=3), source().load()
    splits = task.load()
    everything = [whole.search_train, whole.search_valid, whole.final_test]
    pixels = np.concatenate([images.pixels for images in everything])
    labels = np.concatenate([images.labels for images in everything])
    own = (splits.search_train, splits.search_valid, splits.final_test)
    for part, images in zip(task.parts, own, strict=True):
        for number, cls in enumerate(part):
            found = images.pixels[images.labels == number]
            assert sorted(map(bytes, found)) == sorted(map(bytes, pixels[labels == cls]))
    assert splits.final_train is splits.search_train
    assert sum(map(len, own)) == len(pixels)
    assert "13+3+4 classes drawn by seed 0" in splits.source


def test_a_search_sees_no_picture_of_the_test_classes():
    splits = made(ways=3).load()
    test = {p.tobytes() for p in splits.final_test.pixels}
    for images in (splits.search.train, splits.search.valid):
        assert not test & {p.tobytes() for p in images.pixels}


def test_the_draw_hangs_on_the_seed_alone():
    assert made(ways=3).parts == made(ways=2, shots=5).parts
    assert made(ways=3).parts != made(ways=3, seed=1).parts


def test_the_name_says_what_an_episode_is():
    task = made(ways=3, shots=5)
    assert task.name == "made_up_3way_5shot"
    assert task.search_split == "made_up, 13+3 classes drawn by seed 0"
    assert task.final_split == "made_up, 13+4 classes drawn by seed 0"
    assert (task.objective.classes, task.objective.shots, task.objective.queries) == (3, 5, 15)


def test_a_published_split_goes_first(monkeypatch):
    published = ((0, 1, 2), (3, 4), (5, 6))
    monkeypatch.setattr(SyntheticImages, "parts_by_class", published)
    task = made(ways=2)
    assert task.parts == published
    assert task.search_split == "made_up, 3+2 classes as published"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ways": 1}, "task.ways must be at least 2"),
        ({"shots": 0}, "task.shots must be at least 1"),
        ({"parts": [0.5, 0.5]}, "three shares"),
        ({"parts": [0.5, 0.5, 0.5]}, "make 1 at most"),
        ({"parts": [1.0, 0.0, 0.0]}, "task.parts must be positive"),
        ({"ways": 5}, "do not fit into parts of 13, 3, 4 classes"),
    ],
)
def test_bad_settings_are_refused(fields, sentence):
    with pytest.raises(ConfigError, match=sentence):
        made(**fields)
    with pytest.raises(ConfigError, match="must name another task"):
        FewShotMaker(of="few_shot")
