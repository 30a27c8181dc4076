"""Jobs that wait or run under a scheduler, and outlive the process that has submitted them.

Their numbers stand beside that process's claim (``claims.py``), so that the claim holds for as
long as one of them may still begin.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nasrun.files import read_json, write_json

SUFFIX = ".queued.json"
SQUEUE = ("squeue", "--noheader", "--array", "--format=%i")
PATIENCE_S = 30.0


def note(claim: Path, cluster: str, jobs: Iterable[str]) -> None:
    """Write down that ``jobs`` were submitted; ``cluster`` is submitit's name of the scheduler."""
    write_json(claim.with_suffix(SUFFIX), {"cluster": cluster, "jobs": list(jobs)})


def waiting(claim: Path) -> bool:
    """Whether a job that was submitted under this claim waits or runs, or may do so.

    Where the scheduler cannot be asked, it may: whoever believes so keeps to the jobs as they were
    split, which costs nothing, while the opposite would play their trials twice.
    """
    path = claim.with_suffix(SUFFIX)
    if not path.exists():
        return False
    found: Any = read_json(path)
    jobs = {str(job) for job in found["jobs"]}
    if found["cluster"] == "slurm":
        queue = _queue()
        return queue is None or bool(jobs & queue)
    return any(map(_lives, jobs))


def _queue() -> set[str] | None:
    """The numbers of all jobs that SLURM has, such as 12_0; None where it does not answer."""
    try:
        found = subprocess.run(
            SQUEUE, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return set(found.stdout.split())


def _lives(process: str) -> bool:
    """Whether there is such a process: submitit's local jobs are numbered by theirs."""
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
