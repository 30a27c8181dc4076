import shutil

import numpy as np
import pytest
import tiny_files

from nasrun.benchmarks.ilsvrc import development_kit
from nasrun.errors import DataError
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.imagenet import SOLUTION, TRUTH, ImageNet

IDS = sorted(development_kit()[:3])
TRUE = [0, 2, 1, 1, 0, 2]  # classes of the validation pictures, in the order of their names


def write(root):
    """Three classes of six pictures, and six validation pictures side by side."""
    for number, name in enumerate(IDS):
        for k in range(6):
            tiny_files.write_picture(root / "train" / name / f"{name}_{k}.JPEG", seed=10 * number)
    for k in range(len(TRUE)):
        path = root / "val" / f"ILSVRC2012_val_{k + 1:08}.JPEG"
        tiny_files.write_picture(path, seed=100 + k)


def write_truth(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = [development_kit().index(IDS[label]) + 1 for label in TRUE]
    path.write_text("".join(f"{number}\n" for number in numbers))


def imagenet(tmp_path, **changes):
    settings = {
        "train_images": 18, "valid_images": 3, "test_images": 3, "classes": 3, "image_px": 8,
        "valid_from": ValidFrom.test, "folders": ["imagenet"], "data_dir": str(tmp_path),
        "cache_dir": str(tmp_path / "cache"), **changes,
    }  # fmt: skip
    return ImageNet("imagenet", search_split="i", final_split="i", **settings)


def judged(task):
    """Labels and pixels of all validation pictures, by the pixels."""
    splits = task.load()
    parts = (splits.search_valid, splits.final_test)
    pairs = [
        (picture.tobytes(), int(label))
        for part in parts
        for picture, label in zip(part.pixels, part.labels, strict=True)
    ]
    return sorted(pairs)


def test_flat_validation_pictures_are_labelled_by_any_of_the_published_files(tmp_path):
    """The same labels from class folders, from the development kit and from the competition."""
    root = tmp_path / "imagenet"
    write(root)
    found = []
    kit = root / "ILSVRC2012_devkit_t12" / "data" / TRUTH
    for path in (root / TRUTH, kit):
        write_truth(path)
        task = imagenet(tmp_path)
        found.append(judged(task))
        assert set(task.files) == {
            *(f"imagenet/train/{name}" for name in IDS), "imagenet/val", "imagenet/labels",
        }  # fmt: skip
        path.unlink()
    rows = [f"ILSVRC2012_val_{k + 1:08},{IDS[at]} 1 2 3 4 " for k, at in enumerate(TRUE)]
    (tmp_path / SOLUTION).write_text("\n".join(["ImageId,PredictionString", *reversed(rows)]))
    found.append(judged(imagenet(tmp_path)))
    for k, at in enumerate(TRUE):
        name = f"ILSVRC2012_val_{k + 1:08}.JPEG"
        (root / "val" / IDS[at]).mkdir(exist_ok=True)
        (root / "val" / name).rename(root / "val" / IDS[at] / name)
    found.append(judged(imagenet(tmp_path)))
    assert found[0] == found[1] == found[2] == found[3]
    splits = imagenet(tmp_path).load()
    assert splits.class_names == tuple(IDS)
    assert np.bincount(splits.search_train.labels).tolist() == [6, 6, 6]
    labels = sorted([*splits.search_valid.labels, *splits.final_test.labels])
    assert labels == sorted(TRUE)


def test_fewer_classes_are_the_first_ones(tmp_path):
    write(tmp_path / "imagenet")
    write_truth(tmp_path / "imagenet" / TRUTH)
    task = imagenet(tmp_path, classes=2, train_images=12, valid_images=2, test_images=2)
    splits = task.load()
    assert splits.class_names == tuple(IDS[:2])
    assert len(splits.search_train) == 12
    assert sorted([*splits.search_valid.labels, *splits.final_test.labels]) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: shutil.rmtree(root / "val"), "no val beside it"),
        (lambda root: (root / TRUTH).unlink(), "expected a folder for each class, or ILSVRC2012"),
        (lambda root: (root / TRUTH).write_text("1\n2\n"), "for each of 6 pictures, found 2 lines"),
        (lambda root: (root / TRUTH).write_text("0\n" * 6), "not all of them numbers"),
        (lambda root: (root / TRUTH).write_bytes(b"\xff\xfe\n" * 6), "not all of them numbers"),
        (lambda root: shutil.rmtree(root / "train" / IDS[0]), "set task.classes=2"),
        (
            lambda root: (root / "val" / IDS[0]).mkdir(),
            f"expected a folder for each class of train, found none of {IDS[1]}",
        ),
    ],
)
def test_a_folder_that_lacks_something_is_refused(tmp_path, spoil, words):
    write(tmp_path / "imagenet")
    write_truth(tmp_path / "imagenet" / TRUTH)
    spoil(tmp_path / "imagenet")
    with pytest.raises(DataError, match=words):
        imagenet(tmp_path).load()


def test_a_picture_without_a_row_is_named(tmp_path):
    write(tmp_path / "imagenet")
    (tmp_path / SOLUTION).write_text("ImageId,PredictionString\n")
    with pytest.raises(DataError, match="expected a row for ILSVRC2012_val_00000001"):
        imagenet(tmp_path).load()
