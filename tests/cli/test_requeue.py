"""A job at its time limit: told so as a cluster tells it, requeued, and gone on with.

The signal, the checkpoint and the requeueing are submitit's own, by its local executor; only the
moment is ours.
"""

import json
import os
import signal
import subprocess
import time

import pytest
from command import NASRUN, environment

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
TRIALS, COHORT = 40, 5
NOTING = """
import os, time
from dataclasses import dataclass
from nasrun.algorithms.random_search import RandomSearch

@dataclass
class Noting(RandomSearch):
    name: str = "noting"

    def start(self, problem, *arguments):
        with open(os.environ["NOTES"], "a") as notes:
            print(os.getpid(), problem.trials, file=notes)
        super().start(problem, *arguments)

    def step(self):
        time.sleep(0.05)
        return super().step()
"""


@pytest.fixture
def noting(tmp_path):
    """Arguments of an algorithm that takes half a second for five trials, and notes them."""
    (tmp_path / "noting.py").write_text(NOTING)
    (tmp_path / "mine" / "algorithm").mkdir(parents=True)
    text = "_target_: noting.Noting\nname: noting\n"
    (tmp_path / "mine" / "algorithm" / "noting.yaml").write_text(text)
    search_path = f"hydra.searchpath=[file://{tmp_path}/mine]"
    played = ["algorithm=noting", "budget.evaluations=10", f"trials={TRIALS}"]
    return [search_path, *played, "report=null"]


@pytest.mark.slow
def test_a_job_at_its_time_limit_is_requeued_and_goes_on(nasrun, noting, tmp_path, cache_dir):
    notes = tmp_path / "notes"
    variables = {"PYTHONPATH": str(tmp_path), "NOTES": str(notes)}
    nasrun("-m", *noting, "hydra.sweep.dir=basic", env=variables)
    notes.unlink()
    command = [
        NASRUN, "-m", *noting, f"cohort={COHORT}", "hydra.sweep.dir=requeued",
        "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5",  # as good as over
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(cache_dir, **variables), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as sweep:  # fmt: skip
        ends = time.monotonic() + 120
        while not (jobs := [p.parents[1] for p in tmp_path.glob("requeued/*/unfinished/5")]):
            assert sweep.poll() is None
            assert time.monotonic() < ends, "no finished part within two minutes"
            time.sleep(0.02)
        (job,) = jobs
        os.kill(json.loads((job / "status.json").read_text())["pid"], signal.SIGUSR2)
        out, errors = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, out + errors
    assert f"{TRIALS} rows of 1 finished jobs" in out

    says = "".join(p.read_text() for p in tmp_path.glob("requeued/.submitit/*/*_log.*"))
    assert "this job is timed-out" in says
    assert "Requeued job" in says
    played = [line.split() for line in notes.read_text().splitlines()]
    assert len({process for process, _ in played}) == 2
    again = sum(int(trials) for _, trials in played) - TRIALS
    assert 0 <= again <= COHORT, played  # what was at work at that moment, and no finished part
    for name in ("trials.csv", "summary.csv"):
        expected = (tmp_path / "basic" / name).read_bytes()
        assert (tmp_path / "requeued" / name).read_bytes() == expected
