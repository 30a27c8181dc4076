"""scripts/gpu.sh on a machine without a GPU, where it runs a miniature of every step."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from nasrun.benchmarks.trainings import read_trainings

SCRIPT = Path(__file__).parents[1] / "scripts" / "gpu.sh"


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def run(*arguments):
    return subprocess.run(
        [SCRIPT, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_without_a_place_for_results_it_says_how_it_is_called():
    done = run()
    assert done.returncode == 2
    assert "scripts/gpu.sh OUT [MINUTES] [WHEELS]" in done.stdout


@pytest.mark.slow
def test_a_miniature_of_every_step_runs_once(tmp_path):
    done = run(str(tmp_path), "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no GPU: a miniature of every step runs on the CPU" in done.stdout
    ways = json.loads((tmp_path / "together_16.json").read_text())
    assert [own["way"] for own in ways] == ["together", "cohorts of one", "alone"]
    assert all(own["step_ms"] > 0 and own["networks"] == 3 for own in ways)
    rows = read_trainings(tmp_path / "trainings" / "trainings.csv")
    assert len({row.training for row in rows}) > 10
    assert any("networks together" in row.device for row in rows)
    again = run(str(tmp_path), "30")
    assert again.returncode == 0
    assert "tests.xml is there" in again.stdout
    assert len(read_trainings(tmp_path / "trainings" / "trainings.csv")) == len(rows)
