"""One run's folder: finished trials are kept as they come, the final files are written at the end.

While a run is going, each finished part of its cohort stands as a folder of ``unfinished/``, moved
there in one rename. A run that is killed and started again finds those parts, plays only the seeds
that are missing, and ends with the same bytes as an unbroken one.

What an interruption costs, a kill included, is the cohort at work (``cohort``, 500 trials), since
trials advance in lock step and none has finished before all are nearly there:

- looked up in a table: the seconds that it has taken so far (half a minute for CATCH's 500 x 50);
- ``evaluator=training``: at most the epoch at work, of each network that is being trained. Every
  finished training, searched or final, is in ``trainings.csv`` and looked up when the cohort begins
  anew, and a training that was cut off goes on from its last epoch;
- ``evaluator=zero_cost``: the scores of the cohort at work, which therefore has 20 trials at most
  (``Evaluator.at_once``);
- one-shot methods, which play a trial at a time: at most an epoch, by their checkpoints;
- meta-training: all of it that is under way, where nothing above keeps what it measures;
- of a sweep, also a tuning: what its jobs that are at work lose, and nothing else.
"""

import logging
import math
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from nasrun.drafts import draft_of
from nasrun.errors import DataError, NasrunError
from nasrun.files import (
    csv_rows,
    join_csv,
    read_csv,
    read_json,
    unwritable,
    write_csv,
    write_json,
)
from nasrun.locks import file_lock
from nasrun.measurements import PACKED, PLAIN
from nasrun.names import command_for
from nasrun.record.evaluations import Kept, foreign, join_evaluations, write_evaluations
from nasrun.record.request import Request, request_of
from nasrun.record.rows import (
    PARETO_COLUMNS,
    TRIAL_COLUMNS,
    Columns,
    ParetoRow,
    PolicyTable,
    by_column,
    values,
)
from nasrun.record.status import (
    LOCK,
    PARETO,
    PARTS,
    POLICY,
    PROVENANCE,
    STATUS,
    TRIALS,
    cut_off,
    is_whole,
    read_status,
    seeds_on_record,
    shortened,
    sizes,
)
from nasrun.record.summary import write_best, write_summary
from nasrun.report.jobs import meta_agents

log = logging.getLogger(__name__)
SIZES = "bytes.json"  # of a part: how large its files are


@dataclass(frozen=True)
class Part:
    """The rows of some finished trials; ``trials`` and ``measured`` by column."""

    first_seed: int
    trials: Columns
    measured: Columns
    front: Sequence[ParetoRow]
    policy: PolicyTable | None = None
    kept: Kept = Kept.csv


