"""The jobs that stand in a sweep's folder, with what they were asked for."""

from collections.abc import Iterator
from pathlib import Path

import filelock

from nasrun.locks import file_lock
from nasrun.record.collect import job_folders
from nasrun.record.request import Found, request_of
from nasrun.record.status import LOCK, PARTS, is_whole, read_status


def found_jobs(folder: Path) -> Iterator[Found]:
    """The jobs at or below ``folder`` that say what they were asked for."""
    for place in job_folders(folder):
        status = read_status(place)
        request = request_of(status)
        if request is not None:
            complete = is_whole(place, status)
            begun = not complete and (_has_parts(place) or _held(place))
            yield Found(place, request, complete, begun)


def _has_parts(folder: Path) -> bool:
    """Whether there are finished trials, or checkpoints of one that was cut off."""
    parts = folder / PARTS
    return any(parts.glob("[0-9]*")) or any(parts.glob("work-*"))


def _held(folder: Path) -> bool:
    """Whether a process is writing a job's folder."""
    try:
        with file_lock(folder / LOCK, timeout=0):
            return False
    except filelock.Timeout:
        return True
