"""How well latencies of once-for-all networks are predicted, setting by setting.

Usage: ``python scripts/latency_surrogates.py [--out FILE.csv] [overrides of the config]``, with
NASRUN_DATA set. For each column of HELP's table (5,000 networks), a fifth of the networks is held
out; ``hardware=ridge`` is fitted to the others in ``layers_by_area`` and by options alone, and so
are boosted trees (extra ``predictors``), which are the ceiling: where they do no better, what is
left is the noise of the measurement.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from nasrun.__main__ import CONF
from nasrun.config import build
from nasrun.errors import NasrunError
from nasrun.hardware.base import KnownDevice
from nasrun.hardware.ridge import Fit, RidgeLatency, quality
from nasrun.spec import Hardware, SearchSpace, Task

GPUS, BATCHES = ("2080ti", "titan_rtx", "titan_xp", "v100"), (1, 32, 64)
TREES: dict[str, Any] = {
    "n_estimators": 1000,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 10,
    "verbose": -1,
    "n_jobs": 1,
    "random_state": 0,
}


def opened(column: str, overrides: list[str]) -> tuple[RidgeLatency, SearchSpace, Task]:
    """The surrogate of a column, its space and a task."""
    own = [
        "space=mobilenet_v3",
        "hardware=ridge",
        "hardware@hardware.source=ofa_latency",
        f"hardware.source.device={column}",
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", own + overrides)
    hardware = build(config.hardware, Hardware, "hardware")
    assert isinstance(hardware, RidgeLatency)
    task = build(config.task, Task, "task")
    return hardware, build(config.space, SearchSpace, "space"), task


def boosted(hardware: RidgeLatency, space: SearchSpace, task: Task) -> Fit:
    """Boosted trees on the same networks, with the same ones held out."""
    from lightgbm import LGBMRegressor

    device = hardware.source.opened(space, task)
    assert isinstance(device, KnownDevice)
    archs = device.archs
    known = device.latency_ms(archs)
    held, fitted = hardware.shares(len(archs))
    features = space.encode(archs, "layers_by_area")
    trees = LGBMRegressor(**TREES).fit(features[fitted], np.log(known[fitted]))
    predicted = np.exp(np.asarray(trees.predict(features[held])))
    return quality(predicted, known[held], len(fitted))


def rows(overrides: list[str]) -> list[dict[str, object]]:
    """A row for each setting."""
    found = list[dict[str, object]]()
    for gpu in GPUS:
        for batch in BATCHES:
            hardware, space, task = opened(f"{gpu}_{batch}_ms", overrides)
            row: dict[str, object] = {"gpu": gpu, "batch": batch}
            fits = {"ridge": hardware.opened(space, task).fit}
            hardware.encoding = "onehot"
            fits["by_options"] = hardware.opened(space, task).fit
            fits["trees"] = boosted(hardware, space, task)
            for name, fit in fits.items():
                row[f"{name}_error_pct"] = round(fit.error_pct, 2)
                row[f"{name}_rank_correlation"] = round(fit.rank_correlation, 3)
            found.append(row)
    return found


def main() -> None:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="CSV file")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    try:
        found = rows(asked.overrides)
    except NasrunError as error:
        sys.exit(str(error))
    table = Table(*found[0])
    for row in found:
        table.add_row(*map(str, row.values()))
    Console().print(table)
    if asked.out is not None:
        with asked.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
