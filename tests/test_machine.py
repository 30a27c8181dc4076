import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasrun import machine


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_lease", [])
    monkeypatch.setenv("NASRUN_CACHE", str(tmp_path))


def test_threads_are_the_cores_shared_out(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    assert [machine.threads(jobs) for jobs in (-1, 1, 3, 8, 20)] == ["1", "8", "2", "1", "1"]


def test_gpus_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab")
    assert machine.gpus() == ["3", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus() == []


def test_gpus_are_counted_without_torch(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU 0: a\\nGPU 1: b\\n  MIG 1g Device 0: c\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.gpus() == ["0", "1"]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert machine.gpus() == []


def test_without_a_gpu_none_is_pinned(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.pinned_gpu(3) == ""


PIN = """
import sys
import time
from pathlib import Path
from nasrun.machine import pinned_gpu
print(pinned_gpu(int(sys.argv[1])), pinned_gpu(7), flush=True)
sys.stdin.readline()
"""


def test_processes_get_different_gpus_keep_them_and_share_when_there_are_no_more(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")

    def process(job):
        return subprocess.Popen(
            [sys.executable, "-c", PIN, str(job)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    processes = [process(job) for job in (1, 4, 1)]
    pinned = [p.stdout.readline().split() for p in processes]
    assert {first for first, _ in pinned} == {"4", "5", "6"}
    assert all(first == later for first, later in pinned)
    extra = process(2)
    assert extra.stdout.readline().split() == ["6", "6"]
    for each in (*processes, extra):
        each.communicate("\n")
    freed = process(0)
    assert freed.stdout.readline().split()[0] == "4"
    freed.communicate("\n")


WORKER = """
import os, time
from nasrun.machine import end_as_worker

def work(folder, number):
    end_as_worker()
    with open(os.path.join(folder, str(number)), "w") as stream:
        stream.write(str(os.getpid()))
    time.sleep(60)
"""
PARENT = """
import sys
import time
from pathlib import Path
from joblib import Parallel, delayed
from worker import work
Parallel(n_jobs=2)(delayed(work)(sys.argv[1], number) for number in range(2))
"""


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_of_joblib_end_when_their_parent_is_killed(tmp_path):
    pytest.importorskip("joblib")
    (tmp_path / "worker.py").write_text(WORKER)
    notes = tmp_path / "notes"
    notes.mkdir()
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, notes],
        env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ends = time.monotonic() + 60
    while sum(note.stat().st_size > 0 for note in notes.iterdir()) < 2:
        assert parent.poll() is None
        assert time.monotonic() < ends, "the workers did not begin"
        time.sleep(0.05)
    workers = [int(note.read_text()) for note in notes.iterdir()]
    assert all(map(lives, workers))
    parent.kill()
    parent.wait()
    ends = time.monotonic() + 20
    while any(map(lives, workers)):
        assert time.monotonic() < ends, "workers outlived their parent"
        time.sleep(0.05)
