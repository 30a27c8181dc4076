"""What the jobs of a sweep know beyond ``trials.csv``: meta-training, measurements, provenance."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasrun.errors import DataError
from nasrun.files import TUNING, folders_with, read_csv, read_json
from nasrun.measurements import SPENT, evaluations_file, size_mb, with_spent
from nasrun.report.labels import told_apart
from nasrun.report.stats import bootstrap_ci
from nasrun.report.trials import Problem, Trials
from nasrun.spec import Metric, metric_named
from nasrun.streams import Floats, Ints

if TYPE_CHECKING:
    from pandas import DataFrame

HOUR_S = 3600.0
POLICY = "policy.csv"
STATUS = "status.json"
TRIALS = "trials.csv"  # of a search; a study has another file
REWARD = Metric("reward", "reward")
MOMENTS = 60  # at which the curves against hours are computed
SETTLED = 0.1  # of the budget: a panel shows the height of the curves from here on
NEEDED = [
    "seed",
    "epochs",
    "metric",
    "val_score",
    "reward",
    "clock_s",
]  # columns of evaluations.csv


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
    """A finished job's folder; ``meta`` is None where nothing was meta-trained.

    ``policy``: its ``policy.csv``, None where the method has no policy.
    """

    folder: Path
    search: Search
    meta: MetaCost | None
    policy: Path | None = None


@dataclass(frozen=True)
class Histories:
    """Measurements of ``n`` trials in order, ``(n, k)``; NaN after a trial's last one.

    ``best`` is the highest reward so far among measurements of the longest training, ``clock_h``
    the hours spent after each, NaN where costs are unknown, ``evaluations`` those charged by then,
    of which a generation is many. ``reached`` is what a curve shows: the reward, or the metric that
    it is the negative of. ``agent (n,)``: numbers of the meta-trained agents that searched; None:
    there are none.
    """

    best: Floats
    clock_h: Floats
    evaluations: Floats
    reached: Metric = REWARD
    agent: Ints | None = None


def find_jobs(folder: Path) -> list[Job]:
    """The finished jobs below a sweep's folder; those that only chose values are none, nor studies.

    Raises:
        DataError: a file of a finished job is missing or damaged.
    """
    found = sorted(folders_with(folder, STATUS, (TUNING,)))
    statuses = {place: read_json(place / STATUS) for place in found}
    return [
        _job(place)
        for place, status in statuses.items()
        if status["state"] == "complete" and status.get("rows", TRIALS) == TRIALS
    ]


def named(jobs: Sequence[Job], names: Collection[str]) -> list[Job]:
    """The jobs of a folder by the ``names`` of joined trials: ``rea[population=5]`` for ``rea``.

    So are jobs called that differ in a setting (see ``told_apart``), where a join had to.
    """
    suffixes = told_apart({job.folder: [job.search._asdict()] for job in jobs}).suffixes
    found: list[Job] = []
    for job in jobs:
        name = job.search.algorithm + suffixes[job.folder]
        known = name in names
        found.append(replace(job, search=job.search._replace(algorithm=name)) if known else job)
    return found


def _job(folder: Path) -> Job:
    rows = read_csv(folder / TRIALS)
    if not rows:
        raise DataError(f"{folder / TRIALS}: a finished job without trials; delete the job")
    search = Search(*(rows[0][key] for key in Search._fields))
    meta = _meta_cost(read_json(folder / "provenance.json"))
    policy = folder / POLICY
    return Job(folder, search, meta, policy if policy.exists() else None)


def evaluations_mb(jobs: Sequence[Job]) -> float:
    """Size of the jobs' measurements in megabytes; 0 where a job has kept none."""
    sizes = [size_mb(job.folder) for job in jobs]
    return sum(sizes) if all(sizes) else 0.0


def meta_agents(origin: Mapping[str, Any]) -> int:
    """How many agents were meta-trained for a run, by its ``provenance.json``; 0: none.

    What learnt from records searched for nothing, and has no agents.
    """
    meta: Mapping[str, Any] | None = origin.get("meta")
    return int(meta.get("agents", 0)) if meta else 0


