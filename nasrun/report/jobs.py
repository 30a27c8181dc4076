"""What the jobs of a sweep know beyond the joined ``trials.csv``: meta-training, measurements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nasrun.errors import DataError
from nasrun.files import TUNING, read_csv, read_json
from nasrun.streams import Floats

HOUR_S = 3600.0
NEEDED = ["seed", "epochs", "reward", "clock_s"]  # columns of evaluations.csv


class Search(NamedTuple):
    """What a job did: one algorithm on one searched task."""

    space: str
    search_task: str
    algorithm: str


@dataclass(frozen=True)
class MetaCost:
    """How many agents were meta-trained, and the hours that each of them took (NaN: unknown)."""

    agents: int
    agent_h: float


@dataclass(frozen=True)
class Job:
    """A finished job's folder; ``meta`` is None where nothing was meta-trained."""

    folder: Path
    search: Search
    meta: MetaCost | None


@dataclass(frozen=True)
class Histories:
    """Measurements of ``n`` trials in order, ``(n, k)``; NaN after a trial's last one.

    ``best`` is the highest reward so far among measurements of the longest training, ``clock_h``
    the hours spent after each.
    """

    best: Floats
    clock_h: Floats


def find_jobs(folder: Path) -> list[Job]:
    """The finished jobs below a sweep's folder; those that only chose values are none.

    Raises:
        DataError: a file of a finished job is missing or damaged.
    """
    found = sorted(folder.rglob("status.json"))
    states = [path for path in found if TUNING not in path.relative_to(folder).parts]
    return [_job(path.parent) for path in states if read_json(path)["state"] == "complete"]


def _job(folder: Path) -> Job:
    rows = read_csv(folder / "trials.csv")
    if not rows:
        raise DataError(f"{folder / 'trials.csv'}: a finished job without trials; delete the job")
    search = Search(*(rows[0][key] for key in Search._fields))
    return Job(folder, search, _meta_cost(read_json(folder / "provenance.json").get("meta")))


def _meta_cost(meta: Mapping[str, Any] | None) -> MetaCost | None:
    if not meta:
        return None
    cost_s = np.nan if meta["cost_s"] is None else meta["cost_s"]
    return MetaCost(meta["agents"], float(cost_s) / meta["agents"] / HOUR_S)


def meta_costs(jobs: Iterable[Job]) -> dict[Search, MetaCost]:
    """What was meta-trained for each search; searches without meta-training are left out."""
    return {job.search: job.meta for job in jobs if job.meta is not None}


def read_histories(jobs: Sequence[Job]) -> Histories:
    """The measurements of the jobs' trials.

    Raises:
        DataError: an ``evaluations.csv`` is missing or not nasrun's.
    """
    import pandas as pd

    paths = [job.folder / "evaluations.csv" for job in jobs]
    try:
        frame = pd.concat([pd.read_csv(path, usecols=NEEDED) for path in paths])
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise DataError(f"{', '.join(map(str, paths))}: cannot be read ({error})") from None
    trial = frame["seed"].rank(method="dense").to_numpy(np.int64) - 1
    step = frame.groupby("seed").cumcount().to_numpy(np.int64)
    shape = (int(trial.max()) + 1, int(step.max()) + 1)
    reward, clock_h = np.full(shape, np.nan), np.full(shape, np.nan)
    longest = frame["epochs"] == frame["epochs"].max()
    reward[trial, step] = frame["reward"].where(longest).to_numpy(np.float64)
    clock_h[trial, step] = frame["clock_s"].to_numpy(np.float64) / HOUR_S
    best = np.fmax.accumulate(reward, axis=1)
    return Histories(np.where(np.isnan(clock_h), np.nan, best), clock_h)
