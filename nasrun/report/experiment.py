"""The report of a sweep: from its ``trials.csv`` and the experiment's ``report:`` node to files."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasrun.errors import DataError
from nasrun.files import read_json, write_bytes
from nasrun.report.anytime import anytime_curves
from nasrun.report.claims import judge
from nasrun.report.columns import Total
from nasrun.report.compare import Extras, Line, compare, overall_ranks, summed_hours
from nasrun.report.content import Content
from nasrun.report.csv_cells import (
    CLAIM_COLUMNS,
    CSV_COLUMNS,
    PAIR_COLUMNS,
    STATISTICS_COLUMNS,
    claim_rows,
    csv_rows,
    pair_rows,
    statistics_rows,
)
from nasrun.report.figures import draw
from nasrun.report.jobs import HOUR_S, Job, find_jobs, meta_costs
from nasrun.report.latex import latex
from nasrun.report.markdown import markdown
from nasrun.report.overview import overview
from nasrun.report.page import page
from nasrun.report.published_figures import ALL_TASKS, Key, Published, read_published
from nasrun.report.schema import Figure, Report, parse_report
from nasrun.report.terminal import ReportTable
from nasrun.report.trials import (
    TRIALS,
    Joined,
    Problem,
    Trials,
    by_problem,
    protocol,
    read_trials,
)
from nasrun.report.winners import EdgesOf, find_winners

NODE = "report.json"
PAGE = "report.html"


@dataclass(frozen=True)
class Written:
    """The files of a report, and its table for the terminal."""

    files: list[Path]
    table: ReportTable


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    joined: Joined | None = None,
    edges: EdgesOf | None = None,
) -> Written:
    """Write the report of ``folder/trials.csv`` beside it, or nothing at all.

    It is ``NAME.csv`` with every figure, ``NAME.md`` and ``NAME.tex`` with the columns asked for,
    ``NAME_claims.csv``, ``NAME_statistics.csv`` and ``NAME_pairs.csv``, the drawings asked for (the
    first is ``NAME.png`` and ``NAME.svg``, others are ``NAME_KIND.png``), ``report.html`` with all
    of it, and ``report.json``, from which ``scripts/report.py`` makes them again.

    Args:
        folder: where the trials lie and the report goes.
        report: the ``report:`` node.
        joined: trials of several sweeps, to be written as ``folder/trials.csv``; default: those
            that lie there.
        edges: the cell of an architecture, for drawings of the winners.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, or a file cannot be read or written.
    """
    parsed = parse_report(report)
    jobs = [job for place in (joined.folders if joined else [folder]) for job in find_jobs(place)]
    content = _content(joined or folder / TRIALS, parsed, jobs)
    files = {TRIALS: joined.content.encode()} if joined else {}
    files |= {**_tables(content), NODE: (json.dumps(dict(report), indent=2) + "\n").encode()}
    curves = anytime_curves(content, jobs) if Figure.anytime in parsed.figures else {}
    for number, kind in enumerate(parsed.figures):
        name = f"{parsed.name}_{kind.value}" if number else parsed.name
        pictures = draw(kind, content, curves)
        files |= {f"{name}.{suffix}": data for suffix, data in pictures.items()}
    files[PAGE] = page(content, curves, jobs, edges).encode()
    written = [write_bytes(folder / name, data) for name, data in files.items()]
    return Written(written, ReportTable(content))


def _tables(content: Content) -> dict[str, bytes]:
    name = content.report.name
    files = {
        f"{name}.csv": _csv(CSV_COLUMNS, csv_rows(content)),
        f"{name}.md": markdown(content).encode(),
        f"{name}.tex": latex(content).encode(),
    }
    if content.verdicts:
        files[f"{name}_claims.csv"] = _csv(CLAIM_COLUMNS, claim_rows(content))
    if content.overview:
        statistics, pairs = statistics_rows(content.overview), pair_rows(content.overview)
        files[f"{name}_statistics.csv"] = _csv(STATISTICS_COLUMNS, statistics)
        files[f"{name}_pairs.csv"] = _csv(PAIR_COLUMNS, pairs)
    return files


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


def _content(path: Path | Joined, report: Report, jobs: Sequence[Job]) -> Content:
    frame = read_trials(path, report.metric)
    if frame.empty:
        raise DataError(f"{path}: no trials in it; run the experiment first")
    problems = by_problem(frame, report.metric, list(report.labels), path, report.may_differ)
    published, published_s = (
        read_published(report.published, metric) if report.published else {}
        for metric in (report.metric, "simulated_s")
    )
    meta = meta_costs(jobs)
    extras = Extras(published_s, report.published_only, report.first, meta)
    lines = compare(problems, published, report.against, extras)
    verdicts = judge(problems, report.claims, meta)
    totals = _totals(problems, lines, published_s)
    agents = math.gcd(*(cost.agents for cost in meta.values())) or None
    found = overview(problems, report.against, agents, {search.algorithm for search in meta})
    winners = find_winners(frame, report.metric)
    return Content(report, problems, lines, totals, protocol(frame), verdicts, found, winners)


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
