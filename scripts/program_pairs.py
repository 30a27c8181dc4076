"""AutoML-Zero's programs, one against another on each of the final data sets.

Usage: ``python scripts/program_pairs.py [--rate R]... [--run FOLDER]... [--program TEXT]...
[--select SEED] [key=value ...]``. The first program is a linear one that learns by gradient
descent, of the rate of a grid that is best on the data sets of the search; the others are those
that runs found, from their trials.csv, and those that are given. It prints scores on the data sets
of the search and on the final ones, the mean difference from the first program over the final ones
with the 95% interval of Student's t, and Wilcoxon's signed rank p. With ``--select SEED`` the
programs are also judged on the pairs of the search in other projections, by which one may be chosen
among several.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table
from scipy.stats import t, wilcoxon

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.errors import NasrunError
from nasrun.evaluators.programs import ProgramsSession
from nasrun.spec import Floats

LINEAR = (
    "setup{{s2=const_s({rate:g});}}predict{{s1=dot(v0,v1);}}"
    "learn{{s3=sub_s(s0,s1);s3=mul_s(s3,s2);v2=scale_v(s3,v0);v1=add_v(v1,v2);}}"
)
RATES = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05)


def scores(texts: Sequence[str], overrides: Sequence[str], *, final: bool) -> Floats:
    """``(n, D)`` by data set."""
    base = ["algorithm=random", "space=program", "task=vectors_cifar10"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*base, *overrides])
    experiment = configs.check(config, [CONF / "task"])
    session = experiment.evaluator.opened(experiment.space, experiment.task)
    assert isinstance(session, ProgramsSession)
    archs = np.array([experiment.space.parse(text) for text in texts])
    return session.by_set(archs, final=final)


def found(folders: Sequence[Path]) -> dict[str, str]:
    """What the trials of runs found: text by seed and folder."""
    texts = dict[str, str]()
    for folder in folders:
        with (folder / "trials.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                texts[f"{folder.name}, seed {row['seed']}"] = row["arch"]
    return texts


def difference(other: Floats, base: Floats) -> str:
    """Mean with its interval, and p."""
    by_set = other - base
    if not by_set.any():
        return "0"
    half = t.ppf(0.975, len(by_set) - 1) * by_set.std(ddof=1) / np.sqrt(len(by_set))
    mean, p = by_set.mean(), float(wilcoxon(by_set).pvalue)  # pyright: ignore
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}], p = {p:.2g}"


def main(argv: Sequence[str]) -> int:
    """Tune, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", action="append", type=float)
    parser.add_argument("--run", action="append", type=Path, default=[])
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--select", type=int)
    options, overrides = parser.parse_known_args(argv)
    texts = {f"linear, rate {rate:g}": LINEAR.format(rate=rate) for rate in options.rate or RATES}
    tuned = int(np.argmax(scores(list(texts.values()), overrides, final=False).mean(axis=1)))
    texts |= found(options.run)
    texts |= {f"program {at + 1}": text for at, text in enumerate(options.program)}
    own = list(texts.values())
    search, final = (scores(own, overrides, final=final) for final in (False, True))
    chosen = search
    if options.select is not None:
        chosen = scores(own, [*overrides, f"task.seed={options.select}"], final=False)
    table = Table("program", "search", "other projections", "final", f"from {[*texts][tuned]}")
    for name, a, b, c in zip(texts, search, chosen, final, strict=True):
        other = f"{b.mean():.2f}" if options.select is not None else ""
        row = (name, f"{a.mean():.2f}", other, f"{c.mean():.2f}", difference(c, final[tuned]))
        table.add_row(*row)
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NasrunError as error:
        sys.exit(f"{error}")
