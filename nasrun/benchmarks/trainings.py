"""Our own trainings as a table that grows: one row an epoch, appended by any number of processes.

The file answers an evaluator that is about to train what was trained before, and it is a source of
figures like any published one: of many tasks, of which each row names the one it belongs to.
"""

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.merge import mean_over_runs
from nasrun.benchmarks.table import SCORES, Column, Frame
from nasrun.csv_input import read_csv_input
from nasrun.errors import DataError
from nasrun.files import unwritable
from nasrun.input_files import read_bytes, require_file
from nasrun.locks import file_lock
from nasrun.spec import ACCURACY, Floats

DECIMALS = 6  # of figures on disk


@dataclass(frozen=True)
class TrainedEpoch:
    """One epoch of one training; an accuracy that was not measured is NaN, an empty cell on disk.

    ``training`` is a hash of everything that decides the figures, ``images`` one of the pictures
    and their labels; ``part`` is ``search`` or ``final``, after the split that was trained on.
    """

    training: str
    task: str  # a subset's name lists its classes
    classes: int
    image_px: int
    train_images: int
    valid_images: int
    images: str
    part: str
    space: str
    arch: str
    channels: str  # empty: the space's own number
    cells: str
    recipe: str
    epochs: int
    seed: int
    device: str
    epoch: int
    loss: float
    metric: str  # of the scores
    train_score: float
    val_score: float
    test_score: float
    train_s: float
    valid_s: float
    failure: str  # in words, where the training failed in this epoch


COLUMNS = tuple(field.name for field in fields(TrainedEpoch))
# What earlier versions wrote, when every score was an accuracy: read, but not added to.
EARLIER = {
    "train_acc_pct": "train_score",
    "valid_acc_pct": "val_score",
    "test_acc_pct": "test_score",
}
TYPES = {field.name: field.type for field in fields(TrainedEpoch)}


class TrainingLog:
    """The table in a file; what other processes append is seen at the next look.

    Args:
        path: of the CSV file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, dict[int, TrainedEpoch]] = {}
        self._read = 0  # bytes that have been read
        self._file = (0, 0)  # device and number of the file that they were in
        self._columns = COLUMNS

    def curve(self, training: str) -> list[TrainedEpoch]:
        """The epochs of a training, in their order; empty if it is not known.

        Raises:
            DataError: the file cannot be read, or is another one.
        """
        self._catch_up()
        found = self._rows.get(training, {})
        return [found[epoch] for epoch in sorted(found)]

    def all(self) -> list[TrainedEpoch]:
        """Every row, in the order of the file.

        Raises:
            DataError: the file cannot be read, or is another one.
        """
        self._catch_up()
        return [row for epochs in self._rows.values() for row in epochs.values()]

    def add(self, rows: Iterable[TrainedEpoch]) -> None:
        """Append those rows that the file does not have.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(self.path.with_name(f"{self.path.name}.lock")):
                self._catch_up()
                new = [row for row in rows if row.epoch not in self._rows.get(row.training, {})]
                if new:
                    self._append(new)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _append(self, rows: Sequence[TrainedEpoch]) -> None:
        if self._columns != COLUMNS:
            raise self._broken("an earlier version wrote it, and its columns differ")
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if not self._read:
            writer.writerow(COLUMNS)
        writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
        with self.path.open("ab") as stream:
            stream.truncate(self._read)  # half a line, of a process that was killed
            stream.write(text.getvalue().encode())

    def _catch_up(self) -> None:
        """Read the lines that have come since the last look; half a line is left for later."""
        try:
            with self.path.open("rb") as stream:
                about = os.fstat(stream.fileno())
                if about.st_size < self._read or self._file != (about.st_dev, about.st_ino):
                    self._forget()  # another file than before has this name
                    self._file = (about.st_dev, about.st_ino)
                stream.seek(self._read)
                new = stream.read()
            whole = new[: new.rfind(b"\n") + 1]
            lines = list(csv.reader(io.StringIO(whole.decode(), newline=""), strict=True))
        except FileNotFoundError:
            self._forget()
            return
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._broken(str(error)) from None
        if not self._read and lines:
            self._take_header(lines.pop(0))
        for cells in lines:
            row = self._parsed(cells)
            self._rows.setdefault(row.training, {})[row.epoch] = row
        self._read += len(whole)

    def _forget(self) -> None:
        """Begin anew: the file was deleted or replaced, and what it said is no longer on record."""
        self._rows, self._read, self._file, self._columns = {}, 0, (0, 0), COLUMNS

    def _take_header(self, header: Sequence[str]) -> None:
        self._columns = tuple(EARLIER.get(name, name) for name in header)
        if self._columns not in (COLUMNS, tuple(c for c in COLUMNS if c != "metric")):
            raise self._broken(f"expected the columns {', '.join(COLUMNS)}")

    def _parsed(self, cells: Sequence[str]) -> TrainedEpoch:
        try:
            row = {
                name: _value(TYPES[name], cell)
                for name, cell in zip(self._columns, cells, strict=True)
            }
            return TrainedEpoch(**{"metric": ACCURACY.name, **row})
        except ValueError as error:
            raise self._broken(f"{error} in {','.join(cells)!r}") from None

    def _broken(self, why: str) -> DataError:
        return DataError(f"{self.path}: not a table of trainings ({why}); move it away")


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else round(value, DECIMALS)
    return value


