"""How well architectures rank by pretexts, whose labels come from the pictures, and by labels.

Usage: ``python scripts/unnas.py [--cells N] [--seed S] [--of TASK] [--pretexts NAME ...]
[--out FILE] [key=value ...]``.
Cells of NAS-Bench-201, drawn uniformly by a seed, are trained on the pictures of a task for
rotation, jigsaw puzzles, colours and for their labels; it prints Spearman's rank correlations of
the four validation figures, with 95% bootstrap intervals over cells, and where the table at hand
knows the task, those with the table's validation accuracy (Liu et al., "Are Labels Necessary for
Neural Architecture Search?", ECCV 2020, section 4). At a small scale, for a CPU:
``--of cifar10 --px 16 --train 5000 --valid 2000 evaluator.channels=8 evaluator.cells=1
evaluator.epochs=4 evaluator.recipe.batch=64``. Every training sees as many pictures: rotation turns
a quarter of them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.errors import NasrunError
from nasrun.files import write_csv
from nasrun.spec import Archs, Floats, SearchSpace
from nasrun.streams import Streams

PRETEXTS = ("rotation", "jigsaw_puzzle", "colourisation")
RESAMPLES = 2000


def trained(overrides: Sequence[str], count: int, seed: int) -> tuple[SearchSpace, Archs, Floats]:
    """The space, the cells ``(n, L)`` and their validation scores ``(n,)``."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    experiment = configs.check(config, [CONF / "task"])
    space = experiment.space
    archs = space.sample(Streams(range(seed, seed + count), "cells"))
    opened = experiment.evaluator.opened(space, experiment.task)
    full = np.full(count, opened.fidelities[-1], np.int64)
    score = opened.evaluate(archs, epochs=full, streams=Streams(range(count))).score
    return space, archs, score


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's, where both are known."""
    from scipy.stats import spearmanr

    known = ~(np.isnan(a) | np.isnan(b))
    found: float = spearmanr(a[known], b[known])[0]  # pyright: ignore[reportAssignmentType]
    return found


def interval(a: Floats, b: Floats) -> tuple[float, float]:
    """95% percentile bootstrap over cells."""
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(a), (RESAMPLES, len(a)))
    low, high = np.nanpercentile([rank_correlation(a[own], b[own]) for own in draws], [2.5, 97.5])
    return float(low), float(high)


def correlation(a: Floats, b: Floats) -> str:
    """As a table prints it, with its interval."""
    low, high = interval(a, b)
    return f"{rank_correlation(a, b):.2f} [{low:.2f}, {high:.2f}]"


def main(argv: Sequence[str]) -> int:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=30, choices=range(3, 10_000), metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", default="cifar10")
    parser.add_argument("--pretexts", nargs="+", default=PRETEXTS, choices=PRETEXTS)
    parser.add_argument("--px", type=int, default=32)
    parser.add_argument("--train", type=int, default=25_000)
    parser.add_argument("--valid", type=int, default=25_000)
    parser.add_argument("--out", type=Path)
    options, overrides = parser.parse_known_args(argv)
    overrides = ["space=nb201", "evaluator=training", *overrides]

    def pictures(prefix: str, share: int) -> list[str]:
        sizes = {"image_px": options.px, "train_images": options.train // share}
        sizes["valid_images"] = options.valid // share
        return [f"{prefix}{key}={value}" for key, value in sizes.items()]

    pretexts = tuple(dict.fromkeys(options.pretexts))  # one that is named twice is played once
    asked = {"supervised": [f"task={options.of}", *pictures("task.", 1)]}
    for name in pretexts:
        share = 4 if name == "rotation" else 1
        own = pictures("+task.settings.", share)
        asked[name] = [f"task={name}", f"task.of={options.of}", *own]
    scores: dict[str, Floats] = {}
    texts: list[str] = []
    try:
        for name, words in asked.items():
            space, archs, scores[name] = trained([*overrides, *words], options.cells, options.seed)
            texts = [space.text(arch) for arch in archs]
            print(f"{name}: {np.nanmin(scores[name]):.2f} to {np.nanmax(scores[name]):.2f}")
        table = trained(
            ["space=nb201", f"task={options.of}", "evaluator=tabular"], options.cells, options.seed
        )[2]
        scores["table"] = table
    except NasrunError as error:
        print(f"unnas: {error}", file=sys.stderr)
        if len(scores) < len(asked):
            return 2
    shown = Table("pretext", *(f"with {name}" for name in scores if name not in PRETEXTS))
    for name in (*pretexts, *(["supervised"] if "table" in scores else [])):
        cells = [
            "" if other == name else correlation(scores[name], scores[other])
            for other in scores
            if other not in PRETEXTS
        ]
        shown.add_row(name, *cells)
    Console().print(shown)
    if options.out is not None:
        rows = zip(texts, *(own.tolist() for own in scores.values()), strict=True)
        write_csv(options.out, ("arch", *scores), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
