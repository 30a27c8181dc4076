"""Several sweeps as one: their trials in one table, checked against each other."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.report.trials import PROBLEM, TRIALS, Joined, Problem

TRIAL = (*PROBLEM, "algorithm", "seed")


def require_sweeps(folders: Iterable[Path]) -> None:
    """Check that folders can be reported on.

    Raises:
        DataError: one is not there, or holds no finished trial.
    """
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder: expected that of a sweep, with its {TRIALS}")
        if not (folder / TRIALS).exists():
            raise DataError(
                f"{folder} holds no {TRIALS}, which a sweep's folder has as soon as one of its "
                "runs is finished: name that folder, or finish the sweep first"
            )


def join_sweeps(sources: Sequence[Path], folder: Path) -> Joined:
    """The rows of all ``sources``, in the order given, for a report in ``folder``.

    Raises:
        DataError: a file is missing or ragged, headers differ, a trial stands in two of them, or
            ``folder`` is one of the sources, whose own trials it would overwrite.
    """
    if folder.resolve() in {source.resolve() for source in sources}:
        raise DataError(
            f"{folder} is one of the sweeps to join: choose another folder for the join"
        )
    tables = {source / TRIALS: read_csv(source / TRIALS) for source in sources}
    headers = {path: tuple(rows[0]) for path, rows in tables.items() if rows}
    if not headers:
        raise DataError(f"{', '.join(map(str, tables))}: no trials in them; run the sweeps first")
    first, columns = next(iter(headers.items()))
    for path, other in headers.items():
        if other != columns:
            differing = ", ".join(sorted(set(columns) ^ set(other))) or "the order of its columns"
            raise DataError(
                f"{path} does not go with {first}: they differ in {differing}; were they written "
                "by different versions of nasrun?"
            )
    if missing := [column for column in TRIAL if column not in columns]:
        raise DataError(f"{first}: no column {', '.join(missing)}; nasrun's trials.csv has them")
    _refuse_shared(tables)
    rows = [[row[column] for column in columns] for table in tables.values() for row in table]
    return Joined(_text([columns, *rows]), {path: len(table) for path, table in tables.items()})


def _text(rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _refuse_shared(tables: dict[Path, list[dict[str, str]]]) -> None:
    origin: dict[tuple[str, ...], str] = {}
    for path, rows in tables.items():
        for line, row in enumerate(rows, start=2):
            trial = tuple(row[column] for column in TRIAL)
            where = f"{path}, line {line}"
            if trial in origin:
                raise DataError(
                    f"{origin[trial]} and {where} both hold {row['algorithm']} on "
                    f"{Problem.of(row)} with seed {row['seed']}: join sweeps that share no trials"
                )
            origin[trial] = where
