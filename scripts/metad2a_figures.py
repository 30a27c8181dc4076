"""MetaD2A's Figures 4 and 5: codes of data sets, and how good the generated cells are.

Usage: ``python scripts/metad2a_figures.py [--out DIR] [--tsne] [--tasks NAME ...] [key=value
...]``. Figure 4: the generator's codes of 30 draws of pictures from each data set, along the two
directions in which all codes differ most: distances stay what they are, and the share of their
variance can be said. ``--tsne`` draws them by t-SNE, as the paper does (scikit-learn, the extra
``predictors``); what is near stays near, and distances between groups say nothing. Beside it
stands how many held-out draws lie nearest to their own data set's mean, in all 56 dimensions.
Figure 5: validation accuracies of 2,000 cells that the generator writes for a data set and of 2,000
uniform ones, where a table knows them. Writes ``metad2a_figures.png`` and ``.svg``, with
``_codes.csv`` and ``_cells.csv``.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from nasrun.__main__ import CONF
from nasrun.algorithms.metad2a import MetaD2A
from nasrun.config import check
from nasrun.errors import ConfigError, NasrunError
from nasrun.experiment import Opened, problem_of
from nasrun.files import write_bytes, write_csv
from nasrun.meta_training import adapt
from nasrun.report.style import MARKERS, STYLE, legend_below, line_style, pictures
from nasrun.spec import Archs, Floats, Phase, Streams, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TASKS = ("cifar10", "cifar100", "mnist", "fashion_mnist")
DRAWS = 30  # of pictures from each data set
CELLS = 2_000  # written for a data set; the paper's number
BINS = 60
NAME = "metad2a_figures"
PERPLEXITY = 30.0  # of t-SNE; scikit-learn's own
CODE_COLUMNS = ("task", "draw", "x", "y")
CELL_COLUMNS = ("task", "cells", "arch", "val_score")
PANEL_IN = (3.6, 3.0)


@dataclass(frozen=True)
class Cells:
    """``(n, L)`` architectures and their ``(n,)`` validation scores."""

    archs: Archs
    score: Floats


@dataclass(frozen=True)
class Placed:
    """``(draws, 2)`` places of codes by data set, and what the two axes are called."""

    points: Mapping[str, Floats]
    axes: tuple[str, str]


@dataclass(frozen=True)
class Shown:
    """``(draws, width)`` codes by data set, and cells by data set and origin."""

    codes: Mapping[str, Floats]
    cells: Mapping[str, Mapping[str, Cells]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of the refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(), help="folder to write to")
    parser.add_argument("--tsne", action="store_true", help="codes by t-SNE, as in the paper")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="the first one has a table")
    parser.add_argument("overrides", nargs="*", help="of the config, such as features=pixels")
    options = parser.parse_args(arguments)
    try:
        layout = by_tsne if options.tsne else by_components
        shown = look(options.tasks, options.overrides)
        placed = layout(shown.codes)
    except NasrunError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return error.exit_code
    write(options.out, shown, placed)
    print(
        f"{100 * told_apart(shown.codes):.0f}% of held-out draws lie nearest to their own data set"
    )
    for task, by_origin in shown.cells.items():
        means = (f"{origin} {own.score.mean():.2f}" for origin, own in by_origin.items())
        print(f"{task}: mean validation accuracy, {', '.join(means)}")
    return 0


def look(tasks: Sequence[str], overrides: Sequence[str]) -> Shown:
    """Codes and cells; the networks are those of the first task's search."""
    opened = _opened(tasks[0], overrides)
    adapt(opened)
    codes: dict[str, Floats] = {}
    cells: dict[str, dict[str, Cells]] = {}
    for task in [_task(name, overrides) for name in tasks]:
        algorithm = _started(opened, task)
        own = algorithm.codes(algorithm.sets(algorithm._streams))
        codes[task.name] = own.double().numpy()
        written = {"generated": _written(algorithm, own), "random": _uniform(algorithm)}
        if (found := _scored(task, written, overrides)) is not None:
            cells[task.name] = found
    return Shown(codes, cells)


