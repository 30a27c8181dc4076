"""Where a finished run keeps its measurements, and how they are read again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nasrun.errors import DataError
from nasrun.files import csv_rows, read_csv

if TYPE_CHECKING:
    from pandas import DataFrame

SPENT = "evaluations"  # the column of those charged to a trial so far; earlier folders lack it
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


def with_spent(frame: "DataFrame", folder: Path) -> "DataFrame":
    """The measurements of a finished run with the evaluations that each trial had spent by then.

    A folder of an earlier version has the number of a whole trial alone, in ``trials.csv``. Where
    it is so many times the trial's rows, as of a method of generations, each row stands for as
    many; otherwise (repeats that were not charged) each row is counted as one.
    """
    if SPENT in frame:
        return frame
    rows = frame.groupby("seed").cumcount() + 1
    every = frame.groupby("seed")["seed"].transform("size")
    known = {row["seed"]: float(row.get(SPENT) or "nan") for row in read_csv(folder / "trials.csv")}
    total = frame["seed"].map(lambda seed: known.get(str(seed), float("nan")))
    whole = total.gt(0) & total.mod(every).eq(0)
    return frame.assign(**{SPENT: rows * (total // every).where(whole, 1).astype(int)})


def size_mb(folder: Path) -> float:
    """Megabytes of the measurements' text; 0 where none were kept."""
    plain, packed = folder / PLAIN, folder / PACKED
    if plain.exists():
        return os.path.getsize(plain) / 1e6
    return PACKING * os.path.getsize(packed) / 1e6 if packed.exists() else 0.0
