"""What the finished jobs of a sweep have read, so that its missing trials are played on the same.

The sweep says it once, when it is started again, in a small file; each job reads that file alone,
however many jobs are finished.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from nasrun.errors import DataError
from nasrun.files import read_json, write_json
from nasrun.record.provenance import config_hash
from nasrun.record.request import Found, Request

log = logging.getLogger(__name__)
EARLIER = ".data.json"  # in a sweep's folder


class _Entry(TypedDict):
    """Data files and their sha256, and each search that has read them with a job of it."""

    data: dict[str, str]
    searches: dict[str, str]


def note_earlier_data(folder: Path, found: Iterable[Found]) -> None:
    """Write down which data files the finished jobs in a sweep's folder have read.

    Jobs that have read the same share an entry, so one ``provenance.json`` is read for all of them.
    """
    entries: dict[str, _Entry] = {}
    for job in found:
        if job.complete:
            digest = job.request.data
            if digest not in entries:
                entries[digest] = {"data": _data(job.folder), "searches": {}}
            entries[digest]["searches"].setdefault(job.request.search, str(job.folder))
    if entries:
        write_json(folder / EARLIER, entries)
    else:
        (folder / EARLIER).unlink(missing_ok=True)


def require_earlier_data(folder: Path, request: Request, files: Mapping[str, str]) -> None:
    """Compare what a job is about to play on with what the sweep's finished jobs have read.

    A file that another search of the sweep has read in another version is worth a warning: their
    figures are hardly comparable.

    Args:
        folder: the sweep's folder.
        request: what the job was asked for.
        files: the job's data files and their sha256.

    Raises:
        DataError: finished trials of the same search have read other files.
    """
    path = folder / EARLIER
    entries: dict[str, _Entry] = read_json(path) if path.exists() else {}
    for digest, entry in entries.items():
        if digest == config_hash(dict(files)):
            continue
        data, searches = entry["data"], entry["searches"]
        if (other := searches.get(request.search)) is not None:
            names = sorted({name for name, _ in data.items() ^ files.items()})
            raise DataError(
                f"{other} holds trials of this search on other data files than those at hand "
                f"({', '.join(names)}): put the former files back, or delete that folder"
            )
        if changed := sorted(name for name in data.keys() & files if data[name] != files[name]):
            log.warning(
                "%s was played on another %s than the one at hand: figures of the two are hardly "
                "comparable", next(iter(searches.values())), ", ".join(changed),
            )  # fmt: skip


def _data(folder: Path) -> dict[str, str]:
    try:
        return dict(read_json(folder / "provenance.json").get("data", {}))
    except DataError:
        return {}  # gone; the digest in the job's status still says that it differs
