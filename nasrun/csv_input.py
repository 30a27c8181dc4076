"""CSV files that people bring, from spreadsheets and scripts of all kinds."""

import csv
import io
import math
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.input_files import unpack
from nasrun.spec import Floats

DELIMITERS = ",;\t"


@dataclass(frozen=True)
class CsvInput:
    """The cells of a file, and the line that each row ends in."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells below ``name``, without blanks around.

        Raises:
            DataError: no such column, or two.
        """
        places = [place for place, own in enumerate(self.header) if own == name]
        if not places:
            raise DataError(
                f"{self.path}: expected a column {name!r}, found only {in_short(self.header)}"
            )
        if len(places) > 1:
            numbers = " and ".join(str(place + 1) for place in places)
            raise DataError(
                f"{self.path}: columns {numbers} are both named {name!r}: rename or delete one"
            )
        return [row[places[0]].strip() for row in self.rows]

    def numbers(self, name: str) -> Floats:
        """``(rows,)`` numbers below ``name``; NaN for empty cells.

        Raises:
            DataError: no such column, or two; a cell that is no number, or an infinite one.
        """
        cells = self.column(name)
        return np.array([self._number(cell, name, row) for row, cell in enumerate(cells)])

    def _number(self, cell: str, name: str, row: int) -> float:
        try:
            number = float(cell or "nan")
        except ValueError:
            number = math.inf
        if math.isinf(number):
            raise DataError(
                f"{self.path}, line {self.lines[row]}, column {name}: expected a finite number or "
                f"an empty cell, found {cell!r}"
            )
        return number


def read_csv_input(data: bytes, path: Path, cure: str) -> CsvInput:
    """The cells of a CSV file with a header.

    Cells are parted by comma, semicolon or tab, whichever parts the header most often. The text is
    UTF-8, with or without a byte order mark, or UTF-16, perhaps compressed. Blanks around names and
    rows without content are passed over.

    Args:
        data: content of the file.
        path: its name, for errors.
        cure: what to do about a file that cannot be read.

    Raises:
        DataError: not such a file, one without rows, a row of another length, or more than
            ``UNPACKED`` bytes of text.
    """
    try:
        text = _decoded(unpack(data, path))
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=_delimiter(text),
            skipinitialspace=True,
            strict=True,
        )
        numbered = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); {cure}") from None
    if not numbered:
        raise DataError(f"{path}: the file is empty; {cure}")
    (_, header), *content = numbered
    if not content:
        raise DataError(f"{path}: there is no row below the header ({in_short(header)}); {cure}")
    for line, row in content:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: expected {len(header)} cells, found {len(row)}")
    lines, rows = [line for line, _ in content], [row for _, row in content]
    return CsvInput(path, [name.strip() for name in header], rows, lines)


def in_short(names: Sequence[str]) -> str:
    """Names of columns for a sentence: the first ones, and of each what a reader can take in."""
    shown = [name.strip()[:60] for name in names[:50]]
    return ", ".join(shown) + (f" and {len(names) - 50} more" if len(names) > 50 else "")


def _decoded(data: bytes) -> str:
    """Text of UTF-8 or, where zero bytes or a byte order mark say so, of UTF-16."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16")
    if 0 in data[:2]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le")
    return data.decode("utf-8-sig")


def _delimiter(text: str) -> str:
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    return max(DELIMITERS, key=lambda one: len(next(csv.reader([header], delimiter=one), [])))
