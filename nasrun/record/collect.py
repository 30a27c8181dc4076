"""Join the jobs of a sweep. Can be called at any time, any number of times, by any process."""

import logging
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import filelock

from nasrun.errors import ConfigError, DataError
from nasrun.files import (
    TUNING,
    csv_cells,
    csv_rows,
    folders_with,
    read_csv,
    read_json,
    unwritable,
    write_csv,
)
from nasrun.locks import file_lock
from nasrun.names import command_for
from nasrun.record.request import Request, asked_for, request_of
from nasrun.record.rows import PARETO_COLUMNS, TRIAL_COLUMNS
from nasrun.record.status import (
    PARTS,
    STATUS,
    TRIALS,
    is_whole,
    read_status,
    require_whole,
    rows_of,
)
from nasrun.record.summary import PROTOCOL, Row, search_of, write_summary
from nasrun.report.jobs import find_jobs, meta_agents, named
from nasrun.report.labels import JobRows, told_apart

SEARCH = ("space", "search_task", "algorithm")
GROUP = (*SEARCH, *PROTOCOL)
SWEEP = "multirun.yaml"  # which Hydra writes into a sweep's folder
LOCK_TIMEOUT_S = 600.0
MISTAKE = ConfigError.exit_code

log = logging.getLogger("nasrun")


@dataclass(frozen=True)
class Collected:
    """What a sweep folder holds: joined rows, and the jobs that have none to give."""

    rows: int
    complete: int
    failed: dict[str, str]  # job folder -> what went wrong
    unfinished: list[str]  # job folders that were cut off or are still running
    mistakes: frozenset[str]  # failed jobs whose config was at fault
    asked: dict[str, tuple[str, ...]]  # failed job -> its overrides, where it says
    requests: frozenset[Request]  # what the finished jobs were asked for, where they say


