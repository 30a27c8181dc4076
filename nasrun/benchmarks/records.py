"""The training records of NAS-Bench-201 and NATS-Bench, turned into columns one by one.

A record is one training run of one architecture: a dict with accuracies and seconds by epoch,
as the official ``ResultsCount.state_dict`` writes it. Epochs are counted from 0 there, from 1 here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.merge import mean_over_runs
from nasrun.benchmarks.table import SCORES, Column, Column32, Floats, Frame
from nasrun.errors import DataError

CURVE_EPOCHS = 12  # of trainings up to this long every epoch is a column, of longer ones the last
# Curves, by the field of a record and what its keys begin with. Of the 200-epoch trainings of
# cifar100 and ImageNet16-120 only the whole test set was judged after every epoch, of which the
# validation images are a half: those have curves of the training loss alone.
CURVE_FIELDS = {
    "val_score": ("eval_acc1es", "x-valid@"),
    "val_loss": ("eval_losses", "x-valid@"),
    "train_loss": ("train_losses", ""),
}
# The part of the test images on which a model of each dataset is finally scored.
TEST_SETS = {
    "cifar10-valid": "ori-test",
    "cifar10": "ori-test",
    "cifar100": "x-test",
    "ImageNet16-120": "x-test",
}
FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError)


class Collector:
    """Figures of ``size`` architectures, filled in record by record."""

    def __init__(self, size: int) -> None:
        self._rows: dict[str, int] = {}
        self._columns: dict[Column, Floats] = {}
        self._curves: dict[Curve, Column32] = {}
        self._size = size

    def add(self, results: Mapping[str, Any], where: str) -> None:
        """Take the runs of one architecture under one training schedule (``ArchResults``).

        Raises:
            DataError: not such a record.
        """
        try:
            arch, runs = str(results["arch_str"]), results["all_results"]
            row = self._rows.setdefault(arch, len(self._rows))
            for (dataset, seed), record in runs.items():
                for column, figure in _figures(str(dataset), str(seed), record):
                    self._put(column, row, figure)
                for curve, figures in _curves(str(dataset), str(seed), record):
                    blank = (self._size, curve.schedule)
                    if curve not in self._curves:
                        self._curves[curve] = np.full(blank, np.nan, np.float32)
                    self._curves[curve][row] = figures
        except FAULTS as error:
            raise DataError(
                f"{where}: not a record of NAS-Bench-201 or NATS-Bench ({error!r})"
            ) from None

    def _put(self, column: Column, row: int, figure: float) -> None:
        if column not in self._columns:
            self._columns[column] = np.full(self._size, np.nan)
        self._columns[column][row] = figure

    def __len__(self) -> int:
        """Number of architectures so far."""
        return len(self._rows)

    def frame(self) -> Frame:
        """What was collected: accuracies run by run, times averaged over runs."""
        n = len(self)
        columns = {c: v[:n] for c, v in self._columns.items() if c.metric in SCORES}
        times: dict[Column, list[Floats]] = {}
        for column, figures in self._columns.items():
            if column.metric not in SCORES:
                times.setdefault(column._replace(run="mean"), []).append(figures[:n])
        columns |= {column: mean_over_runs(np.array(runs)) for column, runs in times.items()}
        curves = {curve: block[:n] for curve, block in self._curves.items()}
        return Frame(list(self._rows), columns, curves)


def _curves(dataset: str, seed: str, record: Mapping[str, Any]) -> Iterator[tuple[Curve, Floats]]:
    """The curves of a run of which more than the end is known."""
    epochs = int(record["epochs"])
    for metric, (field, prefix) in CURVE_FIELDS.items():
        if metric == "val_score" and epochs <= CURVE_EPOCHS:
            continue  # they are columns
        known = record[field] or {}
        keys = [f"{prefix}{epoch}" if prefix else epoch for epoch in range(epochs)]
        figures = np.array([known.get(key, np.nan) for key in keys], np.float64)
        if (~np.isnan(figures)).sum() > 1:
            yield Curve(metric, dataset, epochs, seed), figures


def _figures(dataset: str, seed: str, record: Mapping[str, Any]) -> Iterator[tuple[Column, float]]:
    epochs = int(record["epochs"])
    accuracies, seconds = record["eval_acc1es"], record["eval_times"] or {}
    for epoch in range(1 if epochs <= CURVE_EPOCHS else epochs, epochs + 1):
        if (figure := accuracies.get(f"x-valid@{epoch - 1}")) is not None:
            yield Column("val_score", dataset, epochs, epoch, seed), float(figure)
    last = Column("test_score", dataset, epochs, epochs, seed)
    if (figure := accuracies.get(f"{TEST_SETS[dataset]}@{epochs - 1}")) is not None:
        yield last, float(figure)
    passes = [seconds[key] for e in range(epochs) if (key := f"x-valid@{e}") in seconds]
    latencies = record["latency"] or []
    for metric, parts, scale in (
        ("train_s", list((record["train_times"] or {}).values()), 1.0),
        ("valid_s", passes, 1.0),
        ("latency_ms", [latency for latency in latencies if latency > 0], 1000.0),
    ):
        if parts:
            yield last._replace(metric=metric), scale * sum(parts) / len(parts)
