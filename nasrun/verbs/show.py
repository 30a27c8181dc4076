"""Show a finished run or sweep: its table, what was found, its curve, and the cell as PNG."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from nasrun.errors import DataError, UnsupportedError
from nasrun.files import read_csv
from nasrun.found import Found
from nasrun.report.draw import cell_lines
from nasrun.report.jobs import Curve, Job, by_evaluations, find_jobs, read_histories
from nasrun.report.labels import told_apart
from nasrun.report.schema import measure
from nasrun.report.trials import names_by_space
from nasrun.results import Results
from nasrun.resume import refuse_study
from nasrun.verbs.chart import chart

WIDTH = 80  # characters of a chart, at most
FIGURES = ("reward", "val_score", "test_score", "latency_ms", "params_m", "flops_m", "rank")


def add_arguments(parser: ArgumentParser) -> None:
    """Which folder, and where to draw."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="of a finished run or sweep")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where best.png goes; default: into the folder"
    )


def run(options: Namespace) -> int:
    """Print, and draw."""
    from rich.console import Console

    from nasrun.console import results_table

    refuse_study(options.folder)
    results = Results.of(options.folder)
    console = Console()
    console.print(results_table(results.folder))
    names = names_by_space(results.searches)
    try:
        curves, lacking = _curves(results.folder), ""
    except DataError as error:  # they may have been left out to save space
        curves, lacking = {}, f"\nno anytime curve: {error}"
    for search, name in names.items():
        picture = f"best-{name.replace(' ', '-')}.png" if len(names) > 1 else "best.png"
        for line in _found(results, search, name, (options.out or results.folder) / picture):
            print(line)
        drawn = curves.get(search, {})
        for line in _chart(drawn, min(WIDTH, console.width)):
            print(line)
    if lacking:
        print(lacking)
    return 0


def _found(results: Results, search: tuple[str, str], name: str, picture: Path) -> Iterator[str]:
    """The winner of a space and searched task, its figures and its cell."""
    space, task = search
    try:
        best = results.found(search_task=task, space=space)
    except DataError as error:
        yield str(error)
        return
    yield f"\nbest found on {name}, by {best.row['algorithm']} with seed {best.seed}:"
    yield best.text
    yield from (f"  {figure}" for figure in _figures(best))
    try:
        edges = best.edges
    except (UnsupportedError, DataError) as error:  # of a copy without the run's config
        yield str(error)
        return
    try:
        yield from cell_lines(edges)
    except UnsupportedError as error:
        yield str(error)
        return
    try:
        best.draw(picture)
    except DataError as error:
        if picture.parent != results.folder:
            raise
        # The folder may be another person's: what is printed does without.
        yield f"no picture: {error}; --out DIR puts it elsewhere"
    else:
        yield f"drawn in {picture}"


def _figures(best: Found) -> Iterator[str]:
    for name in FIGURES:
        if best.row.get(name):
            shown = measure(name, best.row["metric"])
            yield f"{shown.title}: {shown.text(float(best.row[name]))}"


def _curves(folder: Path) -> Mapping[tuple[str, str], Mapping[str, Curve]]:
    """Anytime curves by space and searched task, then algorithm; settings tell two of one apart."""
    jobs = {job.folder: job for job in find_jobs(folder)}
    suffixes = told_apart({place: read_csv(place / "trials.csv") for place in jobs}).suffixes
    searches: dict[tuple[str, str], dict[str, list[Job]]] = {}
    for place, job in jobs.items():
        own = searches.setdefault((job.search.space, job.search.search_task), {})
        own.setdefault(f"{job.search.algorithm}{suffixes[place]}", []).append(job)
    return {
        search: {name: by_evaluations(read_histories(found)) for name, found in own.items()}
        for search, own in searches.items()
    }


def _chart(curves: Mapping[str, Curve], width: int) -> Iterator[str]:
    lines = chart(curves, width)
    if lines:
        yield f"\n{next(iter(curves.values())).y}, mean over trials"
        yield from lines
