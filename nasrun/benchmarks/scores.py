"""Tables of figures of architectures that no training gave, such as zero-cost scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasrun.benchmarks.rows import ArchRows
from nasrun.csv_input import CsvInput, read_csv_input
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_bytes
from nasrun.spec import Archs, Floats, SearchSpace

ARCH = "arch"
CURE = "name a CSV file with columns arch and scores, as scripts/zero_cost_scores.py writes it"


class ScoreTable:
    """Scores of the architectures of a CSV file, whose other columns they are.

    A score that is missing (an empty cell: the network lets nothing through) is one below all
    others of its column, as far below as these spread.

    Args:
        path: of the file, perhaps gzipped.
        space: of the architectures.
        columns: whose scores are read; none: all.

    Raises:
        DataError: no such file, or one of another kind.
        ConfigError: architectures of another space, or a column that the file lacks.
    """

    def __init__(self, path: Path, space: SearchSpace, columns: Sequence[str] = ()) -> None:
        table = read_csv_input(read_bytes(path), path, CURE)
        self._path, self._space = path, space
        self.archs = _archs(table, space)
        self._rows = ArchRows(space, self.archs)
        names = [name for name in table.header if name != ARCH]
        if unknown := sorted(set(columns) - set(names)):
            raise ConfigError(
                f"{path} has no scores named {', '.join(unknown)}: take some of {', '.join(names)}"
            )
        self.names = tuple(columns or names)
        scores = [_complete(table.numbers(name)) for name in self.names]
        self._scores = np.stack(scores, axis=1)

    def __call__(self, archs: Archs) -> Floats:
        """``(..., scores)`` of ``archs (..., L)``; equal networks have the same.

        Raises:
            DataError: one has none.
        """
        flat = archs.reshape(-1, archs.shape[-1])
        rows = self._rows.of(flat)
        if (rows < 0).any():
            example = self._space.text(flat[np.argmin(rows)])
            raise DataError(
                f"{self._path} has scores of {len(self.archs)} architectures, not of "
                f"{(rows < 0).sum()} of the {len(flat)} that are asked for, such as {example}: "
                "draw from those that it has (study.cells), or compute the others by "
                "scripts/zero_cost_scores.py"
            )
        return self._scores[rows].reshape(*archs.shape[:-1], len(self.names))


def listed(path: Path, space: SearchSpace) -> Archs:
    """``(N, L)`` the architectures of a CSV file with a column ``arch``.

    Raises:
        DataError: no such file, or one without the column.
        ConfigError: architectures of another space.
    """
    return _archs(read_csv_input(read_bytes(path), path, CURE), space)


def _archs(table: CsvInput, space: SearchSpace) -> Archs:
    try:
        return np.stack([space.parse(text) for text in table.column(ARCH)])
    except ConfigError as error:
        raise ConfigError(
            f"{table.path} lists architectures of another space than space={space.name} ({error})"
        ) from None


def _complete(scores: Floats) -> Floats:
    known = scores[~np.isnan(scores)]
    if not len(known):
        return np.zeros_like(scores)
    return np.where(np.isnan(scores), known.min() - np.ptp(known), scores)