def _meta_cost(origin: Mapping[str, Any]) -> MetaCost | None:
    agents = meta_agents(origin)
    if not agents:
        return None
    cost_s = origin["meta"]["cost_s"]
    cost_s = np.nan if cost_s is None else cost_s
    return MetaCost(agents, float(cost_s) / agents / HOUR_S)


def meta_costs(jobs: Iterable[Job]) -> dict[Search, MetaCost]:
    """What was meta-trained for each search; searches without meta-training are left out.

    Where the jobs of a search have not as many agents, it is what their seeds have in common.
    """
    found = defaultdict[Search, set[MetaCost]](set)
    for job in jobs:
        if job.meta is not None:
            found[job.search].add(job.meta)
    return {
        search: MetaCost(agents_in_common(costs), fmean(cost.agent_h for cost in costs))
        for search, costs in found.items()
    }


def agents_in_common(costs: Iterable[MetaCost | None]) -> int:
    """Into how many blocks seeds fall, modulo it, that share no agent of any search; 0: no agents.

    Where searches have agents, but not as many, it is fewer than either.
    """
    return math.gcd(*(cost.agents for cost in costs if cost))


def read_histories(jobs: Sequence[Job]) -> Histories:
    """The measurements of the jobs' trials.

    Raises:
        DataError: an ``evaluations.csv`` is missing or not nasrun's.
    """
    import pandas as pd

    paths = [evaluations_file(job.folder) for job in jobs]
    try:
        frame = pd.concat([_measurements(path) for path in paths])
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise DataError(f"{', '.join(map(str, paths))}: cannot be read ({error})") from None
    trial = frame["seed"].rank(method="dense").to_numpy(np.int64) - 1
    step = frame.groupby("seed").cumcount().to_numpy(np.int64)
    shape = (int(trial.max()) + 1, int(step.max()) + 1)
    reward, clock_h, spent = (np.full(shape, np.nan) for _ in range(3))
    longest = frame["epochs"] == frame["epochs"].max()
    reward[trial, step] = frame["reward"].where(longest).to_numpy(np.float64)
    clock_h[trial, step] = frame["clock_s"].to_numpy(np.float64) / HOUR_S
    spent[trial, step] = frame[SPENT].to_numpy(np.float64)
    over = np.arange(shape[1]) >= np.bincount(trial)[:, None]
    best = np.where(over, np.nan, np.fmax.accumulate(reward, axis=1))
    agents = agents_in_common([job.meta for job in jobs])
    agent = np.unique(frame["seed"].to_numpy(np.int64)) % agents if agents else None
    return Histories(best, clock_h, spent, _reached(frame), agent)


def _measurements(path: Path) -> "DataFrame":
    """What a curve needs of a file of measurements."""
    import pandas as pd

    frame = pd.read_csv(path, usecols=lambda name: name in (*NEEDED, SPENT))
    if missing := [name for name in NEEDED if name not in frame]:
        raise ValueError(f"no column {', '.join(missing)}")
    return with_spent(frame, path.parent)


def _reached(frame: "DataFrame") -> Metric:
    """The metric, where less of it is better and the reward is nothing but its negative."""
    metric = metric_named(str(frame["metric"].iloc[0]))
    known = frame.dropna(subset=["reward", "val_score"])
    if metric.higher_is_better or not np.allclose(known["reward"], -known["val_score"]):
        return REWARD
    return replace(metric, label=f"validation {metric.label}")


def origins(jobs: Sequence[Job]) -> list[tuple[str, list[str]]]:
    """Facts and their values, one value where all jobs agree; none without jobs.

    Raises:
        DataError: a ``provenance.json`` cannot be read.
    """
    if not jobs:
        return []
    found = [read_json(job.folder / "provenance.json") for job in jobs]
    return [("finished jobs", [str(len(jobs))]), *_facts(found)]


