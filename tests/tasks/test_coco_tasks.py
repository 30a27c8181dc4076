import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from coco_files import data_set, write_folder, write_zip

from nasrun.benchmarks.trainings import TrainingLog
from nasrun.errors import ConfigError, DataError
from nasrun.evaluators.training import Training
from nasrun.nets.recipe import Optimizer, Precision, Recipe
from nasrun.spaces.residual import Residual
from nasrun.spaces.residual_skeleton import Block
from nasrun.streams import Streams
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.coco import COCO
from nasrun.tasks.coco_folder import CocoFolder
from nasrun.tasks.detection import JudgedBy

WHOLE = {"train": 6, "val": 3, "test": 3}


def made(path, tmp_path, **changes):
    return CocoFolder(
        path=str(path), image_px=24, cache_dir=str(tmp_path / "cache"), **changes
    ).make(lambda name, values: pytest.fail(name))


def test_a_zip_file_is_read_as_the_folder_is(tmp_path):
    files = data_set(WHOLE)
    folder = made(write_folder(tmp_path / "set", files), tmp_path).load()
    zipped = made(write_zip(tmp_path / "set.zip", files), tmp_path).load()
    for own, other in (
        (folder.search_train, zipped.search_train),
        (folder.search_valid, zipped.search_valid),
        (folder.final_test, zipped.final_test),
    ):
        np.testing.assert_array_equal(own.pixels, other.pixels)
        np.testing.assert_array_equal(own.labels, other.labels)
    assert [len(part) for part in (zipped.search_train, zipped.search_valid)] == [6, 3]
    assert len(zipped.final_test) == 3
    assert zipped.class_names == ("wide", "tall")
    assert list(zipped.files) == [f"coco_folder/{tmp_path.name}/set.zip"]
    assert zipped.fit == "squash"


def test_boxes_lie_where_the_picture_shows_them(tmp_path):
    splits = made(write_zip(tmp_path / "set.zip", data_set(WHOLE)), tmp_path).load()
    seen = 0
    for pixels, boxes in zip(splits.final_train.pixels, splits.final_train.labels, strict=True):
        for x0, y0, x1, y1, kind, _ in boxes[boxes[:, 4] == 0]:
            inner = pixels[:, round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
            assert kind == 0
            assert np.median(inner) == 180
            seen += 1
    assert seen == 4


@pytest.mark.parametrize(
    ("counts", "sizes", "words"),
    [
        ({"train": 10}, (6, 2, 2), "test pictures drawn by seed 0; split drawn by seed 0"),
        ({"train": 10, "val": 4}, (8, 2, 4), "split drawn by seed 0"),
        ({"train2017": 5, "val2017": 2, "test2017": 3}, (5, 2, 3), "split as published"),
    ],
)
def test_parts_that_are_not_there_are_drawn(counts, sizes, words, tmp_path):
    task = made(write_folder(tmp_path / "set", data_set(counts)), tmp_path)
    splits = task.load()
    parts = (splits.search_train, splits.search_valid, splits.final_test)
    assert tuple(map(len, parts)) == sizes
    assert splits.source == f"set; {words}"
    pixels = [own.tobytes() for part in parts for own in part.pixels]
    assert len(set(pixels)) == len(pixels) == sum(counts.values())
    assert pickle.loads(pickle.dumps(task)).load().source == splits.source


@pytest.mark.parametrize(("valid_from", "learnt"), [("test", 5), ("train", 7)])
def test_the_final_training_may_learn_from_validation_pictures(valid_from, learnt, tmp_path):
    """Search and test have the same pictures either way."""
    root = write_folder(tmp_path / "set", data_set({"train": 5, "val": 2, "test": 3}))
    task = made(root, tmp_path, valid_from=ValidFrom(valid_from))
    own, other = task.load(), made(root, tmp_path).load()
    for name in ("search_train", "search_valid", "final_test"):
        np.testing.assert_array_equal(getattr(own, name).pixels, getattr(other, name).pixels)
        np.testing.assert_array_equal(getattr(own, name).labels, getattr(other, name).labels)
    parts = [own.search_train, own.search_valid][: 1 + (valid_from == "train")]
    expected = [each.tobytes() for part in parts for each in part.pixels]
    assert [each.tobytes() for each in own.final_train.pixels] == expected
    assert len(expected) == learnt
    assert own.source == "set; split as published"
    assert (task.train_images, task.valid_images, len(own.final_test)) == (5, 2, 3)


def test_annotations_may_have_any_name_and_pictures_any_usual_place(tmp_path):
    files = data_set({"first": 4, "second": 3}, folder="first")
    task = made(
        write_folder(tmp_path / "set", files),
        tmp_path,
        train_file="annotations/instances_first.json",
    )
    assert (task.train_images, task.valid_images, task.test_images) == (2, 1, 1)
    with pytest.raises(DataError, match=r"3 of its 3 pictures are missing, such as 5\.png"):
        made(tmp_path / "set", tmp_path, train_file="annotations/instances_second.json")
    with pytest.raises(DataError, match=r"training pictures.*name it with task\.train_file"):
        made(tmp_path / "set", tmp_path)
    with pytest.raises(DataError, match=r"expected a\.json, which is not there"):
        made(tmp_path / "set", tmp_path, train_file="a.json")


def test_two_files_of_one_part_are_not_chosen_from(tmp_path):
    root = write_folder(tmp_path / "set", data_set({"train2014": 4, "train2017": 4, "val": 2}))
    with pytest.raises(
        DataError, match=r"train2014\.json and .*train2017\.json: .*task\.train_file"
    ):
        made(root, tmp_path)


def test_a_name_may_not_lead_out_of_the_folder(tmp_path):
    files = data_set({"train": 2})
    path = "annotations/instances_train.json"
    secret = write_folder(tmp_path, {"secret/1.png": files["images/1.png"]}) / "secret"
    for name in ("../../secret/1.png", str(secret / "1.png")):
        whole = json.loads(files[path])
        whole["images"][0]["file_name"] = name
        root = write_folder(tmp_path / "set", {**files, path: json.dumps(whole).encode()})
        with pytest.raises(DataError, match="1 of its 2 pictures are missing"):
            made(root, tmp_path)


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path):
    files = data_set({"train": 4})
    files["images/2.png"] = data_set({"train": 2}, (36, 48))["images/2.png"]
    task = made(write_zip(tmp_path / "set.zip", files), tmp_path)
    with pytest.raises(DataError, match=r"set\.zip: images/2\.png: a picture of 36x48 pixels, but"):
        task.load()


