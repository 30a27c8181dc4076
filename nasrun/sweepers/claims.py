"""What the processes that play a sweep are about to launch, so that others plan around it.

A process that has made its plan writes it down in the sweep's folder and holds a lock beside it
for as long as it plays. A plan whose process is gone counts for nothing, unless it has left jobs in
a scheduler's queue (``queued.py``).
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import filelock

from nasrun.files import read_json, write_json
from nasrun.keys import key_of
from nasrun.locks import file_lock
from nasrun.record.request import TRIALS, Found, Request, request_of, wording
from nasrun.sweepers.plan import Overrides, Wanted
from nasrun.sweepers.queued import SUFFIX, waiting

CLAIMS = ".claims"  # in a sweep's folder, by process
PLANNING = ".plan.lock"  # held while a plan is made


def planning(folder: Path) -> filelock.BaseFileLock:
    """The lock under which a sweep's folder is looked at, planned for, and claimed in."""
    folder.mkdir(parents=True, exist_ok=True)
    return file_lock(folder / PLANNING)


def requests(
    launch: Iterable[Overrides], wanted: Iterable[Wanted], conf: str | None
) -> Iterator[Request]:
    """What the jobs of a plan are asked for, as far as that is known before they begin."""
    families = {wording(job.overrides, without=TRIALS): job for job in wanted}
    for overrides in launch:
        job = families.get(wording(overrides, without=TRIALS))
        seeds = None if job is None else _seeds(overrides, job)
        if job is not None and seeds is not None:
            composed = job.composed or ""
            yield Request(overrides, conf, composed, "", seeds.start, len(seeds))


def _seeds(overrides: Overrides, job: Wanted) -> range | None:
    if overrides == job.overrides:
        return job.seeds
    own = dict(text.split("=", 1) for text in overrides if key_of(text) in TRIALS)
    try:
        return range(int(own["seed"]), int(own["seed"]) + int(own["trials"]))
    except (KeyError, ValueError):
        return None


@contextmanager
def claimed(folder: Path, jobs: Iterable[Request]) -> Generator[Path]:
    """Hold a claim on ``jobs`` while the block launches them; begins under ``planning``.

    The claim is there when this returns, so a context that is entered holds it. Yields its file,
    beside which a launcher notes what it has submitted.
    """
    path = folder / CLAIMS / f"{uuid4().hex}.json"
    path.parent.mkdir(exist_ok=True)
    own = file_lock(path.with_suffix(".lock"))
    own.acquire()
    try:
        write_json(path, [{"request": job.as_status()} for job in jobs])
        yield path
    finally:
        with planning(folder):
            _remove(path, own)


def with_claims(folder: Path, found: Iterable[Found]) -> list[Found]:
    """The jobs in a sweep's folder, and those that are about to begin there.

    A living process is going to launch them, or a dead one has left them in a queue.
    """
    jobs = {job.request.wording: job for job in found}
    for request in _living(folder):
        there = jobs.get(request.wording)
        if there is None:
            jobs[request.wording] = Found(folder, request, complete=False, begun=True)
        elif not there.complete:
            jobs[request.wording] = replace(there, begun=True)
    return list(jobs.values())


def _living(folder: Path) -> Iterator[Request]:
    """What is claimed by processes that are there, or by queued jobs; other claims are removed."""
    for lock in list((folder / CLAIMS).glob("*.lock")):
        path, other = lock.with_suffix(".json"), file_lock(lock, timeout=0)
        try:
            other.acquire()
        except filelock.Timeout:
            yield from _claims(path)
        else:
            if path.exists() and waiting(path):
                yield from _claims(path)
                other.release()
            else:
                _remove(path, other)
    _drop_empty(folder / CLAIMS)  # whose process was killed before it could


def _claims(path: Path) -> Iterator[Request]:
    entries: Any = read_json(path)
    yield from filter(None, map(request_of, entries))


def _remove(path: Path, lock: filelock.BaseFileLock) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(SUFFIX).unlink(missing_ok=True)
    lock.release()
    path.with_suffix(".lock").unlink(missing_ok=True)
    _drop_empty(path.parent)


def _drop_empty(claims: Path) -> None:
    if claims.is_dir() and not any(claims.iterdir()):
        claims.rmdir()
