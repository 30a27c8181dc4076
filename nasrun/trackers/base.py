"""What trackers share: when they act, and what a finished run has to tell.

They read a run's files once it is done, so they cannot slow a search or change a number.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from nasrun.errors import UnsupportedError
from nasrun.files import read_csv, read_json
from nasrun.measurements import SPENT, evaluation_rows
from nasrun.record.status import STATUS, read_status
from nasrun.spec import Floats, Ints, Phase

QUARTERS = (25, 50, 75)


@dataclass(frozen=True)
class Curve:
    """Best reward so far over the trials of a run, once each was charged ``steps`` evaluations.

    ``steps (n,)``, ``mean (n,)`` and ``quartiles (3, n)``; a trial that has ended keeps its best.
    These are the evaluations of budgets and reports. Rows would not do: one stands for a whole
    generation, and a repeat that is not charged has one of its own.
    """

    steps: Ints
    mean: Floats
    quartiles: Floats


@dataclass(frozen=True)
class Finished:
    """A finished run: where it is, what it was asked for, what it found, where that is from."""

    folder: Path
    name: str
    config: Mapping[str, Any]
    curve: Curve
    metrics: Mapping[str, float]  # task/metric -> mean over the trials, task/metric_std -> std
    provenance: Mapping[str, Any]


class Tracker(Callback):
    """A callback that acts once, when a job has ended well.

    Raises:
        UnsupportedError: its package is not installed.
    """

    package: ClassVar[str]  # to be imported
    extra: ClassVar[str]  # of nasrun, which installs the package

    def __init__(self) -> None:
        if find_spec(self.package) is None:
            raise UnsupportedError(
                f"+tracker={self.extra} needs {self.package}, which is not installed: "
                f'pip install "nasrun[{self.extra}]"'
            )

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        """Hand the job's run over, if it is complete."""
        folder = Path(config.hydra.runtime.output_dir)
        if (folder / STATUS).exists() and read_status(folder)["state"] == "complete":
            self.track(read_finished(folder))

    @abstractmethod
    def track(self, run: Finished) -> None:
        """Hand a run to the tool; the same run again must leave the same."""


def read_finished(folder: Path) -> Finished:
    """The run in a folder.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = read_csv(folder / "summary.csv")
    config = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "config.yaml"))
    assert isinstance(config, dict)
    metrics: dict[str, float] = {}
    for row in rows:
        metric = f"{row['task']}/{row['figure']}"
        metrics[metric] = float(row["mean"])
        if row["std"]:
            metrics[f"{metric}_std"] = float(row["std"])
    return Finished(
        folder=folder.resolve(),
        name=f"{rows[0]['algorithm']}-{rows[0]['search_task']}-seed{config['seed']}",
        config={str(key): value for key, value in config.items()},
        curve=read_curve(folder),
        metrics=metrics,
        provenance=read_json(folder / "provenance.json"),
    )


def read_curve(folder: Path) -> Curve:
    """The curve of a run's measurements; NaN where no trial has a reward yet."""
    by_trial: dict[str, list[tuple[int, float]]] = {}
    for row in evaluation_rows(folder):
        if row["phase"] == Phase.SEARCH.value:
            own = by_trial.setdefault(row["seed"], [])
            spent = int(row.get(SPENT) or len(own) + 1)  # folders of earlier versions have none
            own.append((spent, float(row["reward"] or "nan")))
    trials = [np.array(own) for own in by_trial.values()]
    steps = np.unique(np.concatenate([own[:, 0] for own in trials])).astype(np.int64)
    best = np.stack([_best_by(steps, *own.T) for own in trials])
    known = ~np.isnan(best).all(axis=0)
    mean, quartiles = np.full(len(steps), np.nan), np.full((len(QUARTERS), len(steps)), np.nan)
    mean[known] = np.nanmean(best[:, known], axis=0)
    quartiles[:, known] = np.nanpercentile(best[:, known], QUARTERS, axis=0)
    return Curve(steps, mean, quartiles)


def _best_by(steps: Ints, spent: Floats, rewards: Floats) -> Floats:
    """``(n,)`` best of a trial's measurements that were over by each step; NaN before the first."""
    over = np.searchsorted(spent, steps, side="right")
    return np.append(np.nan, np.fmax.accumulate(rewards))[over]


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """A nested mapping as texts by dotted key, such as ``algorithm.population``."""
    found: dict[str, str] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = value if isinstance(value, str) else json.dumps(value)
    return found
