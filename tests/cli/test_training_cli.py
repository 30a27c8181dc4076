import csv
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_a_search_trains_on_real_pictures(tmp_path):
    command = [
        "algorithm=rea", "space=nb201", "task=fashion_mnist", "evaluator=training",
        "budget.evaluations=8", "algorithm.population=4", "task.train_images=1000",
        "task.valid_images=500", "task.test_images=500", "task.image_px=16", "evaluator.channels=4",
        "evaluator.cells=1", "evaluator.epochs=2", "evaluator.recipe.batch=50",
        "evaluator.score_epochs=2", "evaluator.score_seeds=[777]", "retrain.export=[weights]",
        f"cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "nasrun", *command], check=True, capture_output=True)
    with (tmp_path / "run" / "evaluations.csv").open() as stream:
        rewards = [float(row["reward"]) for row in csv.DictReader(stream)]
    assert len(rewards) == 8
    with (tmp_path / "run" / "trials.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    median = statistics.median(rewards[:4])
    print(f"best {row['reward']} %, median of the initial population {median} %")
    assert float(row["reward"]) >= median
    assert float(row["test_score"]) > 10.0  # chance
    assert float(row["wall_s"]) > 0
    assert (tmp_path / "run" / "networks" / "fashion_mnist" / "seed-0.safetensors").exists()
