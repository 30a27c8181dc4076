"""What one-shot searches would have derived after each epoch, scored by the table.

Usage: ``python scripts/learning_curves.py DIR [--out DIR]``, where DIR holds a run or a sweep of
methods that share weights. Writes ``learning_curves.csv`` (a row per seed and epoch) and, as PNG
and SVG, the mean over seeds with its range: Figure 4 of CATCH (Chen et al., ECCV 2020).
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from nasrun.__main__ import CONF
from nasrun.config import check
from nasrun.errors import ConfigError, NasrunError
from nasrun.files import write_bytes, write_csv
from nasrun.measurements import PACKED, PLAIN, evaluation_rows
from nasrun.record.collect import job_folders
from nasrun.record.rows import cells
from nasrun.report.style import STYLE, legend_below, line_style, pictures

COLUMNS = (
    "search_task", "algorithm", "seed", "epoch", "arch", "skips", "val_score", "test_score",
    "shared_score", "fidelity",
)  # fmt: skip
PANEL_IN, LEGEND_IN = (3.6, 2.9), 0.6


class Point(NamedTuple):
    """A row of ``learning_curves.csv``; accuracies in percent, NaN where there are none."""

    search_task: str
    algorithm: str
    seed: int
    epoch: int
    arch: str
    skips: int
    val_score: float
    test_score: float
    shared_score: float
    fidelity: str


def points(job: Path) -> Iterator[Point]:
    """The epochs of a finished job, scored by its own evaluator.

    Raises:
        NasrunError: its files cannot be read, or nothing can score its architectures.
    """
    config = OmegaConf.load(job / ".hydra" / "config.yaml")
    assert isinstance(config, DictConfig)
    experiment = check(config, [CONF / "task"])
    if not experiment.algorithm.trains:
        return
    judge = experiment.opened().judging
    rows = [row for row in evaluation_rows(job) if row["phase"] == "search"]
    archs = np.stack([experiment.space.parse(row["arch"]) for row in rows])
    scored = judge.score(archs, experiment.task)
    for at, row in enumerate(rows):
        yield Point(
            experiment.task.name,
            experiment.algorithm.name,
            int(row["seed"]),
            int(row["epochs"]),
            row["arch"],
            row["arch"].count("skip_connect"),
            float(scored.val_score[at]),
            float(scored.test_score[at]),
            float(row["val_score"] or "nan"),
            row["fidelity"],
        )


def figure(found: Sequence[Point]) -> Mapping[str, bytes]:
    """A panel per task: the table's validation accuracy of the derived cell, epoch by epoch."""
    import matplotlib

    tasks = list(dict.fromkeys(point.search_task for point in found))
    names = list(dict.fromkeys(point.algorithm for point in found))
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        size = (PANEL_IN[0] * len(tasks), PANEL_IN[1] + LEGEND_IN)
        drawing = Figure(figsize=size, layout="constrained")
        panels = drawing.subplots(1, len(tasks), squeeze=False)[0]
        for panel, task in zip(panels, tasks, strict=True):
            panel.set_title(task, fontweight="bold", fontsize=10)
            panel.set_xlabel("epochs of the supernet")
            panel.xaxis.get_major_locator().set_params(integer=True)
            for place, name in enumerate(names):
                own = [p for p in found if (p.search_task, p.algorithm) == (task, name)]
                if not own:
                    continue
                epochs, by_seed = _by_seed(own)
                style = line_style(place)
                panel.plot(epochs, by_seed.mean(axis=0), label=name, lw=1.6, **style)
                low, high = by_seed.min(axis=0), by_seed.max(axis=0)
                panel.fill_between(epochs, low, high, color=style["color"], alpha=0.2, lw=0)
        panels[0].set_ylabel("derived cell, validation accuracy, %")
        legend_below(drawing, panels, size[0])
        return pictures(drawing)


def _by_seed(own: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that all seeds have, and ``(seeds, epochs)`` accuracies."""
    seeds = sorted({point.seed for point in own})
    last = min(max(p.epoch for p in own if p.seed == seed) for seed in seeds)
    accuracy = np.full((len(seeds), last), np.nan)
    for point in own:
        if point.epoch <= last:
            accuracy[seeds.index(point.seed), point.epoch - 1] = point.val_score
    return np.arange(1, last + 1), accuracy


def summary(found: Sequence[Point]) -> Table:
    """First, best and last epoch of each method, means over seeds."""
    table = Table(title="derived cells by the table, mean over seeds")
    for column in ("task", "algorithm", "seeds", "epoch 1", "best epoch", "last", "skips, last"):
        table.add_column(column, justify="left" if column in ("task", "algorithm") else "right")
    for task, name in dict.fromkeys((p.search_task, p.algorithm) for p in found):
        own = [p for p in found if (p.search_task, p.algorithm) == (task, name)]
        epochs, accuracy = _by_seed(own)
        mean = accuracy.mean(axis=0)
        skips = np.mean([p.skips for p in own if p.epoch == epochs[-1]])
        figures = (mean[0], mean.max(), mean[-1])
        table.add_row(
            task, name, str(len(accuracy)), *(f"{figure:.2f}" for figure in figures), f"{skips:.1f}"
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of a refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="of a run or a sweep")
    parser.add_argument("--out", type=Path, help="where to write; default: the folder itself")
    options = parser.parse_args(arguments)
    console, out = Console(), options.out or options.folder
    try:
        jobs = sorted(job_folders(options.folder))
        finished = [job for job in jobs if any((job / name).exists() for name in (PLAIN, PACKED))]
        found = sorted(point for job in finished for point in points(job))
        if not found:
            raise ConfigError(f"{options.folder} has no finished search that shares weights")
        rows = [(*p[:6], *cells(np.array(p[6:9])), p.fidelity) for p in found]
        write_csv(out / "learning_curves.csv", COLUMNS, rows)
        for suffix, data in figure(found).items():
            write_bytes(out / f"learning_curves.{suffix}", data)
        console.print(summary(found))
        console.print(f"wrote {out}/learning_curves.{{csv,png,svg}}", soft_wrap=True)
    except NasrunError as error:
        print(f"learning_curves: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