def _value(kind: object, cell: str) -> Any:
    if kind is float:
        return float(cell) if cell else math.nan
    return int(cell) if kind is int else cell


def read_trainings(path: Path) -> list[TrainedEpoch]:
    """The rows of a finished table of trainings.

    As ``evaluator=training`` writes it, or as it comes back from a spreadsheet: with a byte order
    mark, semicolons or tabs, blanks, columns in another order, compressed; see ``read_csv_input``.

    Raises:
        DataError: not such a table.
    """
    require_file(path)
    with path.open("rb") as stream:
        header = stream.readline(len(",".join(COLUMNS)) + 1)
    ours = header.startswith(f"{COLUMNS[0]},".encode()) and header.endswith(b"\n")
    if ours and b"\r" not in header:
        return TrainingLog(path).all()
    table = read_csv_input(read_bytes(path), path, "export it anew")
    names = {EARLIER.get(name, name): name for name in table.header}
    if missing := [name for name in COLUMNS if name not in names and name != "metric"]:
        raise DataError(f"{path}: not a table of trainings, it has no {', '.join(missing)}")
    cells = {own: table.column(names[own]) for own in COLUMNS if own in names}
    rows = list[TrainedEpoch]()
    for at, line in enumerate(table.lines):
        try:
            row = {own: _value(TYPES[own], column[at]) for own, column in cells.items()}
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}") from None
        rows.append(TrainedEpoch(**{"metric": ACCURACY.name, **row}))
    return rows


def read(path: Path, space: str) -> Frame:
    """The finished trainings of a space as a source of figures; a task's name is its dataset.

    Raises:
        DataError: not such a file; two trainings of one architecture that differ in scale, recipe,
            images or device, which no column can tell apart.
    """
    rows = [row for row in read_trainings(path) if row.space == space and row.part == "search"]
    places = {arch: at for at, arch in enumerate(dict.fromkeys(row.arch for row in rows))}
    owners: dict[tuple[str, str, int, int], str] = {}
    columns: dict[Column, Floats] = {}
    curves: dict[Curve, Floats] = {}
    for row in rows:
        key = (row.arch, row.task, row.epochs, row.seed)
        if owners.setdefault(key, row.training) != row.training:
            raise DataError(
                f"{path}: {row.arch} was trained twice on {row.task} with seed {row.seed}, at "
                "another scale, by another recipe or on another device: keep such rows in files "
                "of their own"
            )
        column = Column("val_score", row.task, row.epochs, row.epoch, str(row.seed))
        for metric, figure in (
            ("val_score", row.val_score),
            ("train_s", row.train_s),
            ("valid_s", row.valid_s),
        ):
            own = column if metric == "val_score" else column._replace(metric=metric)
            blank = np.full(len(places), np.nan)
            columns.setdefault(own, blank)[places[row.arch]] = figure
        for metric, figure in (("train_loss", row.loss), ("train_score", row.train_score)):
            curve = Curve(metric, row.task, row.epochs, str(row.seed))
            whole = np.full((len(places), row.epochs), np.nan)
            curves.setdefault(curve, whole)[places[row.arch], row.epoch - 1] = figure
    return Frame(list(places), _with_mean_times(columns), curves)


def _with_mean_times(columns: Mapping[Column, Floats]) -> dict[Column, Floats]:
    """Accuracies as they are; seconds as means over the epochs and seeds of a training length."""
    groups: dict[Column, list[Floats]] = {}
    for column, figures in columns.items():
        if column.metric not in SCORES:
            mean = column._replace(epoch=column.schedule, run="mean")
            groups.setdefault(mean, []).append(figures)
    times = {mean: mean_over_runs(np.array(parts)) for mean, parts in groups.items()}
    return {column: columns[column] for column in columns if column.metric in SCORES} | times
