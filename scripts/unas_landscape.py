"""What UNAS's objectives reward: the losses of many architectures beside their accuracy in a table.

Usage: ``python scripts/unas_landscape.py [--epochs 1 4 12] [--archs 150] [--batches 1] [--seeds 0]
[--norm-pool] [--listed FILE ...] [--csv FILE] [overrides]``, for example ``task=cifar10
scale=small``. Weights alone are trained, as in UNAS's first epochs; after each of ``--epochs``
random architectures are drawn as the search draws them and judged on the same ``--batches`` of
training and validation images, one-hot (what REBAR and REINFORCE see) and relaxed (what
Gumbel-Softmax sees). Printed are each objective's rank correlation with the table's accuracy, and
the accuracy of the cell that takes on every edge the option with the lowest mean objective: what a
search without noise and with all the steps it wants would derive from these weights. Beside it:
each objective's rank correlation with the number of operations without weights (skips, poolings,
none), and that number in the cell. With several seeds they are means, and 95 % t-intervals of them.

Where there is no table (``space=darts_unas scale=small_darts``) the first two are missing, unless
the architectures come from files: ``--listed`` names CSV files of NAS-Bench-301's cells, with the
columns ``arch`` and ``val_accuracy``, and ``space.operations`` must be theirs. ``--norm-pool``
normalises what the poolings give, as the code of DARTS does and that of UNAS does not.
"""

import argparse
import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from csv import DictReader, DictWriter
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from estimator_variance import ALWAYS, trained
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr, t
from torch import Tensor, nn

from nasrun.__main__ import CONF
from nasrun.algorithms.unas import UNAS
from nasrun.config import check
from nasrun.errors import DataError, NasrunError
from nasrun.nets.darts_supernet import MixedEdge
from nasrun.nets.estimators import Draw, draw, gumbel, uniforms
from nasrun.nets.nb201_supernet import SharedCell
from nasrun.nets.supernet import SharedNet
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nb301 import NB301
from nasrun.spec import Archs, Clock, Floats, Ints

FIGURES = (
    "L_train", "L_val", "gap by pair", "gap of the batch", "L_gen by pair", "L_gen of the batch",
)  # fmt: skip
FREE = ("none", "skip", "pool")  # in names of operations without weights


@cache
def judge(overrides: tuple[str, ...]) -> Callable[[Archs], Floats]:
    """What gives ``(n,)`` test accuracies in the table; NaN where there is none."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*ALWAYS, *overrides])
    experiment = check(config, [CONF / "task"])
    if experiment.evaluator.clock is Clock.MEASURED:  # it would train them
        return lambda archs: np.full(len(archs), np.nan)
    opened = experiment.opened()
    return lambda archs: opened.judging.score(archs, opened.experiment.task).test_score


def first(batches: Iterator[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` batches as one."""
    x, y = zip(*islice(batches, count), strict=True)
    return torch.cat(x), torch.cat(y)


@torch.no_grad()
def landscape(method: UNAS, rows: Sequence[Tensor], batches: int = 1) -> dict[str, Floats]:
    """``(n,)`` objectives and gaps of ``n`` architectures' mixing rows ``(n, options)``."""
    train = first(method.data.training(10_000), batches)
    x, y = first(method.data.validating(10_000), batches)
    valid = x[: len(train[1])], y[: len(train[1])]  # where there are fewer to train on
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


def listed(files: Sequence[Path], space: DARTS) -> tuple[Archs, Floats]:
    """``(n, L)`` and ``(n,)``: the cells of NAS-Bench-301 in CSV files, and their accuracies.

    Raises:
        DataError: ``space`` does not have their operations.
    """
    table = NB301()
    if sorted(space.operations) != sorted(table.operations):
        raise DataError(
            f"--listed needs space.operations=[{','.join(table.operations)}], got "
            f"[{','.join(space.operations)}]"
        )
    rows: list[dict[str, str]] = []
    for file in files:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as text:
            rows += DictReader(text)
    archs = np.stack([space.parse(table.text(table.parse(row["arch"]))) for row in rows])
    return archs, np.array([float(row["val_accuracy"]) for row in rows])


def drawn_as(method: UNAS, archs: Archs) -> Draw:
    """``archs (n, L)`` as the search would have drawn them, relaxed by noise that leads to them.

    The highest number of a row changes places with that of the wanted option, which is the noise
    given that option where the logits are equal, as they are before the search.
    """
    rows = method.softened()
    noise = uniforms([len(row) for row in rows], len(archs), method.noise, method.logits.device)
    at = torch.arange(len(archs))
    for row, own, wanted in zip(rows, noise, torch.from_numpy(archs).T, strict=True):
        highest = (row.detach() + gumbel(own)).argmax(dim=-1)
        own[at, highest], own[at, wanted] = own[at, wanted], own[at, highest]
    return draw([row.detach() for row in rows], noise, method.temperature)


