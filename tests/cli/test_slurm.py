"""A sweep on a real SLURM of one node: submitted, a job killed, another requeued, and gone on with.

Skipped where that SLURM cannot be started; scripts/slurm_node.sh says what it needs.
"""

import os
import shlex
import socket
import subprocess
import time
from pathlib import Path

import pytest
from command import NASRUN, environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_node.sh"
CANNOT = 3
PATIENCE_S = 120.0
SLOW = """
import time
from dataclasses import dataclass
from nasrun.algorithms.random_search import RandomSearch

@dataclass
class Slow(RandomSearch):
    name: str = "slow"

    def step(self):
        time.sleep(0.02)
        return super().step()
"""
pytestmark = pytest.mark.slurm


def free_ports():
    """Two neighbouring ports that nobody uses."""
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        return first.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The variables with which SLURM's commands find the node."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    folder = tmp_path_factory.mktemp("slurm")
    variables = {**os.environ, "SLURM_NODE_PORT": str(free_ports())}
    answer = subprocess.run(
        [SCRIPT, "start", folder], capture_output=True, text=True, env=variables, timeout=60
    )
    if answer.returncode == CANNOT:
        pytest.skip(answer.stderr.strip())
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("export SLURM_CONF=")
    yield {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    subprocess.run([SCRIPT, "stop", folder], check=True, timeout=60)


@pytest.fixture
def slow(tmp_path):
    """Arguments of an algorithm that takes a second for five trials."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "mine" / "algorithm").mkdir(parents=True)
    (tmp_path / "mine" / "algorithm" / "slow.yaml").write_text("_target_: slow.Slow\nname: slow\n")
    return [f"hydra.searchpath=[file://{tmp_path}/mine]", "algorithm=slow"]


def wait_for(what, ready):
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        if found := ready():
            return found
        time.sleep(0.1)
    return pytest.fail(f"{what} did not come within {PATIENCE_S:.0f} s")


@pytest.mark.slow
def test_a_killed_and_a_requeued_job_end_with_the_rows_of_the_basic_launcher(
    nasrun, slurm, slow, tmp_path, cache_dir
):
    variables = {**slurm, "PYTHONPATH": str(tmp_path), "NASRUN_CACHE": str(cache_dir)}
    sweep = ["-m", *slow, "trials=160", "sweep.split=4"]
    nasrun(*sweep, "cohort=160", "hydra.sweep.dir=basic", env=variables)

    def slurm_says(command):
        return subprocess.check_output(
            shlex.split(command), text=True, env={**os.environ, **variables}
        ).split()

    def begun():
        """The running jobs, by the cluster's numbers, once all of them have a finished part."""
        parts = list((tmp_path / "cluster").glob("*/unfinished/[0-9]*"))
        running = slurm_says("squeue --noheader --states=RUNNING --format=%i")
        return len({part.parent for part in parts}) >= len(running) and running

    submitted = subprocess.Popen(
        [NASRUN, *sweep, "cohort=5", "hydra.sweep.dir=cluster", "hydra/launcher=submitit_slurm"],
        cwd=tmp_path, env=environment(cache_dir, **variables), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        killed, *others = wait_for("a finished part of every running job", begun)
        slurm_says(f"scancel --signal=KILL {killed}")
        for job in others[:1]:
            slurm_says(f"scontrol requeue {job}")
        out, errors = submitted.communicate(timeout=PATIENCE_S)
    finally:
        submitted.kill()
        submitted.communicate()
    assert submitted.returncode == 1, out + errors
    assert "1 of 4 jobs are not done; go on with: nasrun resume=" in errors
    assert out.count("unfinished: ") + errors.count("unfinished: ") == 1
    assert "120 rows of 3 finished jobs" in out

    answer = nasrun(
        *sweep, "cohort=5", "resume=cluster", "hydra/launcher=submitit_slurm", env=variables
    )
    assert "4 jobs, 3 of them done" in answer.stdout
    for name in ("trials.csv", "summary.csv"):
        expected = (tmp_path / "basic" / name).read_bytes()
        assert (tmp_path / "cluster" / name).read_bytes() == expected
