"""Playing a run or a sweep again, into a folder of its own, and comparing the figures."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nasrun.errors import ConfigError, NasrunError
from nasrun.files import read_csv
from nasrun.keys import SILENT, key_of
from nasrun.measurements import PACKED, PLAIN, SPENT
from nasrun.names import as_value, command_for
from nasrun.record.status import STATUS, is_whole, read_status, without_config
from nasrun.resume import (
    SWEEP,
    Saved,
    folder_of,
    refuse_study,
    require_same_files,
    saved_command,
    shown,
)
from nasrun.spec import Clock

COMPARED = ("trials.csv", PLAIN, PACKED, "pareto.csv", "policy.csv", "tuning.csv")
DURATIONS = ("wall_s",)  # of this machine; they never repeat
MEASURED = ("simulated_s", "cost_s", "clock_s", *DURATIONS)  # where the clock is this machine's
WHERE = {False: "hydra.run.dir", True: "hydra.sweep.dir"}  # of a run, of a sweep

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Difference:
    """A column in which two files differ: in how many rows, and in the first of them."""

    column: str
    rows: int
    line: int  # of the file, whose header is line 1
    seed: str
    first: str
    again: str

    def __str__(self) -> str:
        seed = f" (seed {self.seed})" if self.seed else ""
        return (
            f"{self.column} differs in {self.rows} rows, first in line {self.line}{seed}: "
            f"{self.first or 'empty'} and {self.again or 'empty'}"
        )


def rerun(folder: Path, arguments: Sequence[str]) -> int:
    """Play what ``folder`` holds again and compare; prints what is the same and what differs.

    Args:
        folder: of a finished run or sweep; it is read, and nothing in it is changed.
        arguments: overrides of how to play, such as ``hydra.run.dir=...``, ``cohort=...`` or
            ``hydra/launcher=...``; without a folder, the new one stands beside the old one, or
            beside its sweep.

    Returns:
        0: all figures are the same; 1: some differ, or the run failed; otherwise its exit code.

    Raises:
        ConfigError: no finished run or sweep, or an argument that would change figures.
        DataError: a path in its command is one from another folder.
    """
    refuse_study(folder)
    saved = _finished(folder)
    require_same_files(saved)
    new = _new_folder(saved, arguments)
    overrides = [*arguments, f"{WHERE[saved.sweep]}={as_value(new)}"]
    command = [sys.executable, "-m", "nasrun", *saved.arguments, *overrides]
    if (code := subprocess.run(command, check=False).returncode) != 0:
        return code
    same = [_is_same(shown(folder), shown(new), name) for name in COMPARED]
    return 0 if all(same) else NasrunError.exit_code


def _finished(folder: Path) -> Saved:
    saved = saved_command(folder)
    if saved is None and (folder / STATUS).exists():
        raise ConfigError(without_config(folder))
    if saved is None:
        raise ConfigError(f"{folder} holds neither a run nor a sweep of nasrun")
    whole = saved.sweep or ((folder / STATUS).exists() and is_whole(folder, read_status(folder)))
    if not whole or not (folder / COMPARED[0]).exists():
        raise ConfigError(f"{folder} is not finished: go on with {command_for(folder)} first")
    return saved


def _new_folder(saved: Saved, arguments: Sequence[str]) -> Path:
    """Where the new figures go: named by an argument, or a free name beside the old folder."""
    for text in arguments:
        if not key_of(text).startswith(("hydra.", "hydra/")) and key_of(text) not in SILENT:
            raise ConfigError(f"rerun plays the same again, so {text} cannot be: leave it out")
    given = folder_of(WHERE[saved.sweep], arguments)
    old = saved.folder.absolute()
    # A job's sweep would take a folder inside it for one more of its jobs.
    whole = next((place for place in old.parents if (place / SWEEP).is_file()), old)
    names = (whole.with_name(f"{whole.name}-rerun{number}") for number in count(1))
    free = next(name for name in names if not name.exists())
    new = given or free / old.relative_to(whole)
    if new.exists() and any(new.iterdir()):
        raise ConfigError(f"{new} is not empty: choose another folder for the new figures")
    return new


def _is_same(folder: Path, new: Path, name: str) -> bool:
    """Compare a file of both folders, and say what came of it."""
    paths = [path for path in (folder / name, new / name) if path.exists()]
    if not paths:
        return True
    if len(paths) == 1:
        print(f"{paths[0]} has no counterpart in {new if paths[0].parent == folder else folder}")
        return False
    first, again = map(read_csv, paths)
    found = list(differences(first, again))
    if len(first) != len(again):
        print(f"{name}: {len(first)} rows in {folder} and {len(again)} in {new}")
    for difference in found:
        print(f"{name}: {difference}")
    if found or len(first) != len(again):
        return False
    print(f"{name}: the same figures in all {len(first)} rows of {folder} and {new}")
    return True


def differences(first: Rows, again: Rows) -> Iterator[Difference]:
    """The columns in which rows differ that stand in the same line; durations may differ.

    A column that measurements of an earlier version lack is no difference.
    """
    columns = dict.fromkeys([*(first[0] if first else ()), *(again[0] if again else ())])
    if first and SPENT not in first[0]:
        columns.pop(SPENT, None)
    for column in columns:
        lines = [
            (line, old, new)
            for line, (old, new) in enumerate(zip(first, again, strict=False), start=2)
            if column not in _may_differ(old) and old.get(column) != new.get(column)
        ]
        if lines:
            line, old, new = lines[0]
            cells = old.get(column, ""), new.get(column, "")
            yield Difference(column, len(lines), line, old.get("seed", ""), *cells)


def _may_differ(row: Mapping[str, str]) -> Sequence[str]:
    return MEASURED if row.get("clock", "").startswith(Clock.MEASURED.value) else DURATIONS
