"""Reader of plain CSV files, gzipped or not; the configuration says what their columns are."""

from pathlib import Path

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column, Frame
from nasrun.csv_input import in_short, read_csv_input
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_bytes


def read(source: Source, path: Path) -> Frame:
    """The mapped columns, each times its ``scale``; empty cells are missing figures.

    Raises:
        ConfigError: a mapping to no column name, or a scale of a column that is not mapped.
        DataError: unreadable, not the mapped header, a name twice, or a cell that is no number.
    """
    names = [source.arch_column, *source.columns]
    meaning = {name: Column.parse(text) for name, text in source.columns.items()}
    if unmapped := sorted(source.scale.keys() - source.columns.keys()):
        raise ConfigError(f"scale of a CSV table names {unmapped}, which columns does not map")
    table = read_csv_input(read_bytes(path), path, "get it again, or export it anew")
    if missing := [name for name in names if name not in table.header]:
        raise DataError(
            f"{path}: expected the columns {missing}, found only {in_short(table.header)}"
        )
    figures = {
        column: table.numbers(name) * source.scale.get(name, 1.0)
        for name, column in meaning.items()
    }
    return Frame(table.column(source.arch_column), figures)
