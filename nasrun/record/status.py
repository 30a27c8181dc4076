"""Whether a run is complete, under way or cut off, by what stands in its folder."""

import shlex
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrun.errors import DataError, NasrunError
from nasrun.files import csv_cells, is_cut, read_json
from nasrun.measurements import PACKED, PLAIN
from nasrun.names import command_for
from nasrun.record.request import request_of
from nasrun.record.rows import TRIAL_COLUMNS

STATUS = "status.json"
LOCK = ".lock"
PARTS = "unfinished"
TRIALS = "trials.csv"
PARETO, POLICY = "pareto.csv", "policy.csv"
PROVENANCE = "provenance.json"


def seeds_on_record(trials: Path) -> set[int]:
    """The seeds in a ``trials.csv``; none if there is no such file, or another.

    A file that is damaged has none: whoever looks for seeds plays them again.
    """
    try:
        rows = csv_cells(trials)
        at = next(rows).index("seed")
        return {int(row[at]) for row in rows}
    except (DataError, ValueError):
        return set()


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file that stands in a folder, by name.

    Kept beside the files, they tell what has lost its end since, even where that was at the end of
    a line.
    """
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def shortened(folder: Path, known: Mapping[str, int]) -> list[Path]:
    """Files that are gone or smaller than they were."""
    paths = [folder / name for name in known]
    return [path for path in paths if not path.is_file() or path.stat().st_size < known[path.name]]


def cut_off(folder: Path, rows: str) -> list[Path]:
    """Files of rows that lack their end, in a folder whose sizes an earlier version did not note.

    What was lost at the end of a line is not seen.
    """
    gone = [] if (folder / rows).is_file() else [folder / rows]
    paths = [folder / name for name in (rows, PLAIN, PARETO, POLICY)]
    return gone + [path for path in paths if path.is_file() and is_cut(path)]


def without_config(folder: Path) -> str:
    """The sentence for a run's folder that has lost ``.hydra``, with what else is known of it."""
    try:
        command = read_json(folder / PROVENANCE)["command"]
        by = f" with: {shlex.join(['nasrun', *map(str, command[1:])])}"
    except (NasrunError, KeyError, TypeError):
        by = ""
    return (
        f"{folder} has no .hydra, which says what its run was composed of: copy .hydra there from "
        f"where the run was played, or play it again{by}"
    )


def is_whole(folder: Path, status: Mapping[str, Any]) -> bool:
    """Whether a run is complete, and its rows have every trial that was asked for.

    No file may have lost its end, be it that of the measurements; these may be removed.
    A file with the columns of another version counts as whole: whoever reads it will refuse it.
    """
    request = request_of(status)
    if status["state"] != "complete" or request is None:
        return status["state"] == "complete"
    name = rows_of(status)
    trials = folder / name
    if name == TRIALS and _is_foreign(trials):
        return True
    known = status.get("bytes")
    lost = cut_off(folder, name) if known is None else shortened(folder, known)
    return all(map(_is_harmless, lost)) and seeds_on_record(trials).issuperset(request.seeds)


def _is_harmless(path: Path) -> bool:
    """Whether a file may be gone, as one does without to save space, or is smaller and yet whole.

    JSON that somebody has edited, and what was packed again, say themselves where they end.
    """
    if not path.exists():
        return path.name in (PLAIN, PACKED)
    try:
        if path.suffix == ".json":
            read_json(path)
        elif path.suffix == ".gz":
            deque(csv_cells(path), maxlen=0)
        else:
            return False
    except DataError:
        return False
    return True


def require_whole(folder: Path, status: Mapping[str, Any]) -> None:
    """Refuse figures of a complete run whose files have lost some.

    Raises:
        DataError: they have.
    """
    if not is_whole(folder, status):
        raise DataError(
            f"{folder}: the run was complete, but {rows_of(status)} or a file beside it is gone or "
            f"has lost its end since: play the missing trials again with: {command_for(folder)}"
        )


def rows_of(status: Mapping[str, Any]) -> str:
    """The file with a run's trials: ``trials.csv``, or what its study has in its place."""
    return str(status.get("rows", TRIALS))


def _is_foreign(trials: Path) -> bool:
    """Whether a file is there that begins otherwise than ours."""
    try:
        with trials.open("rb") as stream:
            header = stream.readline()
    except OSError:
        return False
    return bool(header) and header.rstrip() != ",".join(TRIAL_COLUMNS).encode()


def progress(folder: Path) -> tuple[int, int, bool]:
    """Of an unfinished run: trials on record, trials asked for, and whether some have checkpoints.

    Raises:
        DataError: its status cannot be read.
    """
    status, parts = read_status(folder), folder / PARTS
    request, name = request_of(status), rows_of(status)
    kept = sum(len(seeds_on_record(part / name)) for part in parts.glob("[0-9]*"))
    resting = any(any(work.iterdir()) for work in parts.glob("work-*"))
    return kept, kept if request is None else request.trials, resting


def read_status(folder: Path) -> dict[str, Any]:
    """The content of a run folder's ``status.json``.

    Raises:
        DataError: it cannot be read, or nasrun did not write it.
    """
    path, cure = folder / STATUS, f"delete {folder} to play that run again"
    try:
        status: Any = read_json(path)
    except DataError as error:
        raise DataError(f"{error}: {cure}") from None
    if not isinstance(status, dict) or "state" not in status:
        raise DataError(f"{path}: expected the state of a run, found something else: {cure}")
    return {**status}
