"""This machine's cores and GPUs, and a fair share of them for one job of many.

It is asked before a job imports torch, which looks at ``OMP_NUM_THREADS`` and at
``CUDA_VISIBLE_DEVICES`` once.
"""

import multiprocessing
import os
import platform
import subprocess
import threading
import time
from collections.abc import Sequence
from functools import cache
from shutil import which

from nasrun.files import cache_folder

VISIBLE = "CUDA_VISIBLE_DEVICES"
WATCH_S = 1.0  # how often a worker looks whether its parent is there
_lease: list[object] = []  # this process's GPU: the lock on it, and its name


def end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed one cannot tell its workers to stop."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


@cache
def end_as_worker() -> None:
    """End this process with the one that it works for, if it is one of a pool's."""
    own = multiprocessing.current_process()
    if own.name != "MainProcess":
        end_with(getattr(own, "_parent_pid", os.getppid()))  # it may be gone already


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


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

    from nasrun.locks import file_lock

    folder = cache_folder() / "gpus" / platform.node()
    folder.mkdir(parents=True, exist_ok=True)
    turned = [names[(job + step) % len(names)] for step in range(len(names))]
    for name in turned:
        lock = file_lock(folder / f"{name.replace('/', '-')}.lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        return lock, name
    return None, turned[0]
