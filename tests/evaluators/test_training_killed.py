import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nasrun.benchmarks.trainings import TrainingLog
from nasrun.errors import DataError
from nasrun.evaluators.training import Training
from nasrun.nets.recipe import Precision, Recipe
from nasrun.spaces.nb201 import NB201
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

PATIENCE_S = 120


def train(folder, images=2000):
    """What the process that is killed does, and the one that goes on."""
    task = SyntheticImages("made_up", 3, 8, "made-up", "made-up", 48, images, test_images=48)
    evaluator = Training(
        recipe=Recipe(batch=32), epochs=8, channels=4, cells=1, device="cpu", threads=1,
        precision=Precision.float32, score_epochs=None, cache_dir=str(folder),
    )  # fmt: skip
    arch = NB201().at(np.array([9000]))
    found = evaluator.opened(NB201(), task).evaluate(
        arch, epochs=np.array([8]), streams=Streams([0])
    )
    rows = TrainingLog(Path(folder) / "trainings" / "trainings.csv").all()
    return found.score[0], [(row.loss, row.train_score, row.val_score) for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_killed_while_it_trains_loses_no_more_than_an_epoch(tmp_path):
    expected = train(tmp_path / "whole")
    code = f"from test_training_killed import train; train({str(tmp_path / 'killed')!r})"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}
    )
    checkpoints, ends = tmp_path / "killed" / "trainings" / "checkpoints", time.time() + PATIENCE_S
    while not list(checkpoints.glob("*.pt")) and time.time() < ends and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(checkpoints.glob("*.pt")), "the training was over, or had not begun, when killed"
    assert not (tmp_path / "killed" / "trainings" / "trainings.csv").exists()
    assert train(tmp_path / "killed") == expected


def test_weights_go_only_once_the_figures_are_on_record(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "_append", full)
        with pytest.raises(DataError, match="no space left"):
            train(tmp_path, images=64)
    (checkpoint,) = (tmp_path / "trainings" / "checkpoints").glob("*.pt")
    kept = checkpoint.read_bytes()
    monkeypatch.setattr("nasrun.nets.trainer.Trainer._epoch", full)  # nothing is trained anew
    _, rows = train(tmp_path, images=64)
    assert len(rows) == 8
    assert not checkpoint.exists()

    checkpoint.write_bytes(kept)  # killed right before it could remove them
    assert train(tmp_path, images=64)[1] == rows
    assert not checkpoint.exists()
