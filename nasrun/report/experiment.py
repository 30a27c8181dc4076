"""The report of a sweep: from its ``trials.csv`` and the experiment's ``report:`` node to files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrun.errors import DataError
from nasrun.files import read_json, write_bytes
from nasrun.report.auto import compares, completed, with_figure
from nasrun.report.compare import Extras, as_we_call_them, compare, read_published, totals
from nasrun.report.content import Content, EdgesOf, find_winners
from nasrun.report.formats import csv_files, latex, markdown
from nasrun.report.groups import group_ranks
from nasrun.report.jobs import Job, agents_in_common, anytime_curves, find_jobs, meta_costs, named
from nasrun.report.overview import judge, overview
from nasrun.report.page import page
from nasrun.report.pareto import read_fronts
from nasrun.report.policy import preferences
from nasrun.report.schema import DEFAULT, Figure, Report, parse_report
from nasrun.report.terminal import ReportTable
from nasrun.report.tradeoff import scatters
from nasrun.report.trials import (
    OWN_SPACE,
    TRIALS,
    as_numbers,
    by_problem,
    gaps,
    joined_text,
    protocol,
    read_trials,
    require_sweeps,
)

if TYPE_CHECKING:
    from pandas import DataFrame

OWNED = ("status.json", "multirun.yaml")  # of a run, and of a sweep: their trials are their own
NODE = "report.json"
PAGE = "report.html"


@dataclass(frozen=True)
class Written:
    """The files of a report, its page among them, and its table for the terminal."""

    files: list[Path]
    table: ReportTable
    page: Path


def report(
    folders: Sequence[Path],
    out: Path | None = None,
    node: Mapping[str, Any] | None = None,
    edges: EdgesOf | None = None,
) -> list[Written]:
    """The reports of finished sweeps and runs, made again: what ``nasrun report DIR...`` calls.

    A sweep has all that ``write_report`` writes; a run has its own small page, ``report.html``,
    which it does not make by itself because that takes as long as many a run. With ``out`` the
    folders are joined there in one report.

    Args:
        folders: of sweeps or runs, each with its ``trials.csv``.
        out: where a joint report goes; None: every folder has its own.
        node: the ``report:`` node; None: that of the (first) folder's last report, or what every
            sweep has.
        edges: see ``write_report``.

    Raises:
        ConfigError: the node is wrong.
        DataError: as ``write_report``, or a folder is none of a sweep or run.
    """
    require_sweeps(folders)
    if out is not None:
        return [write_report(out, node or node_of(folders[0]), folders, edges)]
    return [
        write_report(folder, node or node_of(folder), (), edges, page_only=_is_run(folder))
        for folder in folders
    ]


def _is_run(folder: Path) -> bool:
    return (folder / OWNED[0]).exists()


def node_of(folder: Path) -> Mapping[str, Any]:
    """The node of a folder's last report, or that of a sweep where nobody says anything."""
    return read_node(folder) if (folder / NODE).exists() else DEFAULT


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    sources: Sequence[Path] = (),
    edges: EdgesOf | None = None,
    page_only: bool = False,
) -> Written:
    """Write the report of ``folder/trials.csv`` beside it, or nothing at all.

    It is ``NAME.csv`` with every figure, ``NAME.md`` and ``NAME.tex`` with the columns asked for,
    ``NAME_claims.csv``, ``NAME_statistics.csv``, ``NAME_pairs.csv`` and ``NAME_groups.csv`` where
    there is something to say in them, the drawings asked for (the first is ``NAME.png`` and
    ``NAME.svg``, others are ``NAME_KIND.png``), ``report.html`` with all of it, and
    ``report.json``, from which ``nasrun report`` makes them again.

    Args:
        folder: where the trials lie and the report goes.
        report: the ``report:`` node.
        sources: sweeps to join, whose trials are to be written as ``folder/trials.csv``; none: the
            trials that lie there.
        edges: the cell of an architecture, for drawings of the winners.
        page_only: write ``report.html`` and nothing else.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, a file cannot be read or written, or
            ``folder`` is one of the sources, or another run's or sweep's, whose own trials it would
            overwrite.
    """
    if folder.resolve() in {source.resolve() for source in sources}:
        raise DataError(
            f"{folder} is one of the sweeps to join: choose another folder for the join"
        )
    if sources and any((folder / name).exists() for name in OWNED):
        raise DataError(
            f"{folder} holds a run or a sweep, whose own trials the join would replace: choose "
            "another folder for the join"
        )
    parsed = parse_report(report)
    rows = read_trials(sources or [folder])
    names = set(rows["algorithm"])
    jobs = [job for place in (sources or [folder]) for job in named(find_jobs(place), names)]
    content = _content(rows, parsed, jobs, sources or [folder])
    files = {TRIALS: joined_text(rows).encode()} if sources else {}
    if not page_only:
        files |= _own_files(content)
        files[NODE] = (json.dumps(dict(report), indent=2) + "\n").encode()
    files[PAGE] = page(content, jobs, edges).encode()
    written = [write_bytes(folder / name, data) for name, data in files.items()]
    return Written(written, ReportTable(content), folder / PAGE)


