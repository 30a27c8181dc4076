"""``trials.csv`` in few rows: ``summary.csv`` and ``best.json``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.files import write_csv, write_json
from nasrun.record.history import DECIMALS
from nasrun.report.stats import summarise_columns

TRIAL_COLUMNS = (
    "space", "search_task", "task", "algorithm", "seed", "arch", "reward", "val_acc_pct",
    "test_acc_pct", "latency_ms", "params_m", "flops_m", "evaluations", "simulated_s", "wall_s",
    "rank", "split", "fidelity", "run", "clock", "meta", "final",
)  # fmt: skip
METRICS = TRIAL_COLUMNS[6:16]
GROUP = ("space", "search_task", "task", "algorithm")
PROTOCOL = ("split", "fidelity", "run", "clock", "meta")  # of the search
ALL_PROTOCOL = (*PROTOCOL, "final")  # and of the final figures, which may differ between tasks
STATISTICS = ("n", "mean", "std", "ci_low", "ci_high", "min", "median", "max")
SUMMARY_COLUMNS = (*GROUP, "metric", *STATISTICS, *ALL_PROTOCOL)

Row = Mapping[str, str]


def write_summary(path: Path, trials: Sequence[Row]) -> None:
    """Write one row per (space, tasks, algorithm, protocol) and metric that has figures."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in trials:
        groups.setdefault(tuple(row[key] for key in (*GROUP, *ALL_PROTOCOL)), []).append(row)
    write_csv(path, SUMMARY_COLUMNS, [line for item in groups.items() for line in _lines(*item)])


def _lines(key: tuple[str, ...], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    figures = np.array([[float(row[metric] or "nan") for metric in METRICS] for row in rows])
    return [
        (
            *key[: len(GROUP)],
            metric,
            *(_cell(getattr(summary, name)) for name in STATISTICS),
            *key[len(GROUP) :],
        )
        for metric, summary in zip(METRICS, summarise_columns(figures), strict=True)
        if summary is not None
    ]


def _cell(figure: float) -> float | int | None:
    if isinstance(figure, int):
        return figure
    return None if np.isnan(figure) else round(figure, DECIMALS)


def write_best(path: Path, trials: Sequence[Row]) -> None:
    """Write the trial with the highest reward (the first seed among equals) on all its tasks."""
    rewarded = [row for row in trials if row["reward"]]
    if not rewarded:
        write_json(path, None)
        return
    best = max(rewarded, key=lambda row: (float(row["reward"]), -int(row["seed"])))
    same = [row for row in trials if row["seed"] == best["seed"]]
    write_json(
        path,
        {
            **{key: best[key] for key in ("space", "search_task", "algorithm", "arch")},
            "seed": int(best["seed"]),
            "reward": float(best["reward"]),
            "tasks": {row["task"]: _figures(row) for row in same},
            "protocol": {key: best[key] for key in PROTOCOL},
        },
    )


def _figures(row: Row) -> dict[str, float | str | None]:
    figures = {metric: float(row[metric]) if row[metric] else None for metric in METRICS[1:]}
    return {**figures, "final": row["final"]}
