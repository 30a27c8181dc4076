"""Figures that no measurement can have: a slip in a table would win every search."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.table import SCORES, Column, Frame
from nasrun.errors import DataError
from nasrun.spec import ACCURACY, Metric, metric_named

ROUNDING = 0.01  # of a percentage that float32 or an average has moved beyond its end
LOSSES = ("train_loss", "val_loss")  # of any size, and of a training that went astray infinite
CHECKED = 1  # to be raised with the rules: tables that were kept before are built anew


def require_plausible(name: str, frame: Frame, metrics: Mapping[str, str]) -> None:
    """Refuse a frame with an impossible figure.

    Scores in per cent lie between 0 and 100, and are not all fractions; seconds are not negative,
    latencies above zero; nothing is infinite.

    Args:
        name: of the table, for refusals.
        frame: what its reader returned.
        metrics: what a data set's scores are, where they are no accuracies.

    Raises:
        DataError: says which figure, of which architecture, and what may have been meant.
    """
    scores = [(curve, own) for curve, own in frame.curves.items() if curve.metric not in LOSSES]
    for column, figures in (*frame.columns.items(), *scores):
        metric = metric_named(metrics.get(column.dataset, ACCURACY.name))
        low, high, words = _range(column, metric)
        bad = np.isinf(figures) | (figures < low) | (figures > high)
        if bad.any():
            row = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
            figure = figures[bad][0]
            texts = frame.archs if isinstance(frame.archs, Sequence) else None
            where = f"row {row + 1}" if texts is None else texts[row]
            raise DataError(
                f"tables.{name}: {column} of {where} is {figure:g}, expected {words}: mend "
                f"the file, its unit (tables.{name}.scale) or what its scores are "
                f"(tables.{name}.metrics.{column.dataset})"
            )
    _refuse_fractions(name, frame, metrics)


def _range(column: Column | Curve, metric: Metric) -> tuple[float, float, str]:
    """Lowest and highest figure of a column, and both in words."""
    if column.metric == "latency_ms":
        return float(np.nextafter(0.0, 1.0)), np.inf, "milliseconds above 0"
    if column.metric not in (*SCORES, "train_score"):
        return 0.0, np.inf, "seconds"
    if metric.unit == "%":
        return -ROUNDING, 100.0 + ROUNDING, f"0 to 100 (the {metric.label} is in %)"
    return -np.inf, np.inf, "a finite number"


def _refuse_fractions(name: str, frame: Frame, metrics: Mapping[str, str]) -> None:
    """Refuse a data set whose every percentage is at most 1; an error may be as small as that."""
    highest: dict[str, float] = {}
    for dataset, figures in _percentages(frame, metrics):
        known = figures[~np.isnan(figures)]
        if len(known):
            highest[dataset] = max(highest.get(dataset, 0.0), float(known.max()))
    for dataset, best in highest.items():
        if 0.0 < best <= 1.0:
            raise DataError(
                f"tables.{name}: no score of {dataset} is above {best:g}, which are fractions, not "
                f"per cent: set tables.{name}.scale.COLUMN=100 for each of its columns"
            )


def _percentages(
    frame: Frame, metrics: Mapping[str, str]
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    for column, figures in frame.columns.items():
        metric = metric_named(metrics.get(column.dataset, ACCURACY.name))
        if column.metric in SCORES and metric.unit == "%" and metric.higher_is_better:
            yield column.dataset, figures
