"""What UNAS's objectives reward: the losses of many architectures beside their accuracy in a table.

Usage: ``python scripts/unas_landscape.py [--epochs 1 4 12] [--archs 150] [overrides]``, for example
``task=cifar10 scale=small``. Weights alone are trained, as in UNAS's first epochs; after each of
``--epochs`` random architectures are drawn as the search draws them and judged on the same training
and validation images, one-hot (what REBAR and REINFORCE see) and relaxed (what Gumbel-Softmax
sees). Printed are each objective's rank correlation with the table's accuracy, and the accuracy of
the cell that takes on every edge the option with the lowest mean objective: what a search without
noise and with all the steps it wants would derive from these weights. Beside it, and alone where
there is no table (``space=darts_unas scale=small_darts``): each objective's rank correlation with
the number of operations without weights (skips, poolings, none), and that number in the cell.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from estimator_variance import ALWAYS, trained
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor

from nasrun.__main__ import CONF
from nasrun.algorithms.unas import UNAS
from nasrun.config import check
from nasrun.errors import NasrunError
from nasrun.spec import Archs, Clock, Floats, Ints

FIGURES = (
    "L_train", "L_val", "gap by pair", "gap of the batch", "L_gen by pair", "L_gen of the batch",
)  # fmt: skip
FREE = ("none", "skip", "pool")  # in names of operations without weights


def accuracies(overrides: Sequence[str], archs: Archs) -> Floats:
    """``(n,)`` test accuracies in the table; NaN where there is none."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*ALWAYS, *overrides])
    experiment = check(config, [CONF / "task"])
    if experiment.evaluator.clock is Clock.MEASURED:  # it would train them
        return np.full(len(archs), np.nan)
    opened = experiment.opened()
    return opened.judging.score(archs, opened.experiment.task).test_score


@torch.no_grad()
def landscape(method: UNAS, rows: Sequence[Tensor]) -> dict[str, Floats]:
    """``(n,)`` objectives and gaps of ``n`` architectures' mixing rows ``(n, options)``."""
    train, valid = next(method.data.training(10_000)), next(method.data.validating(10_000))
    method.network.train()
    found: list[list[float]] = []
    for at in range(len(rows[0])):
        own = [row[at] for row in rows]
        learnt, judged = method.losses(*train, own), method.losses(*valid, own)
        by_pair, of_batch = (judged - learnt).abs().mean(), (judged - learnt).mean().abs()
        base, weight = learnt.mean(), method.gap_weight
        figures = (base, judged.mean(), by_pair, of_batch, base + weight * by_pair,
                   base + weight * of_batch)  # fmt: skip
        found.append([float(figure) for figure in figures])
    return dict(zip(FIGURES, np.array(found).T, strict=True))


def derived(archs: Archs, values: Floats, arity: Sequence[int]) -> Archs:
    """``(L,)`` the option with the lowest mean value, decision by decision, among those drawn."""
    found: list[int] = []
    for column, options in zip(archs.T, arity, strict=True):
        seen = [option for option in range(options) if (column == option).any()]
        found.append(min(seen, key=lambda option: values[column == option].mean()))
    return np.array(found, np.int64)


def without_weights(archs: Archs, decisions: Sequence[Sequence[str]]) -> Ints:
    """``(n,)`` how many operations of each are skips, poolings or none."""
    free = [
        np.array([any(word in name for word in FREE) for name in options]) for options in decisions
    ]
    return np.stack([own[col] for own, col in zip(free, archs.T, strict=True)]).sum(axis=0)


def report(method: UNAS, overrides: Sequence[str], count: int, console: Console) -> None:
    """Print the table of one moment of the training."""
    drawn = method._draw(count)
    archs = torch.stack([row.argmax(dim=-1) for row in drawn.hard], dim=1).cpu().numpy()
    truth, arity = accuracies(overrides, archs), method.problem.space.arity.tolist()
    table = Table(title=f"{count} architectures after {method.epoch} epochs of weights alone")
    space = method.problem.space
    free = without_weights(archs, space.decisions)
    for column in ("rows", "figure", "mean", "rank correlation", "with free", "derived cell",
                   "its free", "its accuracy"):  # fmt: skip
        table.add_column(column)
    for kind, rows in (("one-hot", drawn.hard), ("relaxed", drawn.soft)):
        for name, values in landscape(method, rows).items():
            (rho, _), (cheap, _) = (tuple(spearmanr(-values, own)) for own in (truth, free))
            cell = derived(archs, values, arity)
            text, accuracy = space.text(cell), accuracies(overrides, cell[None])[0]
            own = str(without_weights(cell[None], space.decisions)[0])
            figures = f"{rho:+.2f}", f"{cheap:+.2f}", text, own, f"{accuracy:.1f}"
            table.add_row(kind, name, f"{values.mean():.3f}", *figures)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of a refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4, 12], help="when to look")
    parser.add_argument("--archs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options, overrides = parser.parse_known_args(arguments)
    console = Console(width=160)
    try:
        method = trained(overrides, options.epochs[0], options.seed)
        for epochs in options.epochs:
            while method.epoch < epochs:
                method.step()
            report(method, overrides, options.archs, console)
    except NasrunError as error:
        print(f"unas_landscape: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
