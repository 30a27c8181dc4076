"""Jobs that a scheduler holds keep the claim of the process that has submitted them."""

import os
import subprocess
import sys

import pytest

from nasrun.sweepers import queued
from nasrun.sweepers.queued import note, waiting


@pytest.fixture
def claim(tmp_path):
    return tmp_path / "0123.json"


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Let ``squeue`` print these lines, or fail without any."""

    def say(*lines):
        script = tmp_path / "bin" / "squeue"
        script.parent.mkdir(exist_ok=True)
        code = "\n".join(["#!/bin/sh", *(f"echo {line}" for line in lines)])
        script.write_text(code if lines else "#!/bin/sh\nexit 1\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")

    return say


def test_nothing_waits_where_nothing_was_submitted(claim):
    assert not waiting(claim)


def test_a_slurm_job_waits_while_the_queue_has_it(claim, squeue):
    note(claim, "slurm", ["12_0", "12_1"])
    squeue("11_0", "12_1")
    assert waiting(claim)
    squeue("11_0", "12_10")
    assert not waiting(claim)


def test_a_slurm_that_does_not_answer_may_have_it(claim, squeue, monkeypatch):
    note(claim, "slurm", ["12_0"])
    squeue()
    assert waiting(claim)
    monkeypatch.setattr(queued, "SQUEUE", ("no-such-squeue",))
    assert waiting(claim)


def test_a_local_job_waits_while_its_process_lives(claim):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as job:
        note(claim, "local", [str(job.pid)])
        assert waiting(claim)
        job.communicate(b"\n")
    assert not waiting(claim)


def test_the_launchers_note_what_they_submit(claim, monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from nasrun.sweepers.submitit_launchers import LocalLauncher, SlurmLauncher

    class Job:
        job_id = str(os.getpid())

        def done(self):
            return True

    class Executor:
        def submit(self, *_):
            return Job()

        def map_array(self, *_):
            return [Job(), Job()]

    noted = []
    monkeypatch.setattr(
        "nasrun.sweepers.submitit_launchers.note",
        lambda claim, cluster, jobs: noted.append((claim, cluster, list(jobs))),
    )
    for kind in (LocalLauncher, SlurmLauncher):
        launcher = kind()
        list(launcher._submit(Executor(), [("a",)]))  # nobody has claimed anything
        launcher.claim = claim
        list(launcher._submit(Executor(), [("a",)]))
    assert noted == [(claim, "local", [Job.job_id]), (claim, "slurm", [Job.job_id] * 2)]
