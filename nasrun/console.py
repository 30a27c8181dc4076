"""What a person sees when a run or a sweep is done: tables and sentences."""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nasrun.files import read_csv, read_json
from nasrun.jobs import Job
from nasrun.live import count_text, duration_text
from nasrun.names import verb_for
from nasrun.record.collect import Collected
from nasrun.record.status import STATUS, read_status
from nasrun.record.summary import GROUP, PROTOCOL
from nasrun.report.schema import SCORES, measure
from nasrun.report.studied import StudyReport
from nasrun.report.trials import names_by_space
from nasrun.resume import shown
from nasrun.screen import fitted, plus_minus
from nasrun.spec import Metric, metric_named

HOUR_S = 3600
SPREADS = ("reward", "val_score", "test_score", "latency_ms", "hypervolume")
WON = ("test_score", "latency_ms")  # of the winner, besides the validation score
MOSTLY = 0.5  # share of failed measurements from which a table says that most failed
Row = Mapping[str, str]
Figures = Mapping[str, Row]  # rows of summary.csv of one search on one task, by figure


def show_run(folder: Path) -> None:
    """Print the table of a finished run, its winner, and where it was written."""
    best, console = _best_trial(folder), Console()
    console.print(results_table(folder))
    for line in [*_winner(best), *_files(folder), f"wrote {shown(folder)}"]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def show_study(found: StudyReport) -> None:
    """Print what a study found."""
    console = Console()
    for sheet in found.sheets():
        title, caption = f"{found.title}: {sheet.title}", plain(sheet.caption)
        table = Table(title=plain(title), caption=caption, box=box.SIMPLE, show_edge=False)
        for place, header in enumerate(sheet.headers):
            table.add_column(plain(header), justify="right" if place else "left")
        for row in sheet.rows:
            table.add_row(*map(plain, row))
        console.print(table)


def show_job(folder: Path, job: Job) -> None:
    """Print one line on a finished job of a sweep."""
    figures = {row["figure"]: row for row in read_csv(folder / "summary.csv")}
    line, seeds = figures["evaluations"], read_status(folder).get("request", {})
    failed, left_s = _failed(figures), job.ended()
    algorithm = str(line["algorithm"])
    said = [
        f"{job.text}: {algorithm}{job.settings(algorithm)} on {line['search_task']}",
        f"{_seeds(seeds)}: reward {_spread(figures.get('reward'))}",
        f"{failed:.1%} of the measurements failed" if failed else "",
        f"{duration_text(left_s)} left" if left_s else "",
    ]
    print(fitted(", ".join(filter(None, said))), flush=True)


def show_study_job(label: str, task: str, trials: range, job: Job) -> None:
    """Print one line on a finished job of a study's sweep."""
    left_s = job.ended()
    said = [
        f"{job.text}: {label} on {task}",
        _seeds({"seed": trials.start, "trials": len(trials)}),
        f"{duration_text(left_s)} left" if left_s else "",
    ]
    print(fitted(", ".join(filter(None, said))), flush=True)


def _seeds(request: Mapping[str, Any]) -> str:
    """Such as ``seeds 0-99``."""
    first, trials = request["seed"], request["trials"]
    return f"seed {first}" if trials == 1 else f"seeds {first}-{first + trials - 1}"


def _best_trial(folder: Path) -> Mapping[str, Any] | None:
    """What is known of the best trial; None where none has a score."""
    path = folder / "best.json"
    return read_json(path) if path.exists() else None


def _winner(best: Mapping[str, Any] | None) -> list[str]:
    """The best trial's architecture and figures."""
    if best is None:
        return ["found nothing that has a reward: see val_score in evaluations.csv"]
    figures: list[str] = []
    for task, own in best["tasks"].items():
        kinds = {name: measure(name, own["metric"]) for name in ("val_score", *WON)}
        said = [f"{m.label} {m.text(own[k])} {m.unit}".strip() for k, m in kinds.items() if own[k]]
        said += [f"rank {own['rank']:.0f}"] if own["rank"] is not None else []
        if said:
            figures.append(f"{task}: " + ", ".join(said))
    metric = next(iter(best["tasks"].values()))["metric"]
    known = best["reward"] is not None
    reward = f", reward {measure('reward', metric).text(best['reward'])}" if known else ""
    return [
        f"best: {best['arch']}",
        f"  seed {best['seed']}{reward}" + "".join(f"\n  {line}" for line in figures),
    ]