def _opened(task: str, overrides: Sequence[str]) -> Opened:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = ["algorithm=metad2a", f"algorithm.draws={DRAWS}", f"task={task}", *overrides]
        if not any(text.startswith("evaluator=") for text in overrides):
            given.append("evaluator=tabular")  # thousands of cells would be trained, otherwise
        config = compose("config", overrides=given)
    return check(config, [CONF / "task"]).opened()


def _task(name: str, overrides: Sequence[str]) -> Task:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["algorithm=metad2a", f"task={name}", *overrides])
    return check(config, [CONF / "task"]).task


def _started(opened: Opened, task: Task) -> MetaD2A:
    """The algorithm, about to search on the pictures of a task."""
    experiment = opened.experiment
    algorithm = experiment.algorithm
    assert isinstance(algorithm, MetaD2A)
    own, streams = replace(algorithm), Streams([0])
    own.load_learnt(algorithm.learnt())
    problem = problem_of(experiment.space, task, opened.measuring, opened.device, streams)
    own.start(problem, streams, Phase.SEARCH)
    return own


def _written(algorithm: MetaD2A, codes: torch.Tensor) -> Archs:
    """``(n, L)`` cells that are written for the codes in turn, those that are no cell left out."""
    uniform = torch.Generator().manual_seed(0)
    own = codes[torch.arange(CELLS) % len(codes)]
    archs, valid = algorithm._writer.write(
        own, lambda n: torch.rand(CELLS, n, generator=uniform), algorithm.temperature
    )
    return archs[valid]


def _uniform(algorithm: MetaD2A) -> Archs:
    return algorithm._problem.space.sample(Streams(range(CELLS), NAME))


def _scored(
    task: Task, written: Mapping[str, Archs], overrides: Sequence[str]
) -> dict[str, Cells] | None:
    """Cells with the table's validation scores; None where no table knows the task."""
    try:
        judging = _opened(task.name, overrides).judging
    except NasrunError:
        return None
    found: dict[str, Cells] = {}
    for origin, archs in written.items():
        score = judging.score(archs, task).val_score
        known = ~np.isnan(score)
        if not known.any():
            return None
        found[origin] = Cells(archs[known], score[known])
    return found


def components(codes: Mapping[str, Floats]) -> tuple[dict[str, Floats], float]:
    """``(draws, 2)`` first two principal components by data set; their share of variance."""
    together = np.concatenate(list(codes.values()))
    centre = together.mean(axis=0)
    _, lengths, axes = np.linalg.svd(together - centre, full_matrices=False)
    share = float((lengths[:2] ** 2).sum() / (lengths**2).sum())
    return {task: (own - centre) @ axes[:2].T for task, own in codes.items()}, share


def by_components(codes: Mapping[str, Floats]) -> Placed:
    """Along the directions in which the codes differ most."""
    points, share = components(codes)
    first = f"first component ({100 * share:.1f}% of the variance in both)"
    return Placed(points, (first, "second component"))


def by_tsne(codes: Mapping[str, Floats]) -> Placed:
    """By t-SNE (van der Maaten and Hinton, 2008), which keeps neighbours together.

    Raises:
        ConfigError: scikit-learn is missing, or there are fewer than four codes.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ConfigError(
            "--tsne needs scikit-learn, which is not installed: pip install 'nasrun[predictors]'"
        ) from error
    together = np.concatenate(list(codes.values()))
    if len(together) < 4:
        raise ConfigError(f"--tsne needs four codes at least, got {len(together)}: give more tasks")
    nearest = min(PERPLEXITY, (len(together) - 1) / 3)
    found = TSNE(perplexity=nearest, init="pca", random_state=0).fit_transform(together)
    ends = np.cumsum([len(own) for own in codes.values()])[:-1]
    points = dict(zip(codes, np.split(found.astype(np.float64), ends), strict=True))
    return Placed(points, (f"t-SNE, perplexity {nearest:g}", ""))


def told_apart(codes: Mapping[str, Floats]) -> float:
    """Share of the second halves of the draws that lie nearest to their own first half's mean."""
    halves = [np.array_split(own, 2) for own in codes.values()]
    means = np.stack([first.mean(axis=0) for first, _ in halves])
    right = [
        np.linalg.norm(second[:, None] - means, axis=2).argmin(axis=1) == at
        for at, (_, second) in enumerate(halves)
    ]
    return float(np.concatenate(right).mean())