class Recorder:
    """Writes a run folder; a context manager that holds its lock and notes how the run ended.

    Args:
        folder: the run folder; made if it is missing.
        config_hash: identity of the run; a folder that holds another run is refused.
        request: what the run was asked for, kept in ``status.json``.
        wait: whether to wait for another process that writes the folder, as the jobs of a sweep do,
            or to refuse it.
        prepare: called once the folder is known to be free for this run, before anything says that
            the run has begun.
        rows: the file with the trials, where a study has another.
    """

    def __init__(
        self,
        folder: Path,
        config_hash: str,
        request: Request | None = None,
        wait: bool = False,
        prepare: Callable[[], None] = lambda: None,
        rows: str = TRIALS,
    ) -> None:
        self.folder = folder
        self._rows = rows
        self._hash = config_hash
        self._request = request
        self._wait = wait
        self._prepare = prepare
        self.complete = False  # whether the folder holds the finished run

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            DataError: it cannot be written, another process writes it, or it holds another run.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = file_lock(self.folder / LOCK)
            self._acquire()
        except filelock.Timeout:
            raise DataError(
                f"another nasrun is writing {self.folder}: wait for it, or choose another folder "
                "with hydra.run.dir=..."
            ) from None
        except OSError as error:
            raise unwritable(self.folder, error) from error
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            if not self._wait:
                raise
            log.info("waiting for another nasrun that is writing %s", self.folder)
            self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Note a failure with its traceback, and let go of the folder."""
        try:
            if error is not None and isinstance(error, Exception):
                text = "".join(traceback.format_exception(error))
                code = error.exit_code if isinstance(error, NasrunError) else NasrunError.exit_code
                self._status("failed", reason=str(error), exit_code=code, error=text)
        except DataError:
            pass  # the folder cannot be written, which is most likely what the error says
        finally:
            self._lock.release()

    def _claim(self) -> None:
        found = read_status(self.folder) if (self.folder / STATUS).exists() else {}
        other = found.get("config_hash", self._hash)
        if other != self._hash and self._worth_keeping(found):
            raise DataError(
                f"{self.folder} holds another run (config {other}, this one is "
                f"{self._hash}): {self._another_place()}, or delete this one"
            )
        self.complete = bool(found) and is_whole(self.folder, found)
        if not self.complete and found.get("state") == "complete":
            log.warning(
                "%s says complete, but trials are missing or cut off: playing anew", self.folder
            )
        self._prepare()
        if not self.complete:
            self._drop_damaged()
            self._status("running")
            return
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)  # was killed before it could
        if self._request not in (None, request_of(found)):
            # The same run asked for in other words, or by YAML files that changed without effect.
            write_json(self.folder / STATUS, {**found, **self._asked()})

    def _another_place(self) -> str:
        if self._wait:  # a job of a sweep
            return (
                "choose another folder with hydra.sweep.dir=..., or a hydra.sweep.subdir=... that "
                "tells jobs apart"
            )
        return "choose another folder with hydra.run.dir=..."

    def _worth_keeping(self, status: Mapping[str, Any]) -> bool:
        """Whether there is more to the folder than a run that failed before its first result."""
        return status["state"] != "failed" or bool(self._parts())

    def _status(self, state: str, **more: Any) -> None:
        head = {"state": state, "config_hash": self._hash, "pid": os.getpid()}
        write_json(self.folder / STATUS, {**head, **self._asked(), **more})

    def _asked(self) -> dict[str, Any]:
        rows = {} if self._rows == TRIALS else {"rows": self._rows}
        return rows if self._request is None else {"request": self._request.as_status(), **rows}

    def finished(self) -> set[int]:
        """Seeds whose rows are already on disk."""
        return {seed for part in self._parts() for seed in seeds_on_record(part / self._rows)}

    def trials_on_record(self) -> Iterator[dict[str, str]]:
        """Their rows.

        Raises:
            DataError: they cannot be read.
        """
        for part in self._parts():
            yield from csv_rows(part / TRIALS, TRIAL_COLUMNS)

    def _parts(self) -> list[Path]:
        """Finished parts by first seed."""
        return sorted((self.folder / PARTS).glob("[0-9]*"), key=lambda part: int(part.name))

    def _drop_damaged(self) -> None:
        """Remove parts that lack some of what was written, so that their trials are played again.

        As a machine that loses its power may leave them, or a version with other columns, which
        cannot be joined with ours.
        """
        for part in self._parts():
            why, lost = "missing or cut off", _lost(part, self._rows)
            if lost is None:
                why, lost = "of another version", foreign(part)
            if lost is not None:
                log.warning("%s is %s: its trials are played anew", lost, why)
                shutil.rmtree(part, ignore_errors=True)

    def work_folder(self, first_seed: int) -> Path:
        """Where the trials from this seed on may keep checkpoints; goes once they are on record."""
        return self.folder / PARTS / f"work-{first_seed}"

    def keep(self, part: "Part") -> None:
        """Put the rows of finished trials on disk, in one rename."""

        def write(draft: Path) -> None:
            write_csv(draft / TRIALS, TRIAL_COLUMNS, by_column(part.trials, TRIAL_COLUMNS))
            write_evaluations(draft, part.measured, part.kept)
            if part.front:
                write_csv(draft / PARETO, PARETO_COLUMNS, map(values, part.front))
            if part.policy is not None:
                write_csv(draft / POLICY, part.policy.columns, part.policy.rows)

        self._keep(part.first_seed, write)

    def keep_rows(
        self, first_seed: int, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Put a study's rows of finished trials on disk, in one rename."""
        done = [["" if _is_nan(cell) else cell for cell in row] for row in rows]
        self._keep(first_seed, lambda draft: write_csv(draft / self._rows, columns, done))

    def kept_rows(self, first_seed: int, columns: Sequence[str]) -> list[dict[str, str]] | None:
        """Rows that ``keep_rows`` has put on disk; None if it has not.

        Raises:
            DataError: they cannot be read.
        """
        path = self.folder / PARTS / str(first_seed) / self._rows
        return read_csv(path, columns) if path.exists() else None

    def join_rows(self, seeds: Collection[int]) -> None:
        """Join the parts of a study's rows into one file.

        Raises:
            DataError: not all of ``seeds`` are on record; the file cannot be written.
        """
        self._require(seeds)
        join_csv([part / self._rows for part in self._parts()], self.folder / self._rows)

    def _keep(self, first_seed: int, write: Callable[[Path], None]) -> None:
        parts = self.folder / PARTS
        try:
            parts.mkdir(exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=parts, **draft_of("part")))
        except OSError as error:
            raise unwritable(parts, error) from error
        try:
            write(draft)
            write_json(draft / SIZES, sizes(draft))
            os.replace(draft, parts / str(first_seed))
            shutil.rmtree(self.work_folder(first_seed), ignore_errors=True)
        except OSError as error:
            raise unwritable(parts, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def finish(self, seeds: Collection[int], provenance: Mapping[str, Any], wall_s: float) -> None:
        """Join the parts into the final files and mark the run complete.

        Raises:
            DataError: not all of ``seeds`` are on record; a file cannot be written.
        """
        self._require(seeds)
        parts = self._parts()
        for name in (TRIALS, PARETO, POLICY):
            pieces = [part / name for part in parts if (part / name).exists()]
            if pieces:
                join_csv(pieces, self.folder / name)
        join_evaluations(parts, self.folder)
        trials = partial(csv_rows, self.folder / "trials.csv", TRIAL_COLUMNS)
        fronts = self.folder / PARETO
        pareto = read_csv(fronts, PARETO_COLUMNS) if fronts.exists() else []
        agents = meta_agents(provenance)
        write_summary(self.folder / "summary.csv", trials(), pareto, lambda _: agents)
        write_best(self.folder / "best.json", trials)
        self.conclude(provenance, wall_s)

    def conclude(self, provenance: Mapping[str, Any], wall_s: float) -> None:
        """Say where the files come from, and mark the run complete.

        Raises:
            DataError: a file cannot be written.
        """
        write_json(self.folder / PROVENANCE, provenance)
        kept = (self._rows, PLAIN, PACKED, PARETO, POLICY, PROVENANCE)
        known = {name: size for name, size in sizes(self.folder).items() if name in kept}
        self._status("complete", wall_s=round(wall_s, 3), bytes=known)
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        self.complete = True

    def _require(self, seeds: Collection[int]) -> None:
        found = self.finished()
        if missing := [seed for seed in seeds if seed not in found]:
            raise DataError(
                f"{self.folder / PARTS}: expected {len(seeds)} finished trials, found "
                f"{len(seeds) - len(missing)} (seed {missing[0]} is missing), so something has "
                f"removed them meanwhile: start {command_for(self.folder)} to play them again"
            )


def _lost(part: Path, rows: str) -> Path | None:
    """A file of a part that is not as it was written; None if all are."""
    if not (part / SIZES).exists():
        return next(iter(cut_off(part, rows)), None)
    try:
        known: Any = read_json(part / SIZES)
    except DataError:
        return part / SIZES
    return next(iter(shortened(part, known)), None)


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)
