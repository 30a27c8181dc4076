"""The file of a run's measurements: a row each, plain, compressed, or left out."""

import gzip
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from io import TextIOWrapper
from pathlib import Path

from nasrun.errors import DataError
from nasrun.files import atomic, csv_lines, csv_rows, join_csv, write_csv
from nasrun.record.rows import EVALUATION_COLUMNS, Columns, by_column

PLAIN, PACKED = "evaluations.csv", "evaluations.csv.gz"
LEVEL = 1  # of compression: six times smaller already
PACKING = 6.0  # how many times larger the text of a compressed file is, about: as REA has it


class Kept(Enum):
    """What a run keeps of its measurements."""

    csv = "csv"  # evaluations.csv
    gz = "gz"  # evaluations.csv.gz
    none = "none"  # nothing: trials.csv and what is made of it stay the same


@dataclass
class Record:
    """What a run's folder holds besides the rows of its trials."""

    evaluations: Kept = Kept.csv


def write_evaluations(folder: Path, columns: Columns, kept: Kept) -> None:
    """Write the measurements of some trials, see ``History.columns``, into ``folder``."""
    if kept is Kept.csv:
        write_csv(folder / PLAIN, EVALUATION_COLUMNS, by_column(columns, EVALUATION_COLUMNS))
    elif kept is Kept.gz:
        rows = by_column(columns, EVALUATION_COLUMNS)
        # Without a header, so that parts only have to be put one behind the other.
        with atomic(folder / PACKED) as stream:
            _pack(stream, rows)


def _pack(stream: TextIOWrapper, rows: Iterable[Sequence[object]]) -> None:
    # No time and no name inside: equal measurements are equal bytes.
    with (
        gzip.GzipFile("", "wb", LEVEL, stream.buffer, mtime=0) as packed,
        TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        csv_lines(text, rows)


def join_evaluations(parts: Sequence[Path], folder: Path) -> None:
    """Put the measurements of the folders ``parts`` into one file in ``folder``, in this order."""
    for name in (PLAIN, PACKED):
        pieces = [part / name for part in parts if (part / name).exists()]
        if not pieces:
            (folder / name).unlink(missing_ok=True)
        elif name == PLAIN:
            join_csv(pieces, folder / name)
        else:
            with atomic(folder / name) as stream:
                _pack(stream, [EVALUATION_COLUMNS])
                for piece in pieces:
                    with piece.open("rb") as packed:
                        shutil.copyfileobj(packed, stream.buffer)


def evaluations_file(folder: Path) -> Path:
    """The file of a finished run's measurements; pandas reads it, compressed or not.

    Raises:
        DataError: the run has none.
    """
    for name in (PLAIN, PACKED):
        if (folder / name).exists():
            return folder / name
    raise DataError(
        f"{folder / PLAIN}: the run's measurements are not there: they were left out "
        "(record.evaluations=none) or removed; play it again with record.evaluations=csv or gz"
    )


def evaluation_rows(folder: Path) -> Iterator[dict[str, str]]:
    """The measurements of a finished run, as texts by column."""
    return csv_rows(evaluations_file(folder))


def size_mb(folder: Path) -> float:
    """Megabytes of the measurements' text; 0 where none were kept."""
    plain, packed = folder / PLAIN, folder / PACKED
    if plain.exists():
        return os.path.getsize(plain) / 1e6
    return PACKING * os.path.getsize(packed) / 1e6 if packed.exists() else 0.0