def _own_files(content: Content) -> dict[str, bytes]:
    """Tables and drawings by name."""
    from nasrun.report.figures import draw  # a page needs no figures but its own

    name = content.report.name
    files = csv_files(content)
    files[f"{name}.md"] = markdown(content).encode()
    files[f"{name}.tex"] = latex(content).encode()
    for number, kind in enumerate(content.report.figures):
        stem = f"{name}_{kind.value}" if number else name
        files |= {f"{stem}.{suffix}": data for suffix, data in draw(kind, content).items()}
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


def _content(
    rows: "DataFrame", report: Report, jobs: Sequence[Job], folders: Sequence[Path]
) -> Content:
    report = with_figure(report, rows)
    fronts = read_fronts(folders)
    frame = as_numbers(rows, report.figure, fronts)
    if report.across_spaces:
        frame, jobs = _in_one_space(frame, jobs)
    problems = by_problem(
        frame, report.figure, list(report.labels), report.may_differ, report.strict
    )
    report = completed(report, problems, jobs)
    published, published_s = (
        as_we_call_them(read_published(report.published, figure), report.published_as)
        if report.published
        else {}
        for figure in (report.figure, "simulated_s")
    )
    meta = meta_costs(jobs)
    extras = Extras(published_s, report.published_only, report.first, meta, report.published_space)
    if not any(extras.stand_beside(problem.space) for problem in problems):
        published_s = {}
    lines = compare(problems, published, report.against, extras)
    agents = agents_in_common(meta.values()) or None
    drawn = set(report.figures)
    return Content(
        report=report,
        problems=problems,
        lines=lines,
        totals=totals(problems, lines, published_s),
        protocol=protocol(frame),
        verdicts=judge(problems, report.claims, meta),
        overview=overview(problems, report.against, agents, {s.algorithm for s in meta})
        if compares(report.figures, problems)
        else None,
        winners=find_winners(frame, problems, report.figure),
        curves=anytime_curves(problems, jobs) if Figure.anytime in drawn else {},
        scatters=scatters(rows, problems, fronts, report.figure)
        if Figure.tradeoff in drawn
        else (),
        policies=preferences(jobs) if Figure.policy in drawn else {},
        clock=_clock(frame),
        group_ranks=group_ranks(problems, report, agents) if report.grouped else None,
        gaps=list(gaps(frame, list(dict.fromkeys(frame["algorithm"])))),
    )


def _in_one_space(frame: "DataFrame", jobs: Sequence[Job]) -> tuple["DataFrame", Sequence[Job]]:
    """Trials and jobs as those of one space, so that methods with spaces of their own compete.

    Where an architecture is from stays in the column ``OWN_SPACE``.
    """
    name = " or ".join(dict.fromkeys(frame["space"]))
    frame = frame.assign(space=name, **{OWN_SPACE: frame["space"]})
    return frame, [replace(job, search=job.search._replace(space=name)) for job in jobs]


def _clock(frame: "DataFrame") -> str:
    """What the hours of the searches are, in the words of an axis."""
    measured = {str(clock).startswith("measured") for clock in frame["clock"]}
    names = {True: "wall-clock hours", False: "simulated GPU hours"}
    return " or ".join(names[kind] for kind in sorted(measured))
