"""The report of a sweep: from its ``trials.csv`` and the experiment's ``report:`` node to files."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrun.errors import DataError
from nasrun.files import read_json, write_bytes
from nasrun.report.claims import judge
from nasrun.report.columns import Total
from nasrun.report.compare import Extras, Line, compare, overall_ranks, summed_hours
from nasrun.report.figures import draw
from nasrun.report.jobs import HOUR_S, find_jobs, meta_costs
from nasrun.report.published_figures import ALL_TASKS, Key, Published, read_published
from nasrun.report.schema import Report, parse_report
from nasrun.report.tables import (
    CLAIM_COLUMNS,
    CSV_COLUMNS,
    Content,
    claim_rows,
    csv_rows,
    markdown,
    rich_table,
)
from nasrun.report.trials import Problem, Trials, by_problem, protocol, read_trials

if TYPE_CHECKING:
    from rich.console import RenderableType

NODE = "report.json"


def render(folder: Path, report: Mapping[str, Any]) -> "RenderableType":
    """The report of ``folder/trials.csv`` as a table for the terminal.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, or a file cannot be read.
    """
    return rich_table(_content(folder, parse_report(report)))


def write_report(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """Write the report of ``folder/trials.csv`` beside it; returns the files written.

    They are ``NAME.csv`` with every figure, ``NAME.md`` with the columns asked for,
    ``NAME_claims.csv``, the drawings asked for (the first is ``NAME.png`` and ``NAME.svg``, others
    are ``NAME_KIND.png``), and ``report.json``, from which ``scripts/report.py`` makes them again.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, or a file cannot be read or written.
    """
    parsed = parse_report(report)
    content = _content(folder, parsed)
    files = {
        f"{parsed.name}.csv": _csv(CSV_COLUMNS, csv_rows(content)),
        f"{parsed.name}.md": markdown(content).encode(),
        NODE: (json.dumps(dict(report), indent=2) + "\n").encode(),
    }
    if content.verdicts:
        files[f"{parsed.name}_claims.csv"] = _csv(CLAIM_COLUMNS, claim_rows(content))
    for number, kind in enumerate(parsed.figures):
        name = f"{parsed.name}_{kind.value}" if number else parsed.name
        pictures = draw(kind, content, folder)
        files |= {f"{name}.{suffix}": data for suffix, data in pictures.items()}
    return [write_bytes(folder / name, data) for name, data in files.items()]


def read_node(folder: Path) -> dict[str, Any]:
    """The report node that ``write_report`` left in a folder.

    Raises:
        DataError: there is none, or it is not JSON.
    """
    path = folder / NODE
    try:
        node = read_json(path)
    except DataError as error:
        raise DataError(f"{error}; name the experiment's YAML with --report") from None
    if not isinstance(node, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(node).__name__}")
    return node


def _content(folder: Path, report: Report) -> Content:
    path = folder / "trials.csv"
    frame = read_trials(path, report.metric)
    if frame.empty:
        raise DataError(f"{path}: no trials in it; run the experiment first")
    problems = by_problem(frame, report.metric, list(report.labels), path)
    published, published_s = (
        read_published(report.published, metric) if report.published else {}
        for metric in (report.metric, "simulated_s")
    )
    meta = meta_costs(find_jobs(folder))
    extras = Extras(published_s, report.published_only, report.first, meta)
    lines = compare(problems, published, report.against, extras)
    verdicts = judge(problems, report.claims, meta)
    totals = _totals(problems, lines, published_s)
    return Content(report, problems, lines, totals, protocol(frame), verdicts)


def _totals(
    problems: Mapping[Problem, Trials], lines: Sequence[Line], published_s: Mapping[Key, Published]
) -> dict[str, Total]:
    """What is known of each algorithm on all tasks; published totals stand under task ``all``."""
    ranks, hours = overall_ranks(problems), summed_hours(lines)
    totals: dict[str, Total] = {}
    for name, (search_h, meta_h) in hours.items():
        theirs = published_s.get((name, ALL_TASKS, ALL_TASKS))
        published_h = theirs.mean / HOUR_S if theirs else float("nan")
        rank = ranks.get(name, float("nan"))
        totals[name] = Total(rank, search_h, published_h, meta_h)
    return totals


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue().encode()
