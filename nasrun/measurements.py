"""Where a finished run keeps its measurements, and how they are read again."""

import os
from collections.abc import Iterator
from pathlib import Path

from nasrun.errors import DataError
from nasrun.files import csv_rows

PLAIN, PACKED = "evaluations.csv", "evaluations.csv.gz"
PACKING = 6.0  # how many times larger the text of a compressed file is, about: as REA has it


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
