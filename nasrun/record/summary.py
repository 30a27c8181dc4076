"""``trials.csv`` in few rows: ``summary.csv`` and ``best.json``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.files import write_csv, write_json
from nasrun.record.rows import DECIMALS
from nasrun.record.rows import PROTOCOL as OWN_PROTOCOL
from nasrun.report.pareto import OWNER, covered
from nasrun.report.stats import summarise_columns
from nasrun.spec import metric_named

FIGURES = (
    "reward", "val_score", "test_score", "latency_ms", "params_m", "flops_m", "evaluations",
    "simulated_s", "wall_s", "rank", "failed",
)  # fmt: skip
GROUP = ("space", "search_task", "task", "algorithm")
PROTOCOL = (*OWN_PROTOCOL, "meta")  # of the search
ALL_PROTOCOL = (*PROTOCOL, "final")  # and of the final figures, which may differ between tasks
STATISTICS = ("n", "mean", "std", "ci_low", "ci_high", "min", "median", "max")
KEY = (*GROUP, "metric", *ALL_PROTOCOL)
SUMMARY_COLUMNS = (*GROUP, "metric", "figure", *STATISTICS, *ALL_PROTOCOL)

Row = Mapping[str, str]


def write_summary(path: Path, trials: Sequence[Row], pareto: Sequence[Row] = ()) -> None:
    """Write one row per (space, tasks, algorithm, metric, protocol) and figure that is there.

    The hypervolume of the trials' fronts is one of the figures, where there are ``pareto`` rows
    (see ``covered``); a trial of such a search that found nothing has no row there and covers 0.
    """
    volumes = covered(pareto)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in trials:
        groups.setdefault(tuple(row[key] for key in KEY), []).append(row)
    lines = [line for group in groups.values() for line in _lines(group, volumes)]
    write_csv(path, SUMMARY_COLUMNS, [[line[name] for name in SUMMARY_COLUMNS] for line in lines])


def _owner(row: Row) -> tuple[str, ...]:
    """The trial of a row, whatever task it is scored on: a front is that of the search."""
    return tuple(row[key] for key in OWNER)


def _lines(
    rows: Sequence[Row], volumes: Mapping[tuple[str, ...], float]
) -> Iterator[dict[str, Any]]:
    key = {name: rows[0][name] for name in KEY}
    nothing = 0.0 if any(_owner(row) in volumes for row in rows) else np.nan
    figures = np.array(
        [
            [*(float(row[name] or "nan") for name in FIGURES), volumes.get(_owner(row), nothing)]
            for row in rows
        ]
    )
    names = (*FIGURES, "hypervolume")
    for figure, summary in zip(names, summarise_columns(figures), strict=True):
        if summary is not None:
            statistics = {name: _cell(getattr(summary, name)) for name in STATISTICS}
            yield {**key, "figure": figure, **statistics}


def _cell(figure: float) -> float | int | None:
    if isinstance(figure, int):
        return figure
    return None if np.isnan(figure) else round(figure, DECIMALS)


def write_best(path: Path, trials: Sequence[Row]) -> None:
    """Write the trial with the highest reward (the first seed among equals) on all its tasks.

    Where none has one, because nothing was measured, the highest validation score stands in.
    Nothing is written where there is no score either.
    """
    found = [row for row in trials if row["reward"]] or [row for row in trials if row["val_score"]]
    if not found:
        path.unlink(missing_ok=True)
        return
    best = max(found, key=lambda row: (_worth(row), -int(row["seed"])))
    same = [row for row in trials if row["seed"] == best["seed"]]
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


def _worth(row: Row) -> float:
    if row["reward"]:
        return float(row["reward"])
    score = float(row["val_score"])
    return score if metric_named(row["metric"]).higher_is_better else -score


def _figures(row: Row) -> dict[str, float | str | None]:
    figures = {name: float(row[name]) if row[name] else None for name in FIGURES[1:]}
    return {"metric": row["metric"], **figures, "final": row["final"]}
