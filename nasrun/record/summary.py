"""``trials.csv`` in few rows: ``summary.csv`` and ``best.json``."""

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.files import write_csv, write_json
from nasrun.record.rows import DECIMALS
from nasrun.record.rows import PROTOCOL as OWN_PROTOCOL
from nasrun.report.pareto import OWNER, covered
from nasrun.report.stats import summarise_columns
from nasrun.spec import metric_named

log = logging.getLogger("nasrun")
FIGURES = (
    "reward", "val_score", "test_score", "latency_ms", "params_m", "flops_m", "evaluations",
    "simulated_s", "wall_s", "rank", "failed",
)  # fmt: skip
GROUP = ("space", "search_task", "task", "algorithm")
PROTOCOL = (*OWN_PROTOCOL, "meta")  # of the search
ALL_PROTOCOL = (*PROTOCOL, "final")  # and of the final figures, which may differ between tasks
STATISTICS = ("n", "units", "mean", "std", "ci_low", "ci_high", "min", "median", "max")
KEY = (*GROUP, "metric", *ALL_PROTOCOL)
SUMMARY_COLUMNS = (*GROUP, "metric", "figure", *STATISTICS, *ALL_PROTOCOL)

Row = Mapping[str, str]


@dataclass
class _Group:
    """Figures of the trials of one search on one task, and of how many agents it has."""

    agents: int
    targets_ms: set[str] = field(default_factory=set[str])
    seeds: "array[int]" = field(default_factory=lambda: array("q"))
    figures: "array[float]" = field(default_factory=lambda: array("d"))


def write_summary(
    path: Path,
    trials: Iterable[Row],
    pareto: Sequence[Row] = (),
    agents: Callable[[Row], int] = lambda _: 0,
) -> None:
    """Write one row per (space, tasks, algorithm, metric, protocol) and figure that is there.

    The hypervolume of the trials' fronts is one of the figures, where there are ``pareto`` rows
    (see ``covered``); a trial of such a search that found nothing has no row there and covers 0.
    Of the rows, their figures alone are kept in memory. ``agents``: how many were meta-trained for
    a row's search, which are the units of its intervals; 0: none, and trials are. Says so where the
    rewards of a search aim at different latencies.
    """
    volumes = covered(pareto)
    with_fronts = {search_of(row) for row in pareto}
    groups: dict[tuple[str, ...], _Group] = {}
    key_of, figures_of = itemgetter(*KEY), itemgetter(*FIGURES)
    for row in trials:
        if (key := key_of(row)) not in groups:
            groups[key] = _Group(agents(row))
        own = groups[key]
        own.seeds.append(int(row["seed"]))
        if row["target_ms"]:
            own.targets_ms.add(row["target_ms"])
        own.figures.extend([float(text or "nan") for text in figures_of(row)])
        nothing = 0.0 if with_fronts and search_of(row) in with_fronts else np.nan
        own.figures.append(volumes.get(_owner(row), nothing) if volumes else nothing)
    _tell_targets(groups)
    lines = [line for key, own in groups.items() for line in _lines(key, own)]
    write_csv(path, SUMMARY_COLUMNS, [[line[name] for name in SUMMARY_COLUMNS] for line in lines])


def _tell_targets(groups: Mapping[tuple[str, ...], _Group]) -> None:
    """Say that trials of one search were rewarded by different targets, as measured ones differ."""
    for key, own in groups.items():
        group = dict(zip(KEY, key, strict=True))
        if len(own.targets_ms) > 1:
            ordered = sorted(own.targets_ms, key=float)
            log.warning(
                "%s on %s: rewards of its trials do not compare, since each process has measured a "
                "target_ms of its own (%s to %s): set hardware.target_ms",
                group["algorithm"], group["task"], ordered[0], ordered[-1],
            )  # fmt: skip


def _owner(row: Row) -> tuple[str, ...]:
    """The trial of a row, whatever task it is scored on: a front is that of the search."""
    return tuple(row[key] for key in OWNER)


def search_of(row: Row) -> tuple[str, ...]:
    """The search of a row: what says which trials belong together."""
    return tuple(row[key] for key in OWNER if key != "seed")


def _lines(key: Sequence[str], own: _Group) -> Iterator[dict[str, Any]]:
    names = (*FIGURES, "hypervolume")
    figures = np.frombuffer(own.figures).reshape(-1, len(names))
    found = summarise_columns(figures, np.frombuffer(own.seeds, np.int64), own.agents)
    for figure, summary in zip(names, found, strict=True):
        if summary is not None:
            statistics = {name: _cell(getattr(summary, name)) for name in STATISTICS}
            yield {**dict(zip(KEY, key, strict=True)), "figure": figure, **statistics}


def _cell(figure: float) -> float | int | None:
    if isinstance(figure, int):
        return figure
    return None if np.isnan(figure) else round(figure, DECIMALS)


def write_best(path: Path, trials: Callable[[], Iterable[Row]]) -> None:
    """Write the trial with the highest reward (the first seed among equals) on all its tasks.

    Where none has one, because nothing was measured, the highest validation score stands in, and
    where there are test scores alone, which choose nothing, the first seed does. Nothing is written
    where there is no score at all. ``trials`` gives the rows from the beginning,
    as often as it is called.
    """
    found = (row for row in trials() if row["reward"] or row["val_score"] or row["test_score"])
    best = max(found, key=_rank, default=None)
    if best is None:
        path.unlink(missing_ok=True)
        return
    same = [row for row in trials() if row["seed"] == best["seed"]]
    write_json(
        path,
        {
            **{key: best[key] for key in ("space", "search_task", "algorithm", "arch")},
            "seed": int(best["seed"]),
            "reward": float(best["reward"]) if best["reward"] else None,
            "tasks": {row["task"]: _figures(row) for row in same},
            "protocol": {key: best[key] for key in PROTOCOL},
        },
    )


def _rank(row: Row) -> tuple[bool, float, int]:
    """What decides which trial is best: rewards before scores, the first seed among equals."""
    rewarded, seed = bool(row["reward"]), -int(row["seed"])
    if rewarded:
        return rewarded, float(row["reward"]), seed
    if not row["val_score"]:
        return rewarded, -np.inf, seed
    score = float(row["val_score"])
    better_higher = metric_named(row["metric"]).higher_is_better
    return rewarded, score if better_higher else -score, seed


def _figures(row: Row) -> dict[str, float | str | None]:
    figures = {name: float(row[name]) if row[name] else None for name in FIGURES[1:]}
    return {"metric": row["metric"], **figures, "final": row["final"]}
