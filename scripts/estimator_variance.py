"""How much UNAS's gradient estimates vary on a supernet at hand, weights and images held fixed.

Usage: ``python scripts/estimator_variance.py [--epochs 4] [--draws 64] [overrides of the config]``,
for example ``task=cifar10 scale=small``. The weights are trained for some epochs with uniform
logits; then each estimator's gradient is drawn many times for the same training and validation
batch. Printed are the total variance over draws, and the length of the mean gradient.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from nasrun.__main__ import CONF
from nasrun.algorithms.unas import UNAS, Estimator, Objective
from nasrun.config import check
from nasrun.errors import ConfigError, NasrunError
from nasrun.experiment import problem_of
from nasrun.nets.supernet import SharedNet
from nasrun.spec import Phase, Streams

ALWAYS = ("algorithm=unas", "algorithm.frozen=0.99")  # no epoch here changes the logits


def trained(
    overrides: Sequence[str],
    epochs: int,
    seed: int,
    change: Callable[[SharedNet], None] = lambda _: None,
) -> UNAS:
    """UNAS after some epochs of weights alone; ``change`` what is done to its network before.

    Raises:
        ConfigError: overrides that make it another method.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*ALWAYS, *overrides])
    experiment = check(config, [CONF / "task"])
    method = experiment.algorithm
    if not isinstance(method, UNAS):
        raise ConfigError(f"expected algorithm=unas, got {method.name}")
    method.scale.epochs = 100 * epochs  # so that all of these are frozen
    opened, streams = experiment.opened(), Streams([seed])
    problem = problem_of(
        experiment.space, experiment.task, opened.measuring, opened.device, streams
    )
    method.start(problem, streams, Phase.SEARCH)
    change(method.network)
    for _ in range(epochs):
        method.step()
    return method


def gradients(method: UNAS, estimator: Estimator, draws: int) -> torch.Tensor:
    """``(draws, rows * options)`` estimates for one pair of batches."""
    method.estimator = estimator
    x, y = next(method.data.training(10_000))
    valid = next(method.data.validating(10_000))
    method.valid_batch = lambda: valid
    method.network.train()
    found: list[torch.Tensor] = []
    for _ in range(draws):
        scalar = method.objective_of(x, y, method._draw(len(x)))
        found.append(torch.autograd.grad(scalar, method.logits)[0].flatten())
    return torch.stack(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of a refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=4, help="of weights alone")
    parser.add_argument("--draws", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options, overrides = parser.parse_known_args(arguments)
    table = Table(title=f"{options.draws} draws after {options.epochs} epochs")
    for column in ("objective", "estimator", "variance", "length of the mean"):
        table.add_column(
            column, justify="left" if column in ("objective", "estimator") else "right"
        )
    try:
        method = trained(overrides, options.epochs, options.seed)
        for objective in (Objective.val, Objective.gen):
            method.objective = objective
            for estimator in Estimator:
                found = gradients(method, estimator, options.draws)
                variance, mean = float(found.var(dim=0).sum()), float(found.mean(dim=0).norm())
                table.add_row(objective.value, estimator.value, f"{variance:.3e}", f"{mean:.3e}")
    except NasrunError as error:
        print(f"estimator_variance: {error}", file=sys.stderr)
        return error.exit_code
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
