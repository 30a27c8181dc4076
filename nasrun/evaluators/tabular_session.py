"""A benchmark table that has been opened for a space and a task."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.rows import coverage, figures_at
from nasrun.benchmarks.sources import load_table
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError
from nasrun.evaluators.tabular import MissingRun, Tabular
from nasrun.spec import (
    Archs,
    Floats,
    Ints,
    Measured,
    Protocol,
    Scored,
    SearchSpace,
    Session,
    Streams,
    Task,
    no_curve,
)

log = logging.getLogger("nasrun")

# One validation image costs 0.353 of one training image: the middle one of the three official
# NATS-Bench records 000000, 000011 and 000284 (0.353, 0.333, 0.490). Used where a source has
# training times only.
VALID_PER_TRAIN_IMAGE = 0.353


class _Fidelity(NamedTuple):
    """Of an epoch: ``(runs, rows)`` scores, ``(rows,)`` how many of them, ``(rows,)`` seconds."""

    scores: Floats
    counts: Ints
    cost_s: Floats


class TabularSession(Session):
    """A benchmark table that has been opened for a space and a task."""

    def __init__(self, settings: Tabular, space: SearchSpace, task: Task) -> None:
        self.name, self.metric = settings.name, task.metric
        self._settings, self._space, self._task = settings, space, task
        self._table = load_table(settings.tables, settings.sources, space, Path(settings.cache_dir))
        self._require_metric(task)
        self._dataset = self._table.datasets(task).search
        longest = max(self._table.schedules("val_score", self._dataset), default=0)
        self._schedule = settings.schedule or longest
        self._columns = self._mean_columns(self._dataset)
        self._read: dict[int, _Fidelity] = {}
        # Means are there, so they are read when first asked for; single runs may be lacking.
        for epoch in self._columns if settings.run != "mean" else (self._schedule,):
            self._fidelity(epoch)
        self._tell_coverage()

    def _require_metric(self, task: Task) -> None:
        """Refuse scores that a source gives in another metric: the search could turn them round."""
        own, known = task.metric.name, self._settings.tables
        for source in [name for name in self._table.sources if name in known]:
            for dataset in self._table.datasets(task):
                theirs = known[source].metrics.get(dataset, own)
                if theirs != own:
                    raise ConfigError(
                        f"tables.{source}.metrics says that the scores of {dataset} are {theirs}, "
                        f"but task={task.name} is judged by {own}: give figures in {own}, or a "
                        f"task of your own with scored_by: {theirs}, as conf/task/wikitext2.yaml"
                    )

    def _fidelity(self, epoch: int) -> "_Fidelity":
        """The figures after an epoch of ``fidelities``."""
        if epoch not in self._read:
            scores = self._runs_of(self._columns[epoch])
            counts = (~np.isnan(scores)).sum(axis=0)
            self._read[epoch] = _Fidelity(scores, counts, self._cost_of(epoch))
        return self._read[epoch]

    def _tell_coverage(self) -> None:
        """Say of how many architectures there are figures, where some have none."""
        known = int((self._fidelity(self._schedule).counts > 0).sum())
        if (covered := coverage(self._space, known)) is not None:
            log.warning(
                "%s: figures of %s of space=%s; measuring another fails, unless it is the same "
                "network",
                ", ".join(self._table.sources), covered, self._space.name,
            )  # fmt: skip

    def _mean_columns(self, dataset: str) -> dict[int, Column]:
        """Mean-accuracy column of every epoch that can be measured, by epoch.

        These are the recorded epochs of the reward's own training, and the ends of shorter ones
        as far as they have the run that is asked for.
        """
        table, schedule = self._table, self._schedule
        shorter = [s for s in table.schedules("val_score", dataset) if s < schedule]
        columns = {s: Column("val_score", dataset, s, s, "mean") for s in shorter}
        columns = {epoch: mean for epoch, mean in columns.items() if self._has_run(mean)}
        for epoch in table.epochs("val_score", dataset, schedule):
            columns[epoch] = Column("val_score", dataset, schedule, epoch, "mean")
        if schedule not in columns:
            raise self._lacks_schedule(dataset)
        return dict(sorted(columns.items()))

    def _has_run(self, mean: Column) -> bool:
        runs = self._table.runs(*mean[:4])
        return (
            bool(runs) if self._settings.run == "random" else self._settings.run in ("mean", *runs)
        )

    def _runs_of(self, mean: Column) -> Floats:
        """``(runs, rows)`` accuracies to draw from; missing runs stand last, as NaN."""
        if self._settings.run != "random":
            return self._run(mean, "run")[None]
        runs = self._table.runs(*mean[:4])
        if not runs:
            what = f"separate runs of the {mean.epoch}-epoch {self.metric.label} of {mean.dataset}"
            raise self._lacks(what, ["set evaluator.run=mean"])
        stacked = np.array([self._table[mean._replace(run=run)] for run in runs], np.float64)
        order = np.argsort(np.isnan(stacked), axis=0, kind="stable")
        return np.take_along_axis(stacked, order, axis=0)

    def _run(self, mean: Column, key: str) -> Floats:
        """``(rows,)`` figures of the run (or mean) that the field ``key`` names."""
        run: str = getattr(self._settings, key)
        figures = self._table[mean].astype(np.float64)
        if run == "mean":
            return figures
        what = f"run {run} of {mean.metric} of {mean.dataset} after {mean.epoch} epochs"
        wanted = mean._replace(run=run)
        if wanted not in self._table:
            runs = [*self._table.runs(*mean[:4]), "mean"]
            raise self._lacks(what, [f"set evaluator.{key}={run}" for run in runs])
        single = self._table[wanted].astype(np.float64)
        gaps = np.isnan(single) & ~np.isnan(figures)
        if gaps.any() and self._settings.missing_run is MissingRun.error:
            raise ConfigError(
                f"{gaps.sum()} architectures lack {what}: set evaluator.missing_run=mean to put "
                "the mean over their other runs there, or use the mean for all"
            )
        return np.where(gaps, figures, single)

    def _cost_of(self, epoch: int) -> Floats:
        """``(rows,)`` seconds of a query that trains for ``epoch`` epochs; NaN where unknown."""
        dataset, task = self._dataset, self._task
        unknown = np.full(len(self._table), np.nan)
        train_s = self._table.find("train_s", dataset, unknown, self._schedule)
        charged = self._settings.charge_epochs or self._schedule
        cost_s = train_s * (epoch * (charged / self._schedule))
        if self._settings.charge_validation:
            guess_s = VALID_PER_TRAIN_IMAGE * task.valid_images / task.train_images * train_s
            valid_s = self._table.find("valid_s", dataset, guess_s, self._schedule)
            cost_s += np.where(np.isnan(valid_s), guess_s, valid_s)
        return cost_s

    def _lacks_schedule(self, dataset: str) -> ConfigError:
        others = self._table.schedules("val_score", dataset)
        cures = [f"set evaluator.reward=val@{epochs}" for epochs in reversed(others)]
        if self._schedule == 12 and self._space.name == "nb201":
            cures.insert(0, "run nasrun fetch mini_nasbench201")
        if not others and (known := self._table.scored()):
            where = _entry(self._task.name)
            cures.append(f"say with {where} which of {', '.join(known)} it is")
            cures.append("train networks on its pictures with evaluator=training")
        epochs = f"{self._schedule}-epoch " if self._schedule else ""
        return self._lacks(f"{epochs}validation {self.metric.label} of {dataset}", cures)

    def _lacks(self, what: str, cures: list[str]) -> ConfigError:
        """The sentence for a figure that no source has, with what to run or set instead."""
        sources = self._table.sources
        have = f"{', '.join(sources)} {'have' if len(sources) > 1 else 'has'}"
        elsewhere = "name a table that has it in evaluator.sources, or set evaluator=training"
        cure = " or ".join(cures) or elsewhere
        return ConfigError(f"{have} no {what}: {cure}")

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Epochs recorded within the reward's training, and the lengths of shorter trainings."""
        return tuple(self._columns)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Look ``archs (T, L)`` up after ``epochs (T,)``; unknown architectures score NaN."""
        rows = self._table.row(archs)
        # One draw a trial and query, whatever the other trials measure.
        draws = streams.uniform()[:, 0] if self._settings.run == "random" else None
        unknown = np.full(len(rows), np.nan)
        first = int(epochs[0]) if len(epochs) else self._schedule
        if (epochs == first).all():
            return Measured.scored(archs, epochs, *self._look_up(first, rows, draws))
        score, cost_s = unknown.copy(), unknown.copy()
        for epoch in np.unique(epochs):
            at = epochs == epoch
            own = None if draws is None else draws[at]
            score[at], cost_s[at] = self._look_up(int(epoch), rows[at], own)
        return Measured.scored(archs, epochs, score, cost_s)

    def _look_up(self, epoch: int, rows: Ints, draws: Floats | None) -> tuple[Floats, Floats]:
        """``(n,)`` accuracies and seconds of ``rows (n,)``; ``draws (n,)`` pick the runs."""
        if epoch not in self._columns:
            raise ConfigError(
                f"{epoch} epochs cannot be measured: the table has {self.fidelities} for "
                f"evaluator.reward=val@{self._schedule}"
            )
        found = self._fidelity(epoch)
        picked = 0 if draws is None else (draws * found.counts[rows]).astype(np.int64)
        score, missing = found.scores[picked, rows], rows < 0
        if missing.any():
            score = np.where(missing, np.nan, score)
        return score, figures_at(found.cost_s, rows)

    @property
    def curves(self) -> tuple[str, ...]:
        """Those that the table has of the reward's training."""
        return self._table.curves(self._dataset, self._schedule)

    def curve(self, archs: Archs, *, epochs: Ints, figure: str = "val_score") -> Floats:
        """``(n, max(epochs))`` of the run that the reward comes from.

        Raises:
            UnsupportedError: there are no curves of this figure.
            ConfigError: the table lacks those of the run, or each query draws one.
        """
        run = self._settings.run
        if figure not in self.curves:
            raise no_curve(figure, self.curves)
        if run == "random":
            raise ConfigError(
                "evaluator.run=random draws a run for each query, and a learning curve needs to "
                "know which: set evaluator.run=mean, or the seed of a run"
            )
        mean = Curve(figure, self._dataset, self._schedule, "mean")
        rows = self._table.row(archs)
        try:
            curves = self._table.curve(mean._replace(run=run), rows)
        except KeyError:
            what = f"learning curves of run {run} of {self._dataset}"
            raise self._lacks(what, ["set evaluator.run=mean"]) from None
        if run != "mean" and self._settings.missing_run is MissingRun.mean:
            lacking = np.isnan(curves).all(axis=1)
            curves[lacking] = self._table.curve(mean, rows[lacking])
        return until(curves, epochs)

    def check_final(self, task: Task) -> None:
        """Refuse a final run, training length or metric that the table does not have.

        Raises:
            ConfigError: says what is missing and which ones there are.
        """
        self._require_metric(task)
        names = self._table.datasets(task)
        valid, test = self._final("val_score", names.search), self._final("test_score", names.final)
        if self._settings.score_epochs and np.isnan(valid).all() and np.isnan(test).all():
            lengths = self._table.schedules("val_score", names.search)
            cures = [f"set evaluator.score_epochs={epochs}" for epochs in reversed(lengths)]
            raise self._lacks(f"{self._settings.score_epochs}-epoch figures of {task.name}", cures)

    def score(self, archs: Archs, task: Task) -> Scored:
        """Final validation and test accuracy after ``score_epochs``, and the rank by the former.

        Raises:
            ConfigError: the table lacks the run of the final figures.
        """
        rows, names = self._table.row(archs), self._table.datasets(task)
        every, test = self._final("val_score", names.search), self._final("test_score", names.final)
        valid = figures_at(every, rows)
        size = self._space.footprint(archs, task)
        rank = ranks(task.metric.oriented(valid), task.metric.oriented(every))
        return Scored(valid, figures_at(test, rows), *size, rank, self._final_in_words(task))

    def _final(self, metric: str, dataset: str) -> Floats:
        """``(rows,)`` figures of the final training; all NaN where no source has them."""
        mean = self._final_mean(metric, dataset)
        if mean not in self._table:
            return np.full(len(self._table), np.nan)
        if self._final_run(mean) == "mean":
            return self._table[mean].astype(np.float64)
        return self._run(mean, "score_run")

    def _final_mean(self, metric: str, dataset: str) -> Column:
        longest = self._table.schedules("val_score", self._dataset)[-1]
        epochs = self._settings.score_epochs or longest
        return Column(metric, dataset, epochs, epochs, "mean")

    def _final_run(self, mean: Column) -> str:
        """The run that the final figures come from: a source of means alone has no other."""
        alone = self._settings.missing_run is MissingRun.mean and not self._table.runs(*mean[:4])
        return "mean" if alone else self._settings.score_run

    def _final_in_words(self, task: Task) -> str:
        """``200 epochs; validation 888; test mean``: training length and runs of the figures."""
        names = self._table.datasets(task)
        columns = {
            "validation": self._final_mean("val_score", names.search),
            "test": self._final_mean("test_score", names.final),
        }
        runs = [f"{k} {self._final_run(c)}" for k, c in columns.items() if c in self._table]
        return "; ".join([f"{columns['test'].epoch} epochs", *runs])

    @property
    def why_nothing(self) -> str:
        """A table with gaps."""
        return "the table may cover too little of the space"

    @property
    def protocol(self) -> Protocol:
        """Which figures the search saw and what it paid for them."""
        validation = " + 1 validation pass" if self._settings.charge_validation else ""
        return Protocol(
            split=self._dataset,
            fidelity=f"val@{self._schedule}",
            run=self._settings.run,
            clock=f"table: {self._settings.charge_epochs or self._schedule} epochs{validation}",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """Data files of the table and their sha256."""
        return self._table.files


def until(curves: Floats, epochs: Ints) -> Floats:
    """``(n, max(epochs))`` the first ``epochs (n,)`` of each of ``curves (n, E)``, then NaN."""
    longest = int(epochs.max(initial=0))
    beyond = np.arange(longest) >= epochs[:, None]
    return np.where(beyond, np.nan, curves[:, :longest])


def ranks(figures: Floats, among: Floats) -> Floats:
    """``(n,)`` how many of ``among`` are strictly higher, plus one; NaN for a missing figure."""
    known = np.sort(among[~np.isnan(among)])
    better = len(known) - np.searchsorted(known, figures, side="right")
    return np.where(np.isnan(figures), np.nan, better + 1.0)


def _entry(task: str) -> str:
    """Where to say what a table calls a task's images: no key of a command line has brackets."""
    if re.fullmatch(r"[\w-]+", task):
        return f"+tables.NAME.datasets.{task}=[SEARCH,FINAL]"
    return f"{task!r}: [SEARCH,FINAL] in the datasets of a table's YAML"