def test_no_place_and_no_archive_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"task\.path must name a folder or a zip file"):
        made(tmp_path / "nothing", tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"set\.zip: expected a folder or a zip file"):
        made(tmp_path / "set.zip", tmp_path)


def test_a_damaged_member_is_named(tmp_path):
    path = write_zip(tmp_path / "set.zip", data_set({"train": 4}))
    data = path.read_bytes()
    at = data.index(b"IDAT") + 40
    path.write_bytes(data[:at] + b"\0\0\0\0" + data[at + 4 :])
    with pytest.raises(DataError, match=r"set\.zip: images/1\.png: cannot be read \(Bad CRC"):
        made(path, tmp_path).load()


def test_the_published_layout(tmp_path):
    files = data_set({"train2017": 6}, folder="train2017")
    tested = data_set({"train2017": 6, "val2017": 2}, folder="val2017")
    kept = ("annotations/instances_val2017.json", "val2017/7.png", "val2017/8.png")
    write_folder(tmp_path / "coco", files | {name: tested[name] for name in kept})
    task = COCO(
        "coco", 2, 24, "v", "t", valid_images=2, train_images=4, test_images=2,
        data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"), folders=["coco"],
    )  # fmt: skip
    splits = task.load()
    assert splits.source == "COCO 2017; split drawn by seed 0"
    assert [len(part) for part in (splits.search_train, splits.search_valid)] == [4, 2]
    assert splits.final_test.labels.shape == (2, 2, 6)
    assert sorted(splits.files)[-1] == "coco/val2017"
    with pytest.raises(DataError, match="expects 9 pictures in a part"):
        replace(task, train_images=9).load()


def test_a_detector_learns_to_find_rectangles(tmp_path):
    """The whole way: a zip file, a residual network, its training, and average precision."""
    path = write_zip(tmp_path / "set.zip", data_set({"train": 45, "val": 15, "test": 15}))
    task = made(path, tmp_path, judged_by=JudgedBy.ap50, channels=16, layers=1)
    space = Residual(
        base_channels=[8], depths=[4], stages=[3], doublings=1, block=Block.basic, stem_stride=2
    )
    recipe = Recipe(
        batch=4, learning_rate=5e-3, optimizer=Optimizer.adamw, nesterov=False, jitter=4 * [0.0]
    )
    session = Training(
        recipe=recipe, epochs=6, seed=1, score_epochs=None, channels=8, device="cpu", threads=1,
        precision=Precision.float32, cache_dir=str(tmp_path),
    ).opened(space, task)  # fmt: skip
    arch = space.sample(Streams([0]))
    found = session.evaluate(arch, epochs=np.array([6]), streams=Streams([0]))
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.metric for row in rows} == {session.metric.name} == {"ap50_pct"}
    assert all(np.isnan(row.train_score) for row in rows)
    assert rows[-1].loss < 0.6 * rows[0].loss
    assert found.score[0] == rows[-1].val_score > 20.0
