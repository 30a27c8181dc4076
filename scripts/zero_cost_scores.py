"""Zero-cost scores of cells, as a table that predictors read (``scores``).

Usage: ``python scripts/zero_cost_scores.py OUT.csv.gz [--cells N] [--seed S] [--of FILE]
[--only NAME,...] [key=value ...]``. Different encodings of the space (by default NAS-Bench-201 on
CIFAR-10's pictures) are drawn uniformly by a seed, or those of the column ``arch`` of a CSV file
are taken, and all thirteen scores of ``nasrun/nets/zero_cost.py``, or those named, are computed for
each: a row a cell with its text and its scores, in the order of the draw or the file. Settings of
the evaluator, such as ``evaluator.cells=1``, make it cheaper. Those that are no finite number stay
empty. Networks that are equal are scored once.
"""

import argparse
import csv
import gzip
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.progress import track

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.errors import DataError, NasrunError
from nasrun.evaluators.zero_cost import ZeroCostSession
from nasrun.files import write_bytes
from nasrun.nets.zero_cost import PROXIES
from nasrun.spec import Archs, CountableSpace, Floats
from nasrun.streams import Streams


def drawn(space: CountableSpace, count: int, seed: int) -> Archs:
    """``(count, L)`` different encodings."""
    rows = Streams([seed], "zero-cost scores").subsets(space.size, min(count, space.size))[0]
    return space.at(rows)


def listed(space: CountableSpace, path: Path) -> Archs:
    """``(n, L)`` the different encodings of a CSV file's column ``arch``.

    Raises:
        DataError: there is no such file or column, or a text that is none of the space.
    """
    try:
        texts = pd.read_csv(path, usecols=["arch"])["arch"].dropna().unique()
        return np.stack([space.parse(str(text)) for text in texts])
    except (OSError, ValueError, NasrunError) as error:
        raise DataError(f"{path}: no file with the cells in a column arch ({error})") from None


def scored(
    session: ZeroCostSession, space: CountableSpace, archs: Archs, names: Sequence[str]
) -> Floats:
    """``(n, scores)`` of each, where equal networks are asked for once."""
    _, first, again = np.unique(space.canonical_keys(archs), True, True)
    rows = [session.features(archs[at][None], list(names))[0] for at in track(first, "scores")]
    return np.stack(rows)[again]


def packed(space: CountableSpace, archs: Archs, scores: Floats, names: Sequence[str]) -> bytes:
    """The table, gzipped; the same figures give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arch", *names])
    for arch, row in zip(archs, scores, strict=True):
        known = [f"{value:.6g}" if np.isfinite(value) else "" for value in row]
        writer.writerow([space.text(arch), *known])
    return gzip.compress(text.getvalue().encode(), mtime=0)


def main(argv: Sequence[str]) -> int:
    """Draw, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", type=Path, help="CSV file whose cells are scored, and no others")
    parser.add_argument("--only", default=",".join(PROXIES), help="of the scores, with commas")
    options, overrides = parser.parse_known_args(argv)
    names = options.only.split(",")
    if unknown := sorted(set(names) - set(PROXIES)):
        parser.error(f"no score {', '.join(unknown)}: there are {', '.join(PROXIES)}")
    fixed = ["evaluator=zero_cost", "evaluator.proxy=jacov", "scorer=null"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["space=nb201", "task=cifar10", *fixed, *overrides])
    console = Console()
    try:
        experiment = configs.check(config, [CONF / "task"])
        session = experiment.evaluator.opened(experiment.space, experiment.task)
        assert isinstance(session, ZeroCostSession)
        assert isinstance(experiment.space, CountableSpace)
        space, path = experiment.space, options.of
        archs = listed(space, path) if path else drawn(space, options.cells, options.seed)
        began = time.process_time()
        scores = scored(session, experiment.space, archs, names)
    except NasrunError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(options.out, packed(experiment.space, archs, scores, names))
    console.print(
        f"wrote {options.out}: {len(archs)} cells, {time.process_time() - began:.0f} CPU s; "
        f"{session.protocol.fidelity}, seed {session.protocol.run}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
