"""Logs of trainings without a table: learning curves, and what was trained where they say it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.nb_nlp import read as read_nlp
from nasrun.csv_input import CsvInput, read_csv_input
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_bytes
from nasrun.spec import Floats

AFTER_EPOCH = re.compile(r"(acc|ep)_(\d+)")  # columns of Baker et al.'s files; ep: perplexities
PERCENT = 100.0
CURE = "name a trainings.csv, a CSV file with a column for every epoch, or NAS-Bench-NLP's logs.zip"


@dataclass(frozen=True)
class CurveLogs:
    """Whole trainings of one task: curves ``(N, E)``, higher for what is better.

    ``val_score``: accuracies in percent, or losses and perplexities with their sign changed;
    ``train_loss`` with its sign changed, None where it was not logged; ``archs``: what was trained,
    as texts, None where that was not logged.
    """

    val_score: Floats
    train_loss: Floats | None
    archs: tuple[str, ...] | None = None

    @property
    def final(self) -> Floats:
        """``(N,)`` the best validation figure of each training, which is to be predicted."""
        return self.val_score.max(axis=1)

    def of(self, figure: str) -> Floats | None:
        """``(N, E)`` the curves of one of ``CURVES``; None where there are none."""
        return {"val_score": self.val_score, "train_loss": self.train_loss}.get(figure)


def read_logs(path: Path, task: str | None = None) -> CurveLogs:
    """The whole trainings of a file; those that were cut off are left out.

    Args:
        path: NAS-Bench-NLP's ``logs.zip``, a CSV file with a column for each epoch (``acc_1``, ...
            as shares of 1; ``ep_0``, ... of perplexities), or a ``trainings.csv`` of ours.
        task: of a ``trainings.csv`` with several.

    Raises:
        DataError: no such file, or none of these.
        ConfigError: a file of several tasks, of which none was chosen, or one that it lacks.
    """
    if path.suffix == ".zip" or path.is_dir():
        return _of_nlp(path)
    table = read_csv_input(read_bytes(path), path, CURE)
    if {"training", "epoch", "loss"} <= set(table.header):
        return _of_trainings(table, task)
    return _of_columns(table)


def _of_nlp(path: Path) -> CurveLogs:
    curves = read_nlp(path).curves or {}
    val, train = (
        np.concatenate([curves[at] for at in curves if at.metric == name])
        for name in ("val_loss", "train_loss")
    )
    return _whole(-val, -train, path)


def _of_columns(table: CsvInput) -> CurveLogs:
    names = [name for name in table.header if AFTER_EPOCH.fullmatch(name)]
    names.sort(key=lambda name: int(name.partition("_")[2]))
    if len(names) < 2:
        raise DataError(
            f"{table.path}: expected a column for every epoch, such as acc_1 to acc_20: {CURE}"
        )
    curve = np.stack([table.numbers(name) for name in names], axis=1)
    return _whole(PERCENT * curve if names[0].startswith("acc") else -curve, None, table.path)


def _of_trainings(table: CsvInput, task: str | None) -> CurveLogs:
    tasks, path = table.column("task"), table.path
    different = list(dict.fromkeys(tasks))
    if task not in different and (task is not None or len(different) > 1):
        raise ConfigError(
            f"{path} holds trainings of {len(different)} tasks: choose one of them with "
            f"study.log_task: {different[0]}, ..."
        )
    own = np.array([task in (None, each) for each in tasks])
    scores = "val_score" if "val_score" in table.header else "valid_acc_pct"
    epochs = table.numbers("epochs")[own]
    own[own] &= epochs == epochs.max()  # shorter trainings are other ones
    names = np.array(table.column("training"))[own]
    _, first, row = np.unique(names, return_index=True, return_inverse=True)
    at = row, table.numbers("epoch")[own].astype(np.int64) - 1
    val, train = (np.full((row.max() + 1, int(epochs.max())), np.nan) for _ in range(2))
    val[at], train[at] = table.numbers(scores)[own], -table.numbers("loss")[own]
    archs = np.array(table.column("arch"))[own][first] if "arch" in table.header else None
    return _whole(val, train, path, archs)


def _whole(
    val: Floats, train: Floats | None, path: Path, archs: NDArray[np.str_] | None = None
) -> CurveLogs:
    kept = np.logical_and.reduce(np.isfinite(val), axis=1)
    if train is not None:
        kept &= np.logical_and.reduce(np.isfinite(train), axis=1)
    if not kept.any():
        raise DataError(f"{path}: no training has a figure after every epoch")
    texts = None if archs is None else tuple(archs[kept].tolist())
    return CurveLogs(val[kept], None if train is None else train[kept], texts)
