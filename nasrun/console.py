"""What a person sees when a run or a sweep is done: tables and sentences."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nasrun.files import read_csv, read_json
from nasrun.record.collect import Collected
from nasrun.record.recorder import STATUS
from nasrun.record.summary import GROUP, PROTOCOL

HOUR_S = 3600
SPREADS = {
    "reward of the search": "reward",
    "validation accuracy %": "val_score",
    "test accuracy %": "test_score",
    "latency ms": "latency_ms",
}
Row = Mapping[str, str]


def show_run(folder: Path) -> None:
    """Print the table of a finished run and where it was written."""
    status = read_json(folder / STATUS)
    console = Console()
    console.print(_run_table(read_csv(folder / "summary.csv"), f"{status['wall_s']:.1f}"))
    console.print(f"wrote {_short(folder)}", soft_wrap=True, highlight=False, markup=False)


def show_job(folder: Path) -> None:
    """Print one line on a finished job of a sweep."""
    metrics = {row["figure"]: row for row in read_csv(folder / "summary.csv")}
    line = metrics["evaluations"]
    reward = _spread(metrics.get("reward"))
    print(f"{line['algorithm']} on {line['search_task']}: {line['n']} trials, reward {reward}")


def show_sweep(folder: Path, collected: Collected, tables: Sequence[Any]) -> None:
    """Print the joined table of a sweep, its report, and what is missing."""
    console = Console()
    if collected.rows and not tables:
        console.print(_sweep_table(read_csv(folder / "summary.csv")))
    for table in tables:
        console.print(table)
    jobs = f"{collected.rows} rows of {collected.complete} finished jobs"
    wrote = f"wrote {_short(folder)}: {jobs}"
    console.print(wrote, soft_wrap=True, highlight=False, markup=False)
    for job, reason in collected.failed.items():
        print(f"failed: {job}: {reason}", file=sys.stderr)
    for job in collected.unfinished:
        print(f"unfinished: {job}; start the same command again to go on", file=sys.stderr)


def _run_table(summary: Sequence[Row], wall_s: str) -> Table:
    """A line per figure and a column per scored task."""
    tasks = {
        row["task"]: {r["figure"]: r for r in summary if r["task"] == row["task"]}
        for row in summary
    }
    first = summary[0]
    trials = next(row["n"] for row in summary if row["figure"] == "evaluations")
    table = Table(
        title=escape(f"{first['algorithm']} on {first['search_task']}: {trials} trials"),
        caption=f"{first['split']}, {first['fidelity']}, run {first['run']}",
    )
    table.add_column("mean ± std, [95% CI of the mean]")
    for task in tasks:
        table.add_column(task, justify="right")
    for label, metric in SPREADS.items():
        if any(metric in metrics for metrics in tasks.values()):
            table.add_row(label, *(_interval(metrics.get(metric)) for metrics in tasks.values()))
    table.add_row("best found, validation accuracy %", *(_best(m) for m in tasks.values()))
    table.add_row(
        "rank in the table, median (best)", *(_rank(m.get("rank")) for m in tasks.values())
    )
    hours = [_hours(metrics.get("simulated_s")) for metrics in tasks.values()]
    table.add_row("simulated hours a trial", *hours)
    table.add_row("wall seconds of the run", *([wall_s] * len(tasks)))
    return table


def _sweep_table(summary: Sequence[Row]) -> Table:
    """A line per algorithm, searched task, scored task and protocol."""
    table = Table(title="mean ± std over trials; more in summary.csv")
    for name in ("algorithm", "task", "trials", "reward", "test acc %", "rank", "sim. h"):
        # Folded: rea[population=5] without its end is the name of several lines.
        justify = "left" if name in ("algorithm", "task") else "right"
        table.add_column(name, justify=justify, overflow="fold")
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in summary:
        key = tuple(row[k] for k in (*GROUP, *PROTOCOL))
        groups.setdefault(key, {})[row["figure"]] = row
    for (_, searched, task, algorithm, *_), metrics in groups.items():
        where = task if task == searched else f"{searched} > {task}"
        spreads = [_spread(metrics.get(metric)) for metric in ("reward", "test_score")]
        rank, hours = _rank(metrics.get("rank")), _hours(metrics.get("simulated_s"))
        name = escape(algorithm)  # rea[population=5] is no markup
        table.add_row(name, where, metrics["evaluations"]["n"], *spreads, rank, hours)
    return table


def _short(folder: Path) -> Path:
    """The folder as seen from here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _spread(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{float(row['mean']):.2f}" + (f" ± {float(row['std']):.2f}" if row["std"] else "")


def _interval(row: Row | None) -> str:
    if row is None or not row["std"]:
        return _spread(row)
    return f"{_spread(row)}\n[{float(row['ci_low']):.2f}, {float(row['ci_high']):.2f}]"


def _best(metrics: Mapping[str, Row]) -> str:
    """Best validation accuracy among the trials, or the best reward where it is unknown."""
    row = metrics.get("val_score") or metrics.get("reward")
    return f"{float(row['max']):.2f}" if row else "-"


def _rank(row: Row | None) -> str:
    return f"{float(row['median']):.0f} ({float(row['min']):.0f})" if row else "-"


def _hours(row: Row | None) -> str:
    return f"{float(row['mean']) / HOUR_S:.1f}" if row else "-"
