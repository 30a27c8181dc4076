"""The report of a sweep: from its ``trials.csv`` and the experiment's ``report:`` node to files."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrun.errors import DataError
from nasrun.files import read_json, write_bytes
from nasrun.report.compare import compare, overall_ranks
from nasrun.report.published_figures import read_published
from nasrun.report.schema import Figure, Report, parse_report
from nasrun.report.tables import CSV_COLUMNS, Content, csv_rows, markdown, rich_table
from nasrun.report.trials import by_problem, protocol, read_trials

if TYPE_CHECKING:
    from rich.table import Table

NODE = "report.json"


def render(folder: Path, report: Mapping[str, Any]) -> "Table":
    """The report of ``folder/trials.csv`` as a table for the terminal.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, or a file cannot be read.
    """
    return rich_table(_content(folder, parse_report(report)))


def write_report(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """Write the report of ``folder/trials.csv`` beside it; returns the files written.

    They are ``NAME.csv`` with every figure, ``NAME.md`` with the columns asked for, ``NAME.png``
    and ``NAME.svg`` where a figure is asked for, and ``report.json``, from which
    ``scripts/report.py`` makes them again.

    Raises:
        ConfigError: the report node is wrong.
        DataError: trials are missing, ragged or doubled, or a file cannot be read or written.
    """
    parsed = parse_report(report)
    content = _content(folder, parsed)
    files = {
        f"{parsed.name}.csv": _csv(content).encode(),
        f"{parsed.name}.md": markdown(content).encode(),
        NODE: (json.dumps(dict(report), indent=2) + "\n").encode(),
    }
    if parsed.figure is Figure.box:
        from nasrun.report.figures import box_figure

        pictures = box_figure(content)
        files |= {f"{parsed.name}.{kind}": data for kind, data in pictures.items()}
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
    published = read_published(report.published, report.metric) if report.published else {}
    lines = compare(problems, published, report.against)
    return Content(report, problems, lines, overall_ranks(problems), protocol(frame))


def _csv(content: Content) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(csv_rows(content))
    return stream.getvalue()
