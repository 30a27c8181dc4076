"""What a person sees when a run or a sweep is done: tables and sentences."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nasrun.files import read_csv, read_json
from nasrun.record.collect import Collected
from nasrun.record.recorder import STATUS
from nasrun.record.summary import GROUP, PROTOCOL
from nasrun.report.schema import SCORES, measure
from nasrun.spec import Metric, metric_named

HOUR_S = 3600
SPREADS = ("reward", "val_score", "test_score", "latency_ms", "hypervolume")
MOSTLY = 0.5  # share of failed measurements from which a table says that most failed
Row = Mapping[str, str]
Figures = Mapping[str, Row]  # rows of summary.csv of one search on one task, by figure


def show_run(folder: Path) -> None:
    """Print the table of a finished run and where it was written."""
    console = Console()
    console.print(results_table(folder))
    console.print(f"wrote {_short(folder)}", soft_wrap=True, highlight=False, markup=False)


def show_job(folder: Path) -> None:
    """Print one line on a finished job of a sweep."""
    figures = {row["figure"]: row for row in read_csv(folder / "summary.csv")}
    line = figures["evaluations"]
    reward, failed = _spread(figures.get("reward")), _failed(figures)
    said = f", {failed:.1%} of the measurements failed" if failed else ""
    print(
        f"{line['algorithm']} on {line['search_task']}: {line['n']} trials, reward {reward}{said}"
    )


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


def results_table(folder: Path) -> Table:
    """The table of a finished run, or of a sweep."""
    summary = read_csv(folder / "summary.csv")
    if not (folder / STATUS).exists():
        return _sweep_table(summary)
    return _run_table(summary, f"{read_json(folder / STATUS)['wall_s']:.1f}")


def _run_table(summary: Sequence[Row], wall_s: str) -> Table:
    """A line per figure and a column per scored task."""
    tasks = {task: own for (_, _, task, *_), own in _grouped(summary).items()}
    first = summary[0]
    trials = next(iter(tasks.values()))["evaluations"]["n"]
    table = Table(
        title=escape(f"{first['algorithm']} on {first['search_task']}: {trials} trials"),
        caption="\n".join(
            [f"{first['split']}, {first['fidelity']}, run {first['run']}", *_mostly_failed(summary)]
        ),
    )
    table.add_column("mean ± std, [95% CI of the mean]")
    metrics = {row["metric"] for row in summary}
    for task, own in tasks.items():
        named = task if len(metrics) == 1 else f"{task}, {_measure(own['evaluations']).title}"
        table.add_column(named, justify="right")

    def add(label: str, cell: Callable[[Figures], str]) -> None:
        table.add_row(label, *(cell(own) for own in tasks.values()))

    for figure in SPREADS:
        if any(figure in own for own in tasks.values()):
            add(_title(figure, metrics), lambda own, figure=figure: _interval(own.get(figure)))
    add(f"best found, {_title('val_score', metrics)}", _best)
    add("rank in the table, median (best)", lambda own: _rank(own.get("rank")))
    if any(_failed(own) for own in tasks.values()):
        add("failed measurements, %", lambda own: f"{100 * _failed(own):.1f}")
    add("simulated hours a trial", lambda own: _hours(own.get("simulated_s")))
    add("wall seconds of the run", lambda _: wall_s)
    return table


def _sweep_table(summary: Sequence[Row]) -> Table:
    """A line per algorithm, searched task, scored task, metric and protocol."""
    groups = _grouped(summary)
    metrics = {row["metric"] for row in summary}
    columns: dict[str, Callable[[Figures], str]] = {
        "trials": lambda own: own["evaluations"]["n"],
        "reward": lambda own: _spread(own.get("reward")),
        _title("test_score", metrics): lambda own: _spread(own.get("test_score")),
        "rank": lambda own: _rank(own.get("rank")),
        "sim. h": lambda own: _hours(own.get("simulated_s")),
    }
    if any("hypervolume" in own for own in groups.values()):
        columns["hypervolume"] = lambda own: _spread(own.get("hypervolume"))
    if any(_failed(own) for own in groups.values()):
        columns["failed %"] = lambda own: f"{100 * _failed(own):.1f}"
    table = Table(
        title="mean ± std over trials; more in summary.csv",
        caption="\n".join(_mostly_failed(summary)) or None,
    )
    for name in ("algorithm", "task", *columns):
        # Folded: rea[population=5] without its end is the name of several lines.
        justify = "left" if name in ("algorithm", "task") else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for (_, searched, task, algorithm, metric, *_), own in groups.items():
        where = task if task == searched else f"{searched} > {task}"
        if len(metrics) > 1:
            where = f"{where}, {metric_named(metric).title}"
        # Escaped, because rea[population=5] is no markup.
        table.add_row(escape(algorithm), where, *(cell(own) for cell in columns.values()))
    return table


def _grouped(summary: Sequence[Row]) -> dict[tuple[str, ...], dict[str, Row]]:
    """The rows by space, tasks, algorithm, metric and protocol, and then by figure."""
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in summary:
        key = tuple(row[k] for k in (*GROUP, "metric", *PROTOCOL))
        groups.setdefault(key, {})[row["figure"]] = row
    return groups


def _measure(row: Row) -> Metric:
    """What the figures of a row of ``summary.csv`` are."""
    if row["figure"] == "evaluations":
        return metric_named(row["metric"])
    return measure(row["figure"], row["metric"])


def _title(figure: str, metrics: Collection[str]) -> str:
    """How a table names a figure, where it shows scores in these metrics."""
    if figure in SCORES and len(metrics) > 1:
        return f"{SCORES[figure]} score"
    return measure(figure, next(iter(metrics))).title


def _failed(own: Figures) -> float:
    """Share of the measurements that gave no score."""
    failed, evaluations = (float(own[key]["mean"]) for key in ("failed", "evaluations"))
    return failed / evaluations if evaluations else 0.0


def _mostly_failed(summary: Sequence[Row]) -> list[str]:
    """A sentence for each search that learnt little because most of its measurements failed."""
    searches = {
        (algorithm, searched): own
        for (_, searched, _, algorithm, *_), own in _grouped(summary).items()
    }
    return [
        escape(f"{failed:.0%} of the measurements of {algorithm} on {searched} failed")
        for (algorithm, searched), own in searches.items()
        if (failed := _failed(own)) > MOSTLY
    ]


def _short(folder: Path) -> Path:
    """The folder as seen from here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _spread(row: Row | None) -> str:
    if row is None:
        return "-"
    decimals = _measure(row).decimals
    spread = f" ± {float(row['std']):.{decimals}f}" if row["std"] else ""
    return f"{float(row['mean']):.{decimals}f}{spread}"


def _interval(row: Row | None) -> str:
    if row is None or not row["std"]:
        return _spread(row)
    decimals = _measure(row).decimals
    low, high = (f"{float(row[end]):.{decimals}f}" for end in ("ci_low", "ci_high"))
    return f"{_spread(row)}\n[{low}, {high}]"


def _best(own: Figures) -> str:
    """Best validation score among the trials, or the best reward where it is unknown."""
    row = own.get("val_score") or own.get("reward")
    if row is None:
        return "-"
    found = _measure(row)
    return f"{float(row['max' if found.higher_is_better else 'min']):.{found.decimals}f}"


def _rank(row: Row | None) -> str:
    return f"{float(row['median']):.0f} ({float(row['min']):.0f})" if row else "-"


def _hours(row: Row | None) -> str:
    return f"{float(row['mean']) / HOUR_S:.1f}" if row else "-"
