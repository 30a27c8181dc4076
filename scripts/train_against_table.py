"""Train cells that are spread over a table's range, and compare with the table.

Usage: ``python scripts/train_against_table.py [--cells N] [--out FILE] [key=value ...]``. The cells
stand at even steps of the rank in the table's accuracy after the same number of epochs. Without
overrides it is NAS-Bench-201's protocol on cifar10-valid: 12 epochs, 16 channels, 5 cells a stage,
seed 777. On a CPU a reduced scale gives ranks alone, for example
``--cells 4 evaluator.channels=8 evaluator.cells=1 task.train_images=5000 task.valid_images=2000``.
It prints the accuracies, Spearman's rank correlation and the mean absolute difference.
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
from nasrun.errors import ConfigError, NasrunError
from nasrun.experiment import Experiment, Opened
from nasrun.files import write_csv
from nasrun.spec import Archs, CountableSpace, Floats, Measuring
from nasrun.streams import Streams

EPOCHS = 12
COLUMNS = ("arch", "table_val_score", "our_val_score", "train_s")


def spread(table: Floats, count: int) -> Archs:
    """``(count,)`` numbers of architectures at even steps of rank, best and worst tenth left out.

    Most of the worst tenth learns nothing at all, in any protocol.
    """
    known = np.flatnonzero(~np.isnan(table))
    order = known[np.argsort(table[known], kind="stable")]
    places = np.linspace(0.1, 0.9, count) * (len(order) - 1)
    return order[np.rint(places).astype(int)]


def measured(evaluator: Measuring, archs: Archs) -> tuple[Floats, Floats]:
    """``(n,)`` accuracies after the full training, and the seconds it took."""
    full = np.full(len(archs), evaluator.fidelities[-1], np.int64)
    found = evaluator.evaluate(archs, epochs=full, streams=Streams(range(len(archs))))
    return found.score, found.cost_s


def experiment(overrides: Sequence[str]) -> Experiment:
    """The training evaluator, and the table as the scorer."""
    fixed = [
        "task=cifar10", "evaluator=training", "evaluator.score_epochs=null",
        "+evaluator@scorer=tabular", f"scorer.reward=val@{EPOCHS}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*fixed, *overrides])
    return configs.check(config, [CONF / "task"])


def compare(opened: Opened, count: int) -> list[tuple[str, float, float, float]]:
    """Rows of text, table accuracy, our accuracy and seconds, worst cell of the table first."""
    space = opened.experiment.space
    assert isinstance(space, CountableSpace)
    table, _ = measured(opened.judging, space.at(np.arange(space.size)))
    chosen = spread(table, count)
    archs = space.at(chosen)
    ours, seconds = measured(opened.measuring, archs)
    texts = [space.text(arch) for arch in archs]
    return list(zip(texts, table[chosen].tolist(), ours.tolist(), seconds.tolist(), strict=True))


def show(rows: Sequence[tuple[str, float, float, float]], protocol: str) -> None:
    """Print the table and what it comes to."""
    from scipy.stats import spearmanr

    table = Table("cell", "table %", "ours %", "seconds", title=protocol)
    for text, theirs, ours, seconds in rows:
        table.add_row(text, f"{theirs:.2f}", f"{ours:.2f}", f"{seconds:.1f}")
    Console(width=140).print(table)
    theirs, ours = np.array([row[1:3] for row in rows]).T
    correlation: float = spearmanr(theirs, ours)[0]  # pyright: ignore[reportAssignmentType]
    difference = np.abs(theirs - ours).mean()
    print(f"rank correlation {correlation:.3f}; mean absolute difference {difference:.2f} points")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", type=int, default=12, help="number of cells")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    parser.add_argument("overrides", nargs="*", help="key=value, as for nasrun")
    options = parser.parse_args(arguments)
    if options.cells < 2:
        raise ConfigError(f"--cells must be at least 2, got {options.cells}")
    made = experiment(options.overrides)
    opened = made.opened()
    rows = compare(opened, options.cells)
    show(rows, ", ".join((made.task.name, opened.measuring.protocol.fidelity)))
    if options.out is not None:
        write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    try:
        main()
    except NasrunError as error:
        print(f"train_against_table: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
