"""Measure nasrun's speed and memory and put them beside their targets and the peers' figures.

Usage: ``python scripts/benchmark.py [--only rea,command] [--json]``. Run it on a quiet machine: a
missed target prints FAIL, whatever the reason.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from speed import commands, data, searches
from speed.stopwatch import Line, Size

SURVEY = (
    "peers: our survey of 2026-11 on the same table and one core, scaled from seconds a trial: "
    "AutoDL-Projects' loops with an instant stand-in for the API (the real one adds 0.5 ms a "
    "query), Syne Tune's simulator, NASLib, the official API"
)
LINES: dict[str, Callable[[Size], Iterator[Line]]] = {
    "rea": searches.rea,
    "tables": searches.tables,
    "reinforce": searches.reinforce,
    "cohorts": searches.cohorts,
    "growth": searches.growth,
    "lookups": data.lookups,
    "reload": data.reload,
    "batches": data.batches,
    "command": commands.command,
    "many": commands.many,
    "help": commands.help_page,
    "report": commands.report,
    "sweep": commands.sweep,
    "predictors": searches.predictors,
    "catch": searches.catch,
    "catch_runs": searches.catch_runs,
    "catch_cohorts": searches.catch_cohorts,
    "catch_meta": searches.catch_meta,
    "catch_fig3": commands.catch_fig3,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; always 0: a missed target is a finding, not an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help=f"comma-separated: {', '.join(LINES)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--trials", type=int, default=500, help="targets are for 500")
    parser.add_argument("--evaluations", type=int, default=50, help="targets are for 50")
    parser.add_argument("--repeats", type=int, default=5, help="figures are medians of so many")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(LINES)
    if unknown := sorted(set(names) - set(LINES)):
        parser.error(f"--only: {', '.join(unknown)} is none of {', '.join(LINES)}")
    size = Size(options.trials, options.evaluations, options.repeats)
    lines = [line for name in names for line in LINES[name](size)]
    if options.json:
        found = [{**asdict(line), "verdict": line.verdict} for line in lines]
        print(json.dumps({"machine": _machine(), "peers": SURVEY, "lines": found}, indent=2))
    else:
        Console().print(_table(lines, size))
    return 0


def _machine() -> str:
    return f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _table(lines: Sequence[Line], size: Size) -> Table:
    caption = f"{_machine()}; median of {size.repeats}, catch and predictors once\n{SURVEY}"
    table = Table(title="nasrun: speed and memory", caption=caption, box=box.SIMPLE)
    for name in ("what", "measured", "target", "", "peers"):
        table.add_column(name, justify="right" if name in ("measured", "target") else "left")
    for line in lines:
        sign = ">=" if line.more else "<="
        target = "" if line.target is None else f"{sign} {line.target:g} {line.unit}"
        style = "bold red" if line.verdict == "FAIL" else ""
        measured = f"{line.measured:.3g} {line.unit}"
        table.add_row(line.what, measured, target, line.verdict, line.peers, style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
