"""One columnar table of measured figures, whatever files they came from.

A column holds one figure of every architecture that the table lists: ``float32 (rows,)``, NaN where
the figure is missing. Its name says what it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.rows import ArchRows
from nasrun.errors import ConfigError
from nasrun.spec import Archs, Floats, Ints, SearchSpace, Task

Column32 = NDArray[np.float32]

SCORES = ("val_score", "test_score")
METRICS = (*SCORES, "train_s", "valid_s", "latency_ms")
NAME = re.compile(rf"({'|'.join(METRICS)})/([^/]+)/(\d+)of(\d+)/([^/]+)")


class Column(NamedTuple):
    """What a column holds.

    ``metric``: ``val_score`` and ``test_score`` (of the task's metric), ``train_s`` (seconds per
    epoch), ``valid_s`` (seconds of one validation pass) or ``latency_ms``. In NAS-Bench-201's
    tables ``test_score`` is the official test set for models of ``cifar10`` and ``cifar10-valid``
    and the x-test half for the others.
    ``dataset``: its name in the source, such as ``cifar10-valid`` or ``ImageNet16-120``.
    ``schedule``: epochs of the training run; ``epoch``: when in it the figure was taken.
    ``run``: the training seed, or ``mean`` over seeds.
    """

    metric: str
    dataset: str
    schedule: int
    epoch: int
    run: str

    def __str__(self) -> str:
        """``metric/dataset/epoch-of-schedule/run``, the name in files."""
        return f"{self.metric}/{self.dataset}/{self.epoch}of{self.schedule}/{self.run}"

    @classmethod
    def parse(cls, text: str) -> "Column":
        """The column of a name that ``str`` made.

        Raises:
            ConfigError: not such a name.
        """
        found = NAME.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"expected a column such as test_score/cifar10/200of200/mean with one of "
                f"{', '.join(METRICS)} in front, got {text!r}"
            )
        metric, dataset, epoch, schedule, run = found.groups()
        return cls(metric, dataset, int(schedule), int(epoch), run)


@dataclass(frozen=True)
class Frame:
    """What a reader returns: architecture texts ``(n,)`` and figures ``(n,)`` by column.

    ``archs`` is None where the figures cover the whole space in the order of ``space.index``.
    """

    archs: Sequence[str] | None
    columns: Mapping[Column, NDArray[Any]]


class DatasetNames(NamedTuple):
    """What a benchmark calls a task's images: those of the search, and those of the final score."""

    search: str
    final: str


class Table:
    """Figures of architectures by column, with the names and sha256 of their sources.

    Columns are fetched when asked for, so a table on disk costs no more memory than its use.

    Args:
        space: of the architectures.
        archs: ``(rows, L)`` those listed, each once; None: the whole space, by its numbers.
        columns: figures by column.
        files: names and sha256 of the files that were read.
        sources: names of the tables that were merged, first ones first.
        conflicts: sentences on figures about which two sources disagree.
        names: what the sources call a task's images, where it is not the task's own name.
    """

    def __init__(
        self,
        space: SearchSpace,
        archs: Archs | None,
        columns: Mapping[Column, Column32],
        files: Mapping[str, str],
        sources: Sequence[str] = (),
        conflicts: Sequence[str] = (),
        names: Mapping[str, DatasetNames] = MappingProxyType({}),
    ) -> None:
        self.rows = ArchRows(space, archs)
        self._columns = columns
        self.files = dict(files)
        self.sources = list(sources)
        self.conflicts = list(conflicts)
        self.names = dict(names)

    @property
    def archs(self) -> Archs | None:
        """``(rows, L)`` the architectures listed; None: the whole space, by its numbers."""
        return self.rows.archs

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.rows)

    def row(self, archs: Archs) -> Ints:
        """``(n,)`` row of each of ``archs (n, L)``; -1 for a network that is not listed."""
        return self.rows.of(archs)

    def datasets(self, task: Task) -> DatasetNames:
        """What the sources call the images of a task; its own name if they do not say."""
        return self.names.get(task.name, DatasetNames(task.name, task.name))

    @property
    def columns(self) -> list[Column]:
        """All columns, sorted by name."""
        return sorted(self._columns)

    def __contains__(self, column: Column) -> bool:
        """Whether the column is there."""
        return column in self._columns

    def __getitem__(self, column: Column) -> Column32:
        """``(rows,)`` figures of a column."""
        return self._columns[column]

    def runs(self, metric: str, dataset: str, schedule: int, epoch: int) -> list[str]:
        """Training seeds for which there is such a column, sorted; the mean is not one of them."""
        wanted = (metric, dataset, schedule, epoch)
        return [c.run for c in self.columns if c[:4] == wanted and c.run != "mean"]

    def epochs(self, metric: str, dataset: str, schedule: int) -> list[int]:
        """Epochs of a schedule at which the metric was taken, ascending."""
        return sorted({c.epoch for c in self._columns if c[:3] == (metric, dataset, schedule)})

    def scored(self) -> list[str]:
        """Data sets of which there are validation scores, sorted."""
        return sorted({c.dataset for c in self._columns if c.metric == "val_score"})

    def schedules(self, metric: str, dataset: str) -> list[int]:
        """Training lengths whose final figure is there, ascending."""
        final = {c.schedule for c in self._columns if c[:2] == (metric, dataset) and c[2] == c[3]}
        return sorted(final)

    def find(
        self, metric: str, dataset: str, default: Floats, schedule: int | None = None
    ) -> Floats:
        """``(rows,)`` mean figures of a metric such as seconds, which hardly depends on the run.

        Those of ``schedule`` are taken where they are there, else those of any other.
        """
        found = default
        for column in self.columns:
            if column[:2] == (metric, dataset) and column.run == "mean":
                found = self[column].astype(np.float64)
                if schedule is None or column.schedule == schedule:
                    break
        return found
