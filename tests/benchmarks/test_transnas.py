import zipfile

import numpy as np
import pytest
import torch
from composed import CONF, composed

from nasrun.benchmarks import transnas
from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.table import Column
from nasrun.config import check
from nasrun.errors import DataError
from nasrun.pipeline import search
from nasrun.spaces.transnas_macro import TransNASMacro

ARCHS = {"micro": ["64-41414-0_00_000", "64-41414-1_02_333"], "macro": ["64-1234-basic"]}
EPOCHS = {"class_scene": 3, "room_layout": 2, "segmentsemantic": 2, "normal": 2}
METRICS = {
    "class_scene": ["train_top1", "valid_top1", "test_top1", "time_elapsed"],
    "room_layout": ["valid_loss", "test_loss", "time_elapsed"],
    "segmentsemantic": ["valid_acc", "valid_mIoU", "test_acc", "time_elapsed"],
    "normal": ["val_ssim", "test_ssim", "time_elapsed"],
}


def official(**changes):
    """What the file holds, figure = 10 * architecture + epoch, in the official layout."""
    data = {}
    for space, archs in ARCHS.items():
        data[space] = {}
        for number, arch in enumerate(archs):
            data[space][arch] = {
                task: {
                    "total_epochs": epochs,
                    "metrics": {
                        name: [10.0 * number + epoch for epoch in range(1, epochs + 1)]
                        for name in METRICS[task]
                    },
                    "model_info": {"inference_time": 0.004 + number, "model_params": 1.0},
                }
                for task, epochs in EPOCHS.items()
            }
    for path, value in changes.items():
        space, task, name = path.split("__")
        for run in data[space].values():
            run[task]["metrics"][name] = value
    return {
        "metrics_dict": METRICS, "info_names": ["inference_time"], "task_list": list(EPOCHS),
        "data": data,
    }  # fmt: skip


def written(tmp_path, content, **how):
    path = tmp_path / "transnas-bench_v10141024.pth"
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_every_epoch_is_read_with_its_metric(tmp_path, zipped):
    path = written(tmp_path, official(), _use_new_zipfile_serialization=zipped)
    frame = transnas.read(path, "transnas_micro")
    assert frame.archs == ARCHS["micro"]
    for epoch in (1, 2, 3):
        for part in ("val_score", "test_score"):
            found = frame.columns[Column(part, "class_scene", 3, epoch, "mean")]
            np.testing.assert_array_equal(found, [epoch, 10 + epoch])
    loss = frame.columns[Column("val_score", "room_layout", 2, 2, "mean")]
    np.testing.assert_array_equal(loss, [-2.0, -12.0])  # to be maximised
    ssim = frame.columns[Column("val_score", "normal", 2, 1, "mean")]
    np.testing.assert_array_equal(ssim, [1.0, 11.0])
    assert Column("val_score", "segmentsemantic", 2, 2, "mean") in frame.columns
    latency = frame.columns[Column("latency_ms", "normal", 2, 2, "mean")]
    np.testing.assert_allclose(latency, [4.0, 1004.0])


def test_losses_are_learning_curves(tmp_path):
    content = official(micro__normal__train_loss=[0.5, 0.4], micro__normal__valid_loss=[0.6, 0.3])
    curves = transnas.read(written(tmp_path, content), "transnas_micro").curves
    train = curves[Curve("train_loss", "normal", 2, "mean")]
    np.testing.assert_allclose(train, [[0.5, 0.4], [0.5, 0.4]])
    np.testing.assert_allclose(curves[Curve("val_loss", "normal", 2, "mean")], [[0.6, 0.3]] * 2)
    assert Curve("train_loss", "class_scene", 3, "mean") not in curves


def test_the_other_space_lies_in_the_same_file(tmp_path):
    frame = transnas.read(written(tmp_path, official()), "transnas_macro")
    assert frame.archs == ARCHS["macro"]


def test_a_negative_loss_on_record_keeps_its_sign(tmp_path):
    content = official(micro__room_layout__valid_neg_loss=[-0.7, -0.6])
    frame = transnas.read(written(tmp_path, content), "transnas_micro")
    loss = frame.columns[Column("val_score", "room_layout", 2, 2, "mean")]
    np.testing.assert_allclose(loss, [-0.6, -0.6])


def test_shares_become_percent_and_seconds_are_those_of_an_epoch(tmp_path):
    content = official(
        micro__segmentsemantic__valid_mIoU=[0.2, 0.25], micro__normal__time_elapsed=[7.0, 5.0]
    )
    columns = transnas.read(written(tmp_path, content), "transnas_micro").columns
    miou = columns[Column("val_score", "segmentsemantic_miou", 2, 2, "mean")]
    np.testing.assert_allclose(miou, [25.0, 25.0])
    seconds = columns[Column("train_s", "normal", 2, 2, "mean")]
    np.testing.assert_allclose(seconds, [6.0, 6.0])
    rising = columns[Column("train_s", "class_scene", 3, 3, "mean")]
    np.testing.assert_allclose(rising, [3 / 3, 13 / 3])  # seconds since the beginning


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {}}, "not laid out as TransNAS-Bench-101"),
        ({"data": {"micro": {}, "macro": {}}}, "no network of the micro space"),
        (official(micro__class_scene__valid_top1=[1.0]), "1 figures for 3 epochs"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        transnas.read(written(tmp_path, content), "transnas_micro")


def test_a_truncated_file_and_a_hostile_one_are_refused(tmp_path):
    path = written(tmp_path, official(), _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"get the file again|not a complete"):
        transnas.read(path, "transnas_micro")

    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    for zipped in (True, False):
        path = written(tmp_path, {"data": Hostile()}, _use_new_zipfile_serialization=zipped)
        with pytest.raises(DataError, match="refused: it asks for"):
            transnas.read(path, "transnas_micro")
    assert not (tmp_path / "made").exists()


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(transnas, "UNPACKED", 2**16)
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
    with pytest.raises(DataError, match="unpacks to more than"):
        transnas.read(path, "transnas_micro")


def test_a_csv_of_the_macro_networks_is_searched_once_somebody_brings_one(tmp_path, caplog):
    """All 3,256 of them, as ``data_dir/transnas/transbench101_macro.csv``: nothing else is set."""
    space = TransNASMacro()
    every = space.at(np.arange(space.size))
    texts = [space.text(arch) for arch in every[space.exists(every)]]
    folder = tmp_path / "transnas"
    folder.mkdir()
    tasks = ["class_object", "class_scene", "jigsaw", "segmentsemantic"]
    tasks += ["autoencoder", "normal", "room_layout"]
    header = ",".join(["arch", *(f"val_{task}" for task in tasks)])
    lines = [f"{t},{'50,' * 4}0.5,{row / 1e4},{-row / 1e4}" for row, t in enumerate(texts)]
    (folder / "transbench101_macro.csv").write_text("\n".join([header, *lines]))
    config = composed(
        "space=transnas_macro", "task=room_layout", "algorithm=rea", "budget.evaluations=30",
        f"data_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    opened = check(config, [CONF / "task"]).opened()
    assert opened.measuring.metric.name == "neg_loss"
    found, _ = search(opened, np.arange(3), None)
    best = [texts.index(space.text(arch)) for arch in found.archs]
    np.testing.assert_allclose(found.reward, -np.array(best) / 1e4, rtol=1e-6)
    assert not caplog.records  # all networks have figures
