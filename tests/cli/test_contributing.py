"""The example of CONTRIBUTING.md, as a reader would try it."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def block(language):
    return re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]


def test_the_example_algorithm_runs_from_outside_the_package(tmp_path, cache_dir):
    (tmp_path / "hill_climb.py").write_text(block("python"))
    config = tmp_path / "conf" / "algorithm" / "hill_climb.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(block("yaml").replace("nasrun.algorithms.hill_climb", "hill_climb"))
    command = [Path(sys.executable).with_name("nasrun"), "algorithm=hill_climb", "trials=20"]
    answer = subprocess.run(
        [*command, f"hydra.searchpath=[file://{tmp_path}/conf]"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NASRUN_CACHE": str(cache_dir)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "hill_climb on cifar10" in answer.stdout
