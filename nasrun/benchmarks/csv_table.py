"""Reader of plain CSV files, gzipped or not; the configuration says what their columns are."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column, Floats, Frame
from nasrun.errors import ConfigError, DataError


def read(source: Source, path: Path) -> Frame:
    """The mapped columns, each times its ``scale``; empty cells are missing figures.

    Raises:
        ConfigError: a mapping to no column name, or a scale of a column that is not mapped.
        DataError: unreadable, not the mapped header, or a cell that is no number.
    """
    names = [source.arch_column, *source.columns]
    meaning = {name: Column.parse(text) for name, text in source.columns.items()}
    if unmapped := sorted(source.scale.keys() - source.columns.keys()):
        raise ConfigError(f"scale of a CSV table names {unmapped}, which columns does not map")
    rows = _rows(path, names)
    figures = {
        column: _numbers([row[i] for row in rows], name, path) * source.scale.get(name, 1.0)
        for i, (name, column) in enumerate(meaning.items(), start=1)
    }
    return Frame([row[0] for row in rows], figures)


def _rows(path: Path, names: Sequence[str]) -> list[list[str]]:
    """The cells of the named columns, row by row."""
    try:
        with _text(path) as stream:
            lines = csv.reader(stream, strict=True)
            header = next(lines, [])
            missing = [name for name in names if name not in header]
            if missing:
                raise DataError(f"{path}: expected the columns {missing}, found only {header}")
            places = [header.index(name) for name in names]
            return [[_cell(row, place, header, path, lines.line_num) for place in places]
                    for row in lines]  # fmt: skip
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV file ({error}); get it again") from None


def _cell(row: list[str], place: int, header: list[str], path: Path, line: int) -> str:
    if len(row) != len(header):
        raise DataError(f"{path}, line {line}: expected {len(header)} cells, found {len(row)}")
    return row[place]


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            yield stream
    else:
        with path.open(encoding="utf-8", newline="") as stream:
            yield stream


def _numbers(cells: list[str], name: str, path: Path) -> Floats:
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError as error:
        raise DataError(f"{path}, column {name}: {error}") from None
