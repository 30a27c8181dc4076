"""One columnar table of measured figures, whatever files they came from.

A column holds one figure of every architecture that the table lists: ``float32 (rows,)``, NaN where
the figure is missing. Its name says what it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.rows import ArchRows, figures_at
from nasrun.errors import ConfigError
from nasrun.spec import CURVES, Archs, Floats, Ints, SearchSpace, Task

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
    """What a reader returns: architectures and figures ``(n,)`` by column.

    ``archs`` are texts ``(n,)``, or encodings ``(n, L)`` where the reader knows the space; None
    where the figures cover the whole space in the order of ``space.index``. ``curves`` are
    ``(n, schedule)`` each, for what is not a column by epoch.
    """

    archs: Sequence[str] | Archs | None
    columns: Mapping[Column, NDArray[Any]]
    curves: Mapping[Curve, NDArray[Any]] = field(default_factory=dict[Curve, NDArray[Any]])


class DatasetNames(NamedTuple):
    """What a benchmark calls a task's images: those of the search, and those of the final score."""

    search: str
    final: str


class Table:
    """Figures of architectures by column, with the names and sha256 of their sources.

    Columns are fetched when asked for, so a table on disk costs no more memory than its use.

    Args:
        space: of the architectures.
        archs: ``(rows, L)`` those listed, each once, or their rows; None: the whole space, by its
            numbers.
        columns: figures by column.
        files: names and sha256 of the files that were read.
        sources: names of the tables that were merged, first ones first.
        conflicts: sentences on figures about which two sources disagree.
        names: what the sources call a task's images, where it is not the task's own name.
        curves: ``(rows, schedule)`` learning curves, beside those that columns make.
    """

    def __init__(
        self,
        space: SearchSpace,
        archs: Archs | ArchRows | None,
        columns: Mapping[Column, Column32],
        files: Mapping[str, str],
        sources: Sequence[str] = (),
        conflicts: Sequence[str] = (),
        names: Mapping[str, DatasetNames] = MappingProxyType({}),
        curves: Mapping[Curve, Column32] = MappingProxyType({}),
    ) -> None:
        self.rows = archs if isinstance(archs, ArchRows) else ArchRows(space, archs)
        self._columns, self.blocks = columns, curves
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

    def curves(self, dataset: str, schedule: int) -> tuple[str, ...]:
        """Which of ``CURVES`` there are of trainings of this length, in that order."""
        found = {block.metric for block in self.blocks if block[1:3] == (dataset, schedule)}
        found |= {m for m in CURVES if len(self.epochs(m, dataset, schedule)) > 1}
        return tuple(metric for metric in CURVES if metric in found)

    def curve(self, curve: Curve, rows: Ints) -> Floats:
        """``(n, schedule)`` a figure after each epoch, for ``rows (n,)``.

        NaN for row -1 and where it is missing. A block is read for these rows alone; where there is
        none, the columns by epoch are put side by side. A mean that is not on record is that of the
        runs.

        Raises:
            KeyError: there is no such curve.
        """
        runs = [block for block in self.blocks if block[:3] == curve[:3] and block.run != "mean"]
        if curve in self.blocks or (curve.run == "mean" and runs):
            blocks = [curve] if curve in self.blocks else runs
            parts = np.stack([self.blocks[block][rows] for block in blocks]).astype(np.float64)
            known = (~np.isnan(parts)).sum(axis=0)
            mean = np.where(known > 0, np.nansum(parts, axis=0) / np.maximum(known, 1), np.nan)
            return np.where((rows < 0)[:, None], np.nan, mean)
        columns = [
            Column(*curve[:3], epoch, curve.run)
            for epoch in self.epochs(*curve[:3])
            if Column(*curve[:3], epoch, curve.run) in self
        ]
        if len(columns) < 2:
            raise KeyError(curve)
        found = np.full((len(rows), curve.schedule), np.nan)
        for column in columns:
            found[:, column.epoch - 1] = figures_at(self[column], rows)
        return found