def collect(folder: Path) -> Collected:
    """Write ``trials.csv``, ``summary.csv``, ``pareto.csv`` and ``failed.csv`` of a sweep folder.

    Rows stand in the order of their group and seed, so they do not depend on how the trials were
    split over jobs.

    Raises:
        DataError: two jobs hold the same trial, parts of a search read different data, or a file
            cannot be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / ".collect.lock", timeout=LOCK_TIMEOUT_S):
            return _collect(folder)
    except filelock.Timeout:
        raise DataError(f"another process has been collecting {folder} for too long") from None
    except OSError as error:
        raise unwritable(folder, error) from error


def _collect(folder: Path) -> Collected:
    jobs = {job: read_status(job) for job in sorted(job_folders(folder))}
    complete = [job for job, status in jobs.items() if is_whole(job, status)]
    failures = {
        str(job.relative_to(folder)): status
        for job, status in jobs.items()
        if status["state"] == "failed"
    }
    failed = {job: status.get("reason", "unknown") for job, status in failures.items()}
    unfinished = [
        str(job.relative_to(folder))
        for job, status in jobs.items()
        if job not in complete and status["state"] != "failed"
    ]
    for job in complete:  # one that was killed at its very end could not tidy up
        if (job / PARTS).exists():
            shutil.rmtree(job / PARTS, ignore_errors=True)
    requests = _requests({job: jobs[job] for job in complete})
    _refuse_mixed_data(requests)
    studies = {job: rows_of(jobs[job]) for job in complete}
    searches = [job for job, name in studies.items() if name == TRIALS]
    rows, fronts, agents = _joined(searches, requests)
    studied = _join_studies(folder, studies)
    if rows:
        _write_rows(folder / "trials.csv", TRIAL_COLUMNS, rows)
        write_summary(folder / "summary.csv", rows, fronts, agents)
    if fronts:
        _write_rows(folder / "pareto.csv", PARETO_COLUMNS, fronts)
    else:
        (folder / "pareto.csv").unlink(missing_ok=True)
    _write_failed(folder, failed)
    return Collected(
        rows=len(rows) + studied,
        complete=len(complete),
        failed=failed,
        unfinished=unfinished,
        mistakes=frozenset(
            j for j, status in failures.items() if status.get("exit_code") == MISTAKE
        ),
        asked={job: asked for job, status in failures.items() if (asked := asked_for(status))},
        requests=frozenset(requests.values()),
    )


def _join_studies(folder: Path, files: Mapping[Path, str]) -> int:
    """Write the rows of all jobs of each study into one file; returns how many there are.

    They stand in the order of the cells in front of their seed, and of the seed.

    Raises:
        DataError: two jobs hold the same trial; files of different versions.
    """
    total = 0
    for name in sorted(set(files.values()) - {TRIALS}):
        places = [job / name for job, own in files.items() if own == name]
        rows = [row for place in places for row in read_csv(place)]
        if not rows:
            continue
        columns = list(rows[0])
        if any(list(row) != columns for row in rows):
            raise DataError(f"{folder}: {name} of its jobs have different columns: play them anew")
        told = columns[: columns.index("seed") + 1]
        rows.sort(key=lambda row: [_sorting(row[key]) for key in told])
        for one, other in pairwise(rows):
            if all(one[key] == other[key] for key in told):
                trial = ", ".join(f"{key} {one[key]}" for key in told)
                raise DataError(f"{folder}: two jobs hold {trial} in {name}: delete one of them")
        _write_rows(folder / name, columns, rows)
        total += len(rows)
    return total


def _sorting(cell: str) -> tuple[int, str]:
    """Numbers by their value, in front of texts."""
    return (int(cell), "") if cell.isdecimal() else (-1, cell)


def job_folders(folder: Path) -> Iterator[Path]:
    """Folders at or below ``folder`` that hold a run.

    A job that ends while this looks around removes its unfinished parts, so these are passed over.
    """
    return folders_with(folder, STATUS, (PARTS, TUNING))


def require_whole_below(folder: Path) -> None:
    """Refuse a folder with a finished run that has lost trials since, or that is not joined yet.

    Raises:
        DataError: there is one.
    """
    finished: list[Path] = []
    for job in job_folders(folder):
        status = read_status(job)
        if status["state"] == "complete":
            require_whole(job, status)
            finished += [job] if rows_of(status) == TRIALS else []
    if (folder / SWEEP).is_file() and (folder / TRIALS).is_file():
        _require_joined(folder, finished)


def _require_joined(folder: Path, finished: Sequence[Path]) -> None:
    """Refuse joined trials that lack those of jobs which finished later.

    As a sweep leaves them that has gone on with more jobs and was cut off, or is being played; or
    a run or another sweep in a folder of its own below; or a job that was played again since. What
    the joined trials have besides is of jobs that were deleted.

    Raises:
        DataError: they do, or they cannot be joined, as where a job was copied or played again
            inside the sweep.
    """
    there, lacking = _lacking(_lines, folder, finished)
    if lacking:  # or they bear names with their settings
        there, lacking = _lacking(_told, folder, finished)
    if lacking:
        statuses = {job: read_status(job) for job in finished}
        _joined(finished, _requests(statuses))
        raise DataError(
            f"{folder}: {TRIALS} has {there - lacking:,} of the {there:,} rows that finished jobs "
            "in it have: the sweep was cut off before it joined them, is being played, or other "
            f"commands have played in its folder: {command_for(folder)} goes on, and joins them"
        )


def _lacking(
    told: Callable[[Path], Iterator[int]], folder: Path, finished: Sequence[Path]
) -> tuple[int, int]:
    """How many rows the jobs have, and how many of them the joined trials have not."""
    joined = Counter(told(folder / TRIALS))
    there = lacking = 0
    for row in (row for job in finished for row in told(job / TRIALS)):
        there += 1
        joined[row] -= 1
        lacking += joined[row] < 0
    return there, lacking


def _lines(path: Path) -> Iterator[int]:
    """The lines below the header, as ``_told``, in a sixth of the time."""
    with path.open("rb") as stream:
        next(stream, None)
        yield from map(hash, stream)


def _told(path: Path) -> Iterator[int]:
    """What tells a trial's row from others, in few bytes: there may be a million.

    All its cells, less the settings that joining adds to a name, as in ``rea[population=5]``.
    """
    rows = csv_cells(path)
    header = next(rows)
    named = header.index("algorithm") if "algorithm" in header else None
    for row in rows:
        if named is not None:
            row[named] = row[named].partition("[")[0]
        yield hash(tuple(row))


def _requests(statuses: Mapping[Path, Mapping[str, Any]]) -> dict[Path, Request]:
    """What the jobs were asked for, where they say."""
    found = {job: request_of(status) for job, status in statuses.items()}
    return {job: request for job, request in found.items() if request is not None}


def _refuse_mixed_data(requests: Mapping[Path, Request]) -> None:
    """Refuse jobs that are parts of one search, but looked their figures up in different files."""
    first: dict[str, Path] = {}
    for job, request in requests.items():
        other = first.setdefault(request.search, job)
        if requests[other].data != request.data:
            raise DataError(
                f"{other} and {job} are parts of one search, but read different data files (see "
                "provenance.json): delete those of the old data, and go on with: nasrun resume=..."
            )


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    write_csv(path, columns, [[row[name] for name in columns] for row in rows])


def _joined(
    jobs: Sequence[Path], requests: Mapping[Path, Request]
) -> tuple[list[Row], list[Row], Callable[[Row], int]]:
    """Rows of all jobs' trials and fronts in order; within a trial, as the job wrote them.

    And how many agents were meta-trained for the search of a row, 0 where none were.
    """
    by_job = {job: read_csv(job / "trials.csv", TRIAL_COLUMNS) for job in jobs}
    fronts = {job: _fronts(job) for job in jobs}
    # Also of two protocols, such as val@12 and val@200: a report lists either under its own name.
    if _clash(by_job, SEARCH) is not None or _mixed(by_job, requests, SEARCH) is not None:
        names = told_apart(by_job)
        by_job = names.applied(by_job)
        fronts = names.applied(fronts)
    if (clash := _clash(by_job, GROUP)) is not None:
        first, second, row = clash
        raise DataError(
            f"{first} and {second} both hold {row['algorithm']} on {row['task']} with seed "
            f"{row['seed']}: give them names of their own, such as "
            f"algorithm.name='{row['algorithm']}-${{KEY}}' with the key in which they differ, or "
            "delete one"
        )
    if (mixed := _mixed(by_job, requests, GROUP)) is not None:
        first, second, row = mixed
        raise DataError(
            f"{first} and {second} both hold {row['algorithm']} on {row['task']}, by different "
            "settings: give them names of their own with algorithm.name=..., or delete one"
        )
    if (edited := _apart(by_job, requests, GROUP, Request.is_of_same_files_as)) is not None:
        first, second, row = edited
        log.warning(
            "%s and %s both hold %s on %s, from before and after config files were changed, and it "
            "counts as one search: compare their .hydra/config.yaml", first, second,
            row["algorithm"], row["task"],
        )  # fmt: skip
    return _sorted(by_job), _sorted(fronts), _agents(by_job)


def _agents(by_job: JobRows) -> Callable[[Row], int]:
    """Of each search: into how many blocks its seeds fall, modulo it, that share no agent."""
    found: dict[tuple[str, ...], int] = {}
    for job, rows in by_job.items():
        own = meta_agents(read_json(job / "provenance.json"))
        for search in {search_of(row) for row in rows}:
            found[search] = math.gcd(found.get(search, own), own)
    return lambda row: found[search_of(row)]


def _fronts(job: Path) -> list[dict[str, str]]:
    path = job / "pareto.csv"
    return read_csv(path, PARETO_COLUMNS) if path.exists() else []


def _sorted(by_job: JobRows) -> list[Row]:
    rows = [row for found in by_job.values() for row in found]
    return sorted(rows, key=lambda row: (*(row[key] for key in GROUP), int(row["seed"])))


def _clash(by_job: JobRows, group: Sequence[str]) -> tuple[Path, Path, Row] | None:
    """Two jobs that hold the same trial of a ``group``, and its row in the second."""
    origin: dict[tuple[str, ...], Path] = {}
    for job, rows in by_job.items():
        for row in rows:
            trial = tuple(row[key] for key in (*group, "seed", "task"))
            if trial in origin:
                return origin[trial], job, row
            origin[trial] = job
    return None


def _mixed(
    by_job: JobRows, requests: Mapping[Path, Request], group: Sequence[str]
) -> tuple[Path, Path, Row] | None:
    """Two jobs of one ``group`` by different settings, and a row of the second."""
    return _apart(by_job, requests, group, Request.is_one_search_with)


def _apart(
    by_job: JobRows,
    requests: Mapping[Path, Request],
    group: Sequence[str],
    alike: Callable[[Request, Request], bool],
) -> tuple[Path, Path, Row] | None:
    """Two jobs of one ``group`` whose requests are not ``alike``, and a row of the second."""
    first: dict[tuple[str, ...], Path] = {}
    for job, rows in by_job.items():
        for row in rows[:1] if job in requests else ():
            other = first.setdefault(tuple(row[key] for key in group), job)
            if not alike(requests[other], requests[job]):
                return other, job, row
    return None


def pooled(folders: Sequence[Path]) -> str:
    """A sentence where runs or sweeps to be joined have one search by different settings; or none.

    Their rows have one name then, unless a seed stands twice. Whoever joins folders may know better
    than to call that a mistake: versions of nasrun may name a setting differently.

    Raises:
        DataError: trials that cannot be read.
    """
    searches: dict[Path, list[dict[str, str]]] = {}
    requests: dict[Path, Request] = {}
    for folder in folders:
        joined = csv_rows(folder / TRIALS) if (folder / TRIALS).is_file() else iter(())
        names = {row.get("algorithm", "") for row in joined}
        for job in named(find_jobs(folder), names):
            if (request := request_of(read_status(job.folder))) is not None:
                searches[job.folder], requests[job.folder] = [job.search._asdict()], request
    if (found := _mixed(searches, requests, SEARCH)) is None:
        return ""
    first, second, row = found
    return (
        f"{first} and {second} have {row['algorithm']} on {row['search_task']} by different "
        "settings, and it counts as one search: give one a name of its own (algorithm.name=...)"
    )


def _write_failed(folder: Path, failed: dict[str, str]) -> None:
    path = folder / "failed.csv"
    if failed:
        write_csv(path, ("job", "reason"), sorted(failed.items()))
    else:
        path.unlink(missing_ok=True)