def write(folder: Path, shown: Shown, placed: Placed) -> None:
    """Write the figure and both CSV files."""
    write_csv(folder / f"{NAME}_codes.csv", CODE_COLUMNS, _code_rows(placed))
    write_csv(folder / f"{NAME}_cells.csv", CELL_COLUMNS, _cell_rows(shown.cells))
    for kind, data in draw(shown, placed).items():
        write_bytes(folder / f"{NAME}.{kind}", data)


def _code_rows(placed: Placed) -> Iterator[tuple[Any, ...]]:
    for task, points in placed.points.items():
        for at, point in enumerate(points.round(5).tolist()):
            yield (task, at, *point)


def _cell_rows(cells: Mapping[str, Mapping[str, Cells]]) -> Iterator[tuple[Any, ...]]:
    for task, by_origin in cells.items():
        for origin, own in by_origin.items():
            for arch, score in zip(own.archs.tolist(), own.score.round(3).tolist(), strict=True):
                yield (task, origin, "".join(map(str, arch)), score)


def draw(shown: Shown, placed: Placed) -> dict[str, bytes]:
    """Both figures side by side, as PNG and SVG bytes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        size = (PANEL_IN[0] * (1 + len(shown.cells)), PANEL_IN[1] + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        first, *others = figure.subplots(1, 1 + len(shown.cells), squeeze=False)[0]
        _draw_codes(first, placed)
        for panel, (task, by_origin) in zip(others, shown.cells.items(), strict=True):
            _draw_cells(panel, task, by_origin, len(shown.codes))
        legend_below(figure, [first, *others], size[0])
        return dict(pictures(figure))


def _draw_codes(panel: "Axes", placed: Placed) -> None:
    for place, (task, own) in enumerate(placed.points.items()):
        look = {"marker": MARKERS[place % len(MARKERS)], "color": line_style(place)["color"]}
        panel.scatter(*own.T, s=18, alpha=0.7, lw=0, label=task, **look)
    panel.set_title("Codes of data sets", fontweight="bold", fontsize=10)
    panel.set(xlabel=placed.axes[0], ylabel=placed.axes[1])


def _draw_cells(panel: "Axes", task: str, by_origin: Mapping[str, Cells], taken: int) -> None:
    """Histograms of one data set's cells, in colours after the ``taken`` ones of data sets."""
    low = min(np.quantile(own.score, 0.05) for own in by_origin.values())
    high = max(own.score.max() for own in by_origin.values())
    edges = np.linspace(low, high, BINS + 1)
    for place, (origin, own) in enumerate(by_origin.items()):
        counts = np.histogram(own.score, edges)[0]
        colour = line_style(taken + place)["color"]
        left = 100 * float((own.score < low).mean())
        panel.stairs(100 * counts / len(own.score), edges, fill=True, alpha=0.45, color=colour,
                     label=f"{origin} cells")  # fmt: skip
        if left >= 1:
            panel.text(0.02, 0.96 - 0.07 * place, f"{left:.0f}% of {origin} further left",
                       transform=panel.transAxes, size=8)  # fmt: skip
    panel.set_title(f"Cells for {task}", fontweight="bold", fontsize=10)
    panel.set(xlabel="validation accuracy (%)", ylabel="cells, %")


if __name__ == "__main__":
    sys.exit(main())
