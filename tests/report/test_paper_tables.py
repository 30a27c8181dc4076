"""The experiments through the installed command: one command, one table."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NASRUN = Path(sys.executable).parent / "nasrun"


def play(folder, cache_dir, *overrides):
    command = str(NASRUN) if NASRUN.exists() else shutil.which("nasrun")
    assert command, "the nasrun command is not installed"
    answer = subprocess.run(
        [command, *overrides, f"hydra.sweep.dir={folder}"],
        env={**os.environ, "NASRUN_CACHE": str(cache_dir), "COLUMNS": "120"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def lines(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return {(line["algorithm"], line["task"]): line for line in csv.DictReader(stream)}


def test_an_experiment_is_a_sweep_by_itself_and_yields_to_the_command_line(tmp_path, cache_dir):
    shown = play(
        tmp_path, cache_dir, "+experiment=nb201_leaderboard", "trials=3", "algorithm=random,rea",
        "task=cifar10", "evaluator.reward=val@200", "report.metric=val_acc_pct",
    )  # fmt: skip
    assert "NAS-Bench-201, 50 evaluations" in shown
    found = lines(tmp_path / "nb201_leaderboard.csv")
    assert set(found) == {("random", "cifar10"), ("rea", "cifar10")}
    assert {line["n"] for line in found.values()} == {"3"}
    for name in ("nb201_leaderboard.md", "nb201_leaderboard.png", "report.json", "trials.csv"):
        assert (tmp_path / name).exists()


@pytest.mark.data
def test_random_search_and_rea_meet_the_published_baselines(tmp_path, cache_dir):
    play(tmp_path, cache_dir, "+experiment=nb201_baselines", "algorithm=random,rea")
    found = lines(tmp_path / "nb201_baselines.csv")
    compared = {key: line["difference"] for key, line in found.items() if line["difference"]}
    assert len(compared) == 4
    assert all(line["n"] == "500" for line in found.values())
    # The bound is the issue's; 500 trials put the mean within 0.1 with near certainty.
    assert all(found[key]["within_tolerance"] == "yes" for key in compared), compared