def norm_pools(network: SharedNet) -> None:
    """Let a normalisation without weights follow every pooling of the cells."""

    def followed(pool: nn.Module, channels: int) -> nn.Module:
        return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))

    for cell in list(network.modules()):
        if isinstance(cell, SharedCell):
            cell.add_module("pool", followed(cell.pool, cell._width))
        if isinstance(cell, MixedEdge):
            for name, option in cell.options.items():
                if isinstance(option, nn.MaxPool2d | nn.AvgPool2d):
                    cell.options[name] = followed(option, cell._width)


@dataclass
class Seen:
    """What one objective says at one moment of one training."""

    epoch: int
    steps: int
    seed: int
    rows: str  # one-hot or relaxed
    figure: str
    mean: float
    correlation: float  # with accuracy, of minus the objective
    with_free: float  # with the number of operations without weights
    cell: str  # that takes the option with the lowest mean
    free: int  # its operations without weights
    accuracy: float  # its own; NaN: there is no table


def moment(
    method: UNAS, overrides: Sequence[str], options: argparse.Namespace, seed: int
) -> list[Seen]:
    """The figures of one moment of the training, objective by objective."""
    space, count, files = method.problem.space, options.archs, options.listed
    if files:
        assert isinstance(space, DARTS)
        known, worth = listed(files, space)
        some = np.random.default_rng(seed).choice(len(known), count, replace=False)
        archs, truth, drawn = known[some], worth[some], drawn_as(method, known[some])
    else:
        drawn = method._draw(count)
        archs = torch.stack([row.argmax(dim=-1) for row in drawn.hard], dim=1).cpu().numpy()
        truth = judge(tuple(overrides))(archs)
    free = without_weights(archs, space.decisions)
    found: list[Seen] = []
    for kind, rows in (("one-hot", drawn.hard), ("relaxed", drawn.soft)):
        for name, values in landscape(method, rows, options.batches).items():
            (rho, _), (cheap, _) = (tuple(spearmanr(-values, own)) for own in (truth, free))
            cell = derived(archs, values, space.arity.tolist())
            own = int(without_weights(cell[None], space.decisions)[0])
            accuracy = np.nan if files else float(judge(tuple(overrides))(cell[None])[0])
            when = method.epoch, method.epoch * method.data.steps, seed
            found.append(
                Seen(*when, kind, name, values.mean(), rho, cheap, space.text(cell), own, accuracy)
            )
    return found


def mean_of(values: Sequence[float], decimals: int) -> str:
    """The mean, and half its 95 % t-interval where there are several."""
    text = f"{np.mean(values):+.{decimals}f}"
    if len(values) < 2:
        return text
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{text} ± {half:.{decimals}f}"


def report(seen: Sequence[Seen], count: int, console: Console) -> None:
    """Print the table of one moment of the trainings."""
    seeds = len({one.seed for one in seen})
    title = f"{count} architectures after {seen[0].steps} steps of weights alone, {seeds} seeds"
    table = Table(title=title)
    for column in ("rows", "figure", "mean", "rank correlation", "with free", "derived cell",
                   "its free", "its accuracy"):  # fmt: skip
        table.add_column(column, overflow="fold")
    for kind, name in dict.fromkeys((one.rows, one.figure) for one in seen):
        own = [one for one in seen if (one.rows, one.figure) == (kind, name)]
        table.add_row(
            kind,
            name,
            f"{np.mean([one.mean for one in own]):.3f}",
            mean_of([one.correlation for one in own], 2),
            mean_of([one.with_free for one in own], 2),
            own[0].cell if seeds == 1 else "",
            mean_of([one.free for one in own], 1),
            mean_of([one.accuracy for one in own], 1),
        )
    console.print(table)


def write(seen: Sequence[Seen], path: Path) -> None:
    """A CSV row for each."""
    with path.open("w", newline="") as file:
        writer = DictWriter(file, [field.name for field in fields(Seen)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in seen)


def read(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the overrides, which may stand behind lists of numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4, 12], help="when to look")
    parser.add_argument("--archs", type=int, default=150)
    parser.add_argument("--batches", type=int, default=1, help="that they are judged on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--norm-pool", action="store_true", help="normalise poolings")
    parser.add_argument("--listed", type=Path, nargs="+", default=[], help="NAS-Bench-301's cells")
    parser.add_argument("--csv", type=Path, help="where the figures of every seed go")
    overrides = [one for one in arguments if "=" in one and not one.startswith("-")]
    return parser.parse_args([one for one in arguments if one not in overrides]), overrides


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of a refusal."""
    options, overrides = read(sys.argv[1:] if arguments is None else arguments)
    console = Console(width=160)
    change = norm_pools if options.norm_pool else lambda _: None
    seen: list[Seen] = []
    try:
        for seed in options.seeds:
            method = trained(overrides, options.epochs[0], seed, change)
            for epochs in options.epochs:
                while method.epoch < epochs:
                    method.step()
                seen += moment(method, overrides, options, seed)
                if options.csv is not None:
                    write(seen, options.csv)
    except NasrunError as error:
        print(f"unas_landscape: {error}", file=sys.stderr)
        return error.exit_code
    for epochs in options.epochs:
        report([one for one in seen if one.epoch == epochs], options.archs, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