def _files(folder: Path) -> list[str]:
    """What of a run's folder a person may want next, and what draws the winner."""
    found = _best_trial(folder) is not None
    more = [name for name in ("pareto.csv", "networks") if (folder / name).exists()]
    measured = [path.name for path in folder.glob("evaluations.csv*")]
    named = [*(["best.json"] if found else []), *more, "trials.csv", *measured, "summary.csv"]
    drawn = [f"drawn by: {verb_for('show', shown(folder))}"] if found else []
    return [f"files: {', '.join(named)}", *drawn]


def _costs(folder: Path) -> list[tuple[str, str]]:
    """What a run took, as rows of its table: what was meta-trained for it, and this machine."""
    meta = read_json(folder / "provenance.json").get("meta")
    wall = ("wall seconds of the run", f"{read_status(folder)['wall_s']:.1f}")
    if not meta or meta.get("cost_s") is None:  # learnt from records: nobody searched
        return [wall]
    hours, kind = meta["cost_s"] / meta["agents"] / HOUR_S, meta["clock"]
    return [(f"meta-training before, {kind} hours an agent", f"{hours:.1f}"), wall]


def show_sweep(folder: Path, collected: Collected, tables: Sequence[Any]) -> None:
    """Print the joined table of a sweep, its report, and what is missing."""
    console = Console()
    if (folder / "summary.csv").exists() and not tables:
        console.print(_sweep_table(read_csv(folder / "summary.csv")))
    for table in tables:
        console.print(table)
    jobs = f"{collected.rows} rows of {collected.complete} finished jobs"
    wrote = f"wrote {shown(folder)}: {jobs}"
    console.print(wrote, soft_wrap=True, highlight=False, markup=False)
    for reason, jobs in _by_reason(collected.failed).items():
        which = jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs, such as {jobs[0]}"
        print(f"failed: {which}: {reason}", file=sys.stderr)
    for job in collected.unfinished:
        print(f"unfinished: {job}", file=sys.stderr)


