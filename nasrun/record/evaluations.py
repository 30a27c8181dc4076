"""The file of a run's measurements: a row each, plain, compressed, or left out."""

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from io import TextIOWrapper
from pathlib import Path

from nasrun.files import atomic, csv_cells, csv_columns, csv_lines, join_csv
from nasrun.measurements import PACKED, PLAIN
from nasrun.record.rows import EVALUATION_COLUMNS, Columns

LEVEL = 1  # of compression: six times smaller already


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
    if kept is Kept.none:
        return
    rows = [columns[name] for name in EVALUATION_COLUMNS]
    if kept is Kept.csv:
        with atomic(folder / PLAIN) as stream:
            csv_lines(stream, [EVALUATION_COLUMNS])
            csv_columns(stream, rows)
    else:
        # Without a header, so that parts only have to be put one behind the other.
        with atomic(folder / PACKED) as stream:
            _pack(stream, rows)


def _pack(stream: TextIOWrapper, columns: Sequence[Sequence[object]]) -> None:
    # No time and no name inside: equal measurements are equal bytes.
    with (
        gzip.GzipFile("", "wb", LEVEL, stream.buffer, mtime=0) as packed,
        TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        csv_columns(text, columns)


def foreign(folder: Path) -> Path | None:
    """The measurements of some trials, if they have not our columns; None if they have."""
    if (plain := folder / PLAIN).exists():
        return None if next(csv_cells(plain)) == list(EVALUATION_COLUMNS) else plain
    if (packed := folder / PACKED).exists():  # which has no header, and may have no row
        first = next(csv_cells(packed))
        return None if len(first) in (0, len(EVALUATION_COLUMNS)) else packed
    return None


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
                _pack(stream, [[name] for name in EVALUATION_COLUMNS])
                for piece in pieces:
                    with piece.open("rb") as packed:
                        shutil.copyfileobj(packed, stream.buffer)