def _facts(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    facts = [
        ("nasrun", [_version(job) for job in found]),
        ("Python", [str(job.get("python", "")) for job in found]),
        ("packages", [_pairs(job.get("packages")) for job in found]),
        ("machine", [_machine(job) for job in found]),
        ("command", [" ".join(job.get("command") or ()) for job in found]),
        ("data", [f"{name} {digest}" for job in found for name, digest in _items(job.get("data"))]),
    ]
    distinct = [(name, [v for v in dict.fromkeys(values) if v]) for name, values in facts]
    return [(name, values) for name, values in distinct if values]


def _version(job: Mapping[str, Any]) -> str:
    commit = f", commit {job['commit']}" if job.get("commit") else ""
    dirty = ", with uncommitted changes" if job.get("dirty") else ""
    return f"{job.get('nasrun', '')}{commit}{dirty}"


def _machine(job: Mapping[str, Any]) -> str:
    cpus = f"{job['cpus']} CPUs" if job.get("cpus") else ""
    parts = [job.get("platform"), job.get("device"), cpus]
    return ", ".join(str(part) for part in parts if part)


def _pairs(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in _items(values) if value)


def _items(values: Any) -> list[tuple[str, Any]]:
    return list(values.items()) if isinstance(values, dict) else []


@dataclass(frozen=True)
class Curve:
    """``(k,)`` mean of the best so far with its 95% interval, at ``x (k,)``, in words ``y``."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    y: str = "best reward so far"


Curves = Mapping[Search, tuple[Curve, Curve]]  # against evaluations, against hours


def anytime_curves(problems: Mapping[Problem, Trials], jobs: Sequence[Job]) -> Curves:
    """The curves of every search whose jobs are at hand.

    Raises:
        DataError: an ``evaluations.csv`` of the jobs cannot be read.
    """
    found: dict[Search, tuple[Curve, Curve]] = {}
    for problem, trials in problems.items():
        for name in trials.algorithms:
            search = Search(problem.space, problem.search_task, name)
            own = [job for job in jobs if job.search == search]
            if own and search not in found:  # scored tasks share a search
                histories = read_histories(own)
                found[search] = by_evaluations(histories), by_hours(histories)
    return found


def settled(curves: Sequence[Curve]) -> tuple[float, float]:
    """Lowest and highest mean after the first tenth of the budget; NaNs where there is no curve."""
    late = [
        np.append(curve.mean[curve.x >= SETTLED * curve.x[-1]], [curve.low[-1], curve.high[-1]])
        for curve in curves
        if len(curve.x)
    ]
    if not late:
        return float("nan"), float("nan")
    values = np.concatenate(late)
    return float(np.nanmin(values)), float(np.nanmax(values))


def by_evaluations(histories: Histories) -> Curve:
    """The curve against the evaluations charged, until half of the trials have ended.

    It has a point wherever a trial has measured: of a method of generations, after each of them.
    What a trial found stays found after its end. The curve begins where every trial has measured
    an architecture after the full training.
    """
    spent = histories.evaluations
    half = float(np.median(np.nanmax(spent, axis=1)))
    x = np.unique(spent[(spent > 0) & (spent <= half)])
    return _curve(x, _so_far(x, spent, histories), histories)


def by_hours(histories: Histories) -> Curve:
    """The curve against hours, until half of the trials have ended; empty if costs are unknown."""
    ends_h = np.nanmax(histories.clock_h, axis=1, initial=-np.inf)
    if not np.isfinite(ends_h).all():
        return _curve(np.empty(0), np.empty((len(ends_h), 0)), histories)
    hours = np.linspace(0.0, float(np.median(ends_h)), MOMENTS + 1)[1:]
    return _curve(hours, _so_far(hours, histories.clock_h, histories), histories)


def _so_far(x: Floats, spent: Floats, histories: Histories) -> Floats:
    """``(n, k)`` best of each trial once it has spent ``x (k,)``, of ``spent (n, steps)``."""
    best = np.fmax.accumulate(histories.best, axis=1)
    return np.stack([_at(x, *trial) for trial in zip(spent, best, strict=True)])


def _at(x: Floats, spent: Floats, best: Floats) -> Floats:
    """``(k,)`` best of one trial's measurements that were over by then; NaN before the first."""
    ended = spent[~np.isnan(spent)]
    over = np.searchsorted(ended, x, side="right")
    return np.append(np.nan, best[: len(ended)])[over]


def _curve(x: Floats, best: Floats, histories: Histories) -> Curve:
    reached, whole = histories.reached, ~np.isnan(best).any(axis=0)
    x, shown = x[whole], reached.oriented(best[:, whole])
    low, high = bootstrap_ci(shown, blocks=histories.agent)
    return Curve(x, shown.mean(axis=0), low, high, f"best {reached.title} so far")
