"""This machine's cores and GPUs, and a fair share of them for one job of many.

It is asked before a job imports torch, which looks at ``OMP_NUM_THREADS`` and at
``CUDA_VISIBLE_DEVICES`` once.
"""

import os
import platform
import subprocess
from collections.abc import Sequence
from shutil import which

from nasrun.files import cache_folder

VISIBLE = "CUDA_VISIBLE_DEVICES"
_lease: list[object] = []  # this process's GPU: the lock on it, and its name


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(jobs: int) -> str:
    """Threads of one of ``jobs`` jobs that run side by side; -1 jobs are one a core."""
    return str(max(1, cores() // jobs) if jobs > 0 else 1)


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name]
    if which("nvidia-smi") is None:
        return []
    answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))]


def pinned_gpu(job: int) -> str:
    """The GPU of this process's jobs, as the value of ``CUDA_VISIBLE_DEVICES``; "" without any.

    The first job of a process takes a free GPU, starting the search at its own number; the process
    keeps it, because CUDA cannot be moved once it runs, and gives it back when it ends. Where none
    is free, jobs share.
    """
    if not _lease:
        names = gpus()
        _lease.extend(_take(names, job) if names else (None, ""))
    return str(_lease[1])


def _take(names: Sequence[str], job: int) -> tuple[object, str]:
    import filelock

    folder = cache_folder() / "gpus" / platform.node()
    folder.mkdir(parents=True, exist_ok=True)
    turned = [names[(job + step) % len(names)] for step in range(len(names))]
    for name in turned:
        lock = filelock.FileLock(folder / f"{name.replace('/', '-')}.lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        return lock, name
    return None, turned[0]