def plain(text: str) -> str:
    """A text of a run as a terminal shows it: ``rea[population=5]`` is no markup.

    A control character, which would move the cursor or change colours, becomes a mark.
    """
    return escape(
        "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    )


def results_table(folder: Path) -> Table:
    """The table of a finished run, or of a sweep."""
    summary = read_csv(folder / "summary.csv")
    if not (folder / STATUS).exists():
        return _sweep_table(summary)
    return _run_table(summary, _costs(folder))


def _by_reason(failed: Mapping[str, str]) -> dict[str, list[str]]:
    """Jobs by what went wrong."""
    found: dict[str, list[str]] = {}
    for job, reason in failed.items():
        found.setdefault(reason, []).append(job)
    return found


def _run_table(summary: Sequence[Row], costs: Sequence[tuple[str, str]]) -> Table:
    """A line per figure and a column per scored task."""
    tasks = {task: own for (_, _, task, *_), own in _grouped(summary).items()}
    first = summary[0]
    trials = int(next(iter(tasks.values()))["evaluations"]["n"])
    table = Table(
        title=plain(f"{first['algorithm']} on {first['search_task']}: {count_text(trials)}"),
        caption="\n".join(
            [
                plain(f"{first['split']}, {first['fidelity']}, run {first['run']}"),
                *_mostly_failed(summary),
            ]
        ),
    )
    table.add_column(
        f"mean {plus_minus()} std, [95% CI of the mean{_drawn(summary)}]"
        if trials > 1
        else "of the trial"
    )
    metrics = {row["metric"] for row in summary}
    for task, own in tasks.items():
        named = task if len(metrics) == 1 else f"{task}, {_measure(own['evaluations']).title}"
        table.add_column(plain(named), justify="right")

    def add(label: str, cell: Callable[[Figures], str], of: str) -> None:
        if any(of in own for own in tasks.values()):  # else it cannot apply
            table.add_row(label, *(cell(own) for own in tasks.values()))

    spreads = [name for name in SPREADS if name != "reward" or not _is_score(tasks.values())]
    for figure in spreads:
        add(_title(figure, metrics), lambda own, name=figure: _interval(own.get(name)), figure)
    if trials > 1:
        best = "val_score" if any("val_score" in own for own in tasks.values()) else "reward"
        add(f"best found, {_title(best, metrics)}", lambda own: _best(own.get(best)), best)
        add("rank in the table, median (best)", lambda own: _rank(own.get("rank")), "rank")
    else:
        add("rank in the table", lambda own: _interval(own.get("rank")).split(".")[0], "rank")
    if any(_failed(own) for own in tasks.values()):
        add("failed measurements, %", lambda own: f"{100 * _failed(own):.1f}", "failed")
    add("simulated hours a trial", lambda own: _hours(own.get("simulated_s")), "simulated_s")
    for label, cost in costs:
        table.add_row(label, *(cost for _ in tasks))
    return table


def _is_score(tasks: Iterable[Figures]) -> bool:
    """Whether the reward of a search is nothing but the validation score beside it."""
    figures = [{name: own.get(name) for name in ("reward", "val_score")} for own in tasks]
    return all(
        own["reward"] is not None
        and own["val_score"] is not None
        and all(own["reward"][key] == own["val_score"][key] for key in ("n", "mean", "min", "max"))
        for own in figures
    )


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
    # A column without any figure, such as the rank where no table was read, says nothing.
    columns = {
        name: cell
        for name, cell in columns.items()
        if {cell(own) for own in groups.values()} != {"-"}
    }
    table = Table(
        box=box.SIMPLE_HEAD,  # its narrow gaps leave room for names at 80 columns
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=f"mean {plus_minus()} std over trials; more in summary.csv",
        caption="\n".join(_mostly_failed(summary)) or None,
    )
    for name in ("algorithm", "task", *columns):
        # Folded: rea[population=5] without its end is the name of several lines.
        if name in ("algorithm", "task"):
            table.add_column(name, overflow="fold")
        else:
            texts = [*name.split(), *(columns[name](own) for own in groups.values())]
            table.add_column(name, justify="right", width=max(map(len, texts)))
    names = names_by_space((space, _where(searched, task)) for space, searched, task, *_ in groups)
    for (space, searched, task, algorithm, metric, *_), own in groups.items():
        where = names[space, _where(searched, task)]
        if len(metrics) > 1:
            where = f"{where}, {metric_named(metric).title}"
        table.add_row(plain(algorithm), plain(where), *(cell(own) for cell in columns.values()))
    return table


def _where(searched: str, task: str) -> str:
    return task if task == searched else f"{searched} > {task}"


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
    groups = _grouped(summary)
    names = names_by_space((space, searched) for space, searched, *_ in groups)
    searches = {
        (algorithm, names[space, searched]): own
        for (space, searched, _, algorithm, *_), own in groups.items()
    }
    return [
        plain(f"{failed:.0%} of the measurements of {algorithm} on {searched} failed")
        for (algorithm, searched), own in searches.items()
        if (failed := _failed(own)) > MOSTLY
    ]


def _spread(row: Row | None) -> str:
    if row is None:
        return "-"
    text = _measure(row).text
    spread = f" {plus_minus()} {text(float(row['std']))}" if row["std"] else ""
    return f"{text(float(row['mean']))}{spread}"


def _interval(row: Row | None) -> str:
    if row is None or not row["ci_low"]:
        return _spread(row)
    low, high = (_measure(row).text(float(row[end])) for end in ("ci_low", "ci_high"))
    return f"{_spread(row)}\n[{low}, {high}]"


def _drawn(summary: Iterable[Row]) -> str:
    """What the intervals draw, where that is not the trials."""
    units = {row["units"] for row in summary if row.get("units", row["n"]) != row["n"]}
    return f" over {max(map(int, units))} agents" if units else ""


def _best(row: Row | None) -> str:
    """Best figure among the trials."""
    if row is None:
        return "-"
    found = _measure(row)
    return found.text(float(row["max" if found.higher_is_better else "min"]))


def _rank(row: Row | None) -> str:
    return f"{float(row['median']):.0f} ({float(row['min']):.0f})" if row else "-"


def _hours(row: Row | None) -> str:
    return f"{float(row['mean']) / HOUR_S:.1f}" if row else "-"
