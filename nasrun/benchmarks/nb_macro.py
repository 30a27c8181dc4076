"""Reader of NAS-Bench-Macro's file, ``nas-bench-macro_cifar10.json`` ([MA]).

Its accuracies are of the *test* images alone, of networks that were trained on all others. So a
search on it is an oracle's: it chooses by what it is then judged by. That is why its validation
scores belong to a data set named ``cifar10-test-oracle``, which every row of a run says.
"""

from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.table import Column, Frame
from nasrun.errors import DataError
from nasrun.input_files import UNPACKED, read_bytes, read_json_bytes

EPOCHS = 50
RUNS = 3
ORACLE, FINAL = "cifar10-test-oracle", "cifar10"
ROUNDING = 0.01  # between a mean on record and that of the runs


def read(path: Path) -> Frame:
    """Three runs of each listed network, as search score (an oracle's) and as test score.

    Raises:
        DataError: not that file, or a damaged one.
    """
    try:
        records: dict[str, dict[str, Any]] = read_json_bytes(read_bytes(path, UNPACKED))
        runs = np.array([record["test_acc"] for record in records.values()], np.float64)
        means = np.array([record["mean_acc"] for record in records.values()], np.float64)
        if runs.ndim != 2 or runs.shape[1] != RUNS:
            raise ValueError(f"expected {RUNS} runs of each network")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not NAS-Bench-Macro's JSON ({type(error).__name__}: {error}); get "
            "nas-bench-macro_cifar10.json again"
        ) from None
    apart = np.abs(runs.mean(axis=1) - means) > ROUNDING
    if apart.any():
        row = int(np.argmax(apart))
        raise DataError(
            f"{path}: the mean of {list(records)[row]} is {means[row]:g}, but its runs have "
            f"{runs[row].mean():g}; get the file again"
        )
    columns = {
        Column(metric, dataset, EPOCHS, EPOCHS, str(run + 1)): runs[:, run]
        for metric, dataset in (("val_score", ORACLE), ("test_score", FINAL))
        for run in range(RUNS)
    }
    return Frame(list(records), columns)
