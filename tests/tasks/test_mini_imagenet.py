import numpy as np
import pytest
import tiny_files

from nasrun.errors import DataError
from nasrun.tasks.few_shot import FewShotMaker
from nasrun.tasks.mini_imagenet import MiniImageNet

FOLDER = "mini-imagenet"


def task(tmp_path, **changes):
    sizes = {"train_images": 400, "valid_images": 100, "test_images": 100}
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "c"), "folders": [FOLDER]}
    return MiniImageNet("mini_imagenet", 100, 8, "m", "m", **{**sizes, **where, **changes})


def test_as_an_ordinary_data_set_all_classes_are_in_all_parts(tmp_path):
    tiny_files.write_mini_imagenet(tmp_path / FOLDER)
    splits = task(tmp_path).load()
    assert np.bincount(splits.final_test.labels).tolist() == 100 * [1]
    assert np.bincount(splits.search_train.labels).tolist() == 100 * [4]
    assert "lists of Ravi and Larochelle" in splits.source


def test_few_shots_are_parted_as_published(tmp_path):
    """Pictures are compared as decoded: those of the first list's classes train, and so on."""
    wnids = tiny_files.write_mini_imagenet(tmp_path / FOLDER)
    own = FewShotMaker(of="mini_imagenet", queries=3).make(lambda *_: task(tmp_path))
    assert own.name == "mini_imagenet_5way_1shot"
    assert own.search_split == "mini_imagenet, 64+16 classes as published"
    splits, names = own.load(), own.source.load().class_names
    lists = (wnids[:64], wnids[64:80], wnids[80:])
    assert list(names) == [name for part in lists for name in sorted(part)]
    parts = (splits.search_train, splits.search_valid, splits.final_test)
    assert [len(images) for images in parts] == [6 * 64, 6 * 16, 6 * 20]
    pictures = [{p.tobytes() for p in images.pixels} for images in parts]
    assert not pictures[0] & pictures[1]
    assert not pictures[2] & (pictures[0] | pictures[1])


def test_what_is_missing_or_wrong_is_one_sentence(tmp_path):
    wnids = tiny_files.write_mini_imagenet(tmp_path / FOLDER)
    listed = tmp_path / FOLDER / "val.csv"
    content = listed.read_text()
    (tmp_path / FOLDER / "images" / f"{wnids[0]}00000001.jpg").rename(tmp_path / "away.jpg")
    with pytest.raises(DataError, match="1 pictures are missing, such as n0150"):
        task(tmp_path).load()
    for changed, sentence in (
        ("filename,label\na.jpg,n1\n", r"val\.csv: expected 16 classes, found 1"),
        (content.replace(wnids[64], wnids[0]), "a class is in two of its lists"),
        (content + f"../x.jpg,{wnids[64]}\n", r"names of files in images, found '\.\./x\.jpg'"),
        (content.replace("label", "class"), "expected a column 'label'"),
    ):
        listed.write_text(changed)
        with pytest.raises(DataError, match=sentence):
            task(tmp_path).load()
