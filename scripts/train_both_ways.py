"""Train a cell by our trainer and by a plain loop, and compare what both have learnt.

Usage: ``python scripts/train_both_ways.py [--seeds N] [--epochs N] [--cell TEXT] [key=value ...]``.
Speed is worth nothing if the networks are worse for it: number format, layout, batched augmentation
and fused operations must leave the accuracy as it is. Both ways train the same cell on the same
pictures by NAS-Bench-201's recipe, with seeds of their own, and are judged on the same validation
pictures; no training on record is looked up. Overrides are nasrun's, by default a scale that a CPU
bears. It prints the accuracies and the mean difference with its 95% interval (Welch's).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table
from speed.plain_training import CELL, PlainLoop
from train_against_table import experiment

from nasrun.errors import ConfigError, NasrunError
from nasrun.evaluators.training import Training
from nasrun.experiment import Experiment
from nasrun.nets.classification import objective_of
from nasrun.nets.device import Device
from nasrun.nets.recipe import Precision
from nasrun.spec import Archs, Floats, Scale, SummedObjective
from nasrun.streams import Streams

SMALL = (
    "evaluator.channels=8", "evaluator.cells=1", "task.train_images=5000", "task.valid_images=5000",
)  # fmt: skip


def ours(made: Experiment, arch: Archs) -> tuple[float, str]:
    """Validation score of a training by the evaluator, and what was trained in words."""
    with TemporaryDirectory() as folder:
        evaluator = replace(training(made), cache_dir=folder).opened(made.space, made.task)
        epochs = np.array([evaluator.fidelities[-1]])
        found = evaluator.evaluate(arch[None], epochs=epochs, streams=Streams([0]))
    return float(found.score[0]), evaluator.protocol.fidelity


def training(made: Experiment) -> Training:
    """The evaluator, which overrides may have made another one.

    Raises:
        ConfigError: they have.
    """
    if not isinstance(made.evaluator, Training):
        raise ConfigError(f"expected evaluator=training, got {made.evaluator.name}")
    return made.evaluator


def plain(made: Experiment, arch: Archs, seed: int) -> float:
    """Validation score of a training in the reference's style."""
    evaluator = training(made)
    splits, recipe = made.task.load(), evaluator.recipe
    device = replace(
        Device(evaluator.device, threads=evaluator.threads), precision=Precision.float32
    )
    objective = objective_of(made.task)
    assert isinstance(objective, SummedObjective), "the plain loop classifies"
    with device.seeded(seed), device.computing():
        loop = PlainLoop(
            made.space.graph(arch), objective, splits.search_train,
            (splits.mean, splits.std), Scale(evaluator.channels, evaluator.cells), recipe, device,
        )  # fmt: skip
        loop.train(evaluator.epochs)
        return loop.score(splits.search_valid)


def difference(one: Floats, two: Floats) -> tuple[float, float]:
    """Mean of ``one`` minus that of ``two``, and half the width of its 95% interval."""
    from scipy.stats import ttest_ind

    interval = ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    return float(one.mean() - two.mean()), float((interval.high - interval.low) / 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of either way")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--cell", default=CELL)
    parser.add_argument("overrides", nargs="*", help="key=value, as for nasrun")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        raise ConfigError(f"--seeds must be at least 2, got {options.seeds}")
    overrides = options.overrides or SMALL
    table = Table("seed", "plain loop, float32, %", "ours, %")
    found: list[tuple[float, float]] = []
    protocol = ""
    for seed in range(options.seeds):
        own = [f"evaluator.epochs={options.epochs}", f"evaluator.seed={seed}"]
        made = experiment([*overrides, *own])
        arch = made.space.parse(options.cell)
        own_pct, protocol = ours(made, arch)
        found.append((plain(made, arch, seed), own_pct))
        table.add_row(str(seed), *(f"{value:.2f}" for value in found[-1]))
    theirs, both_pct = np.array(found).T
    Console(width=110).print(table)
    mean, half = difference(both_pct, theirs)
    print(
        f"{options.cell}: plain {spread(theirs)}, ours {spread(both_pct)}; ours minus plain "
        f"{mean:+.2f} +- {half:.2f} points ({protocol})"
    )


def spread(values: Floats) -> str:
    """Mean and standard deviation."""
    return f"{values.mean():.2f} +- {values.std(ddof=1):.2f}"


if __name__ == "__main__":
    try:
        main()
    except NasrunError as error:
        print(f"train_both_ways: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
