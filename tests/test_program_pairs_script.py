"""Programs against a tuned linear one, on pairs of made-up pictures."""

import csv
import importlib
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
SMALL = ["task.of=synthetic_images", "task.train_images=30", "task.valid_images=20",
         "task.sets=2", "task.final_sets=3", "task.features=6",
         "+task.settings.classes=10"]  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module("program_pairs")


def test_what_runs_found_stands_beside_the_linear_program(script, tmp_path, capsys):
    text = script.LINEAR.format(rate=0.05)
    with (tmp_path / "trials.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["seed", "arch"])
        rows.writeheader()
        rows.writerow({"seed": 7, "arch": text})
    run = ["--rate=0.05", "--rate=0.000001", "--run", str(tmp_path), "--select", "1"]
    assert script.main([*run, "--program", text.replace("0.05", "-0.05"), *SMALL]) == 0
    printed = capsys.readouterr().out
    linear, _, found, wrong = [line for line in printed.splitlines() if line.startswith("│")]
    assert linear.split("│")[2:] == found.split("│")[2:]
    assert "seed 7" in found
    assert wrong.split("│")[5].strip().startswith("-")


def test_a_difference_by_pair(script):
    base = np.arange(10.0)
    assert script.difference(base, base) == "0"
    shifted = base + 1 + np.tile([0.5, -0.5], 5)
    assert script.difference(shifted, base) == "+1.00 [+0.62, +1.38], p = 0.002"
