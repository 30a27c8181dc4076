"""One run's folder: finished trials are kept as they come, the final files are written at the end.

While a run is going, each finished part of its cohort stands as a folder of ``unfinished/``, moved
there in one rename. A run that is killed and started again finds those parts, plays only the seeds
that are missing, and ends with the same bytes as an unbroken one.
"""

import logging
import os
import shutil
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from nasrun.errors import DataError, NasrunError
from nasrun.files import join_csv, read_csv, read_json, unwritable, write_csv, write_json
from nasrun.record.request import Request, request_of
from nasrun.record.rows import (
    EVALUATION_COLUMNS,
    PARETO_COLUMNS,
    TRIAL_COLUMNS,
    Columns,
    ParetoRow,
    TrialRow,
    by_column,
    values,
)
from nasrun.record.summary import write_best, write_summary

log = logging.getLogger(__name__)
STATUS = "status.json"
LOCK = ".lock"
PARTS = "unfinished"


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


@dataclass(frozen=True)
class Part:
    """The rows of some finished trials; ``measured`` by column, see ``History.columns``."""

    first_seed: int
    trials: Sequence[TrialRow]
    measured: Columns
    front: Sequence[ParetoRow]


class Recorder:
    """Writes a run folder; a context manager that holds its lock and notes how the run ended.

    Args:
        folder: the run folder; made if it is missing.
        config_hash: identity of the run; a folder that holds another run is refused.
        request: what the run was asked for, kept in ``status.json``.
        wait: whether to wait for another process that writes the folder, as the jobs of a sweep do,
            or to refuse it.
    """

    def __init__(
        self,
        folder: Path,
        config_hash: str,
        request: Request | None = None,
        wait: bool = False,
    ) -> None:
        self.folder = folder
        self._hash = config_hash
        self._request = request
        self._wait = wait
        self._lock = filelock.FileLock(folder / LOCK)

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            DataError: it cannot be written, another process writes it, or it holds another run.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
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
                f"{self._hash}): choose another folder with hydra.run.dir=..., or delete this one"
            )
        if not self.complete:
            self._status("running")
        elif self._request not in (None, request_of(found)):
            # The same run asked for in other words, or by YAML files that changed without effect.
            write_json(self.folder / STATUS, {**found, **self._asked()})

    def _worth_keeping(self, status: Mapping[str, Any]) -> bool:
        """Whether there is more to the folder than a run that failed before its first result."""
        return status["state"] != "failed" or bool(self._parts())

    def _status(self, state: str, **more: Any) -> None:
        head = {"state": state, "config_hash": self._hash, "pid": os.getpid()}
        write_json(self.folder / STATUS, {**head, **self._asked(), **more})

    def _asked(self) -> dict[str, Any]:
        return {} if self._request is None else {"request": self._request.as_status()}

    @property
    def complete(self) -> bool:
        """Whether the folder holds the finished run."""
        return (self.folder / STATUS).exists() and read_status(self.folder)["state"] == "complete"

    def finished(self) -> set[int]:
        """Seeds whose rows are already on disk."""
        return {int(row["seed"]) for part in self._parts() for row in read_csv(part / "trials.csv")}

    def _parts(self) -> list[Path]:
        """Finished parts by first seed."""
        return sorted((self.folder / PARTS).glob("[0-9]*"), key=lambda part: int(part.name))

    def work_folder(self, first_seed: int) -> Path:
        """Where the trials from this seed on may keep checkpoints; goes once they are on record."""
        return self.folder / PARTS / f"work-{first_seed}"

    def keep(self, part: "Part") -> None:
        """Put the rows of finished trials on disk, in one rename."""
        parts = self.folder / PARTS
        try:
            parts.mkdir(exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parts))
        except OSError as error:
            raise unwritable(parts, error) from error
        try:
            write_csv(draft / "trials.csv", TRIAL_COLUMNS, map(values, part.trials))
            measured = by_column(part.measured, EVALUATION_COLUMNS)
            write_csv(draft / "evaluations.csv", EVALUATION_COLUMNS, measured)
            if part.front:
                write_csv(draft / "pareto.csv", PARETO_COLUMNS, map(values, part.front))
            os.replace(draft, parts / str(part.first_seed))
            shutil.rmtree(self.work_folder(part.first_seed), ignore_errors=True)
        except OSError as error:
            raise unwritable(parts, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def finish(self, provenance: Mapping[str, Any], wall_s: float) -> None:
        """Join the parts into the final files and mark the run complete."""
        parts = self._parts()
        for name in ("trials.csv", "evaluations.csv", "pareto.csv"):
            pieces = [part / name for part in parts if (part / name).exists()]
            if pieces:
                join_csv(pieces, self.folder / name)
        trials = read_csv(self.folder / "trials.csv", TRIAL_COLUMNS)
        fronts = self.folder / "pareto.csv"
        pareto = read_csv(fronts, PARETO_COLUMNS) if fronts.exists() else []
        write_summary(self.folder / "summary.csv", trials, pareto)
        write_best(self.folder / "best.json", trials)
        write_json(self.folder / "provenance.json", provenance)
        self._status("complete", wall_s=round(wall_s, 3))
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
