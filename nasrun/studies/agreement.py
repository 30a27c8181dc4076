"""How well predictions agree with the truth: a row for each trial, and means of them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from scipy.stats import kendalltau, pearsonr, spearmanr

from nasrun.errors import DataError
from nasrun.spec import Floats

CHECKED = (10, 20)  # predicted best, of which precision counts those among the true best


@dataclass(frozen=True)
class Agreement:
    """What a predictor made of the test architectures of one trial.

    ``train``: architectures that it learnt from; ``epochs``: of the partial trainings that it
    read, 0 for none. ``kendall_1dec`` is of predictions rounded to 0.1. Seconds: ``fit_s`` and
    ``query_s`` (for one architecture) of this machine, ``training_s`` of all trainings that it
    learnt from, ``partial_s`` of one partial training. ``trainings`` and ``partial`` are the same
    in whole trainings, for tables without seconds, where these are NaN.
    """

    space: str
    task: str
    predictor: str
    train: int
    epochs: int
    seed: int
    tested: int
    kendall: float
    spearman: float
    pearson: float
    kendall_1dec: float
    precision_10: float
    precision_20: float
    fit_s: float
    query_s: float
    training_s: float
    partial_s: float
    trainings: float
    partial: float

    @classmethod
    def of(cls, row: Mapping[str, str]) -> Self:
        """The row of a CSV file.

        Raises:
            DataError: a cell that is no number.
        """
        try:
            return cls(**{field.name: _read(field.type, row[field.name]) for field in fields(cls)})
        except (KeyError, ValueError) as error:
            raise DataError(f"a row of a predictor benchmark cannot be read ({error})") from None

    @property
    def group(self) -> tuple[str, str, str, int, int]:
        """What trials share: space, task, predictor, ``train``, ``epochs``."""
        return self.space, self.task, self.predictor, self.train, self.epochs


def _read(kind: Any, text: str) -> Any:
    if kind is float:
        return float(text or "nan")
    return int(text) if kind is int else text


COLUMNS = tuple(field.name for field in fields(Agreement))


@dataclass(frozen=True)
class Mean:
    """Means over the ``n`` trials of a group, and the standard error of Kendall's tau."""

    first: Agreement
    n: int
    values: Mapping[str, float]
    error: float

    @property
    def times_s(self) -> tuple[float, float]:
        """Initialisation and query, in seconds; NaN where a table has none."""
        own = self.values
        return own["fit_s"] + own["training_s"], own["query_s"] + own["partial_s"]

    @property
    def times_trainings(self) -> tuple[float, float]:
        """The same in whole trainings, whatever this machine took."""
        return self.values["trainings"], self.values["partial"]


def means(rows: Iterable[Agreement]) -> list[Mean]:
    """The groups in their order, each with its means."""
    groups: dict[tuple[str, str, str, int, int], list[Agreement]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return [_mean(own) for own in groups.values()]


def _mean(rows: Sequence[Agreement]) -> Mean:
    names = [field.name for field in fields(Agreement) if field.type is float]
    values = {name: float(np.mean([getattr(row, name) for row in rows])) for name in names}
    taus = [row.kendall for row in rows]
    error = float(np.std(taus, ddof=1) / np.sqrt(len(taus))) if len(taus) > 1 else np.nan
    return Mean(rows[0], len(rows), values, error)


def as_csv(found: Sequence[Mean]) -> bytes:
    """A line for each group: what it is, ``trials``, means of all figures, and tau's error."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    names = [field.name for field in fields(Agreement) if field.type is float]
    group = ("space", "task", "predictor", "train", "epochs")
    writer.writerow([*group, "trials", *names, "kendall_error"])
    for own in found:
        figures = [*(own.values[name] for name in names), own.error]
        texts = ["" if np.isnan(figure) else f"{figure:.6g}" for figure in figures]
        writer.writerow([*own.first.group, own.n, *texts])
    return stream.getvalue().encode()


def agreement(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Correlations of ``(M,)`` predictions with the truth, and precision of the predicted best.

    A predictor that says the same of all has correlations of 0. Where no more are tested than the
    best are, there is no precision: all would be among them.
    """
    constant = np.ptp(predicted) == 0 or np.ptp(truth) == 0
    rounded = np.round(predicted, 1)
    figures = {
        "kendall": 0.0 if constant else _statistic(kendalltau(predicted, truth)),
        "spearman": 0.0 if constant else _statistic(spearmanr(predicted, truth)),
        "pearson": 0.0 if constant else _statistic(pearsonr(predicted, truth)),
        "kendall_1dec": 0.0 if np.ptp(rounded) == 0 else _statistic(kendalltau(rounded, truth)),
    }
    best, guessed = np.argsort(-truth, kind="stable"), np.argsort(-predicted, kind="stable")
    for k in CHECKED:
        right = len(set(best[:k]) & set(guessed[:k]))
        figures[f"precision_{k}"] = right / k if k < len(truth) else np.nan
    return {name: float(value) for name, value in figures.items()}


def _statistic(result: Any) -> float:
    return float(result.statistic)
