"""What stands in a run's CSV files: a dataclass a row, or a list a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from nasrun.spec import Floats, Ints, Policy, Protocol

DECIMALS = 6  # of figures on disk: finer than any table prints, coarser than float32 noise
POLICY_DECIMALS = 4  # of probabilities, which are for the eye
PROTOCOL = tuple(field.name for field in fields(Protocol))


@dataclass(frozen=True)
class TrialRow:
    """One trial, scored on one task: a row of ``trials.csv``. None is an empty cell.

    ``metric`` is that of ``val_score`` and ``test_score``; ``failed`` counts the measurements that
    gave no score. What follows says how latency weighed in the reward (see ``RewardTerms``), and
    how the figures came about.
    """

    space: str
    search_task: str
    task: str
    algorithm: str
    seed: int
    arch: str
    reward: float | None
    metric: str
    val_score: float | None
    test_score: float | None
    latency_ms: float | None
    params_m: float | None
    flops_m: float | None
    evaluations: int
    simulated_s: float | None
    wall_s: float | None
    rank: int | None
    failed: int
    device: str
    target_ms: float | None
    exponent: float | None
    exponent_above: float | None
    limit_ms: float | None
    split: str
    fidelity: str
    run: str
    clock: str
    meta: str
    final: str


@dataclass(frozen=True)
class ParetoRow:
    """One of a trial's best compromises: a row of ``pareto.csv``. None is an empty cell.

    ``val_score``, in ``metric``, is the search's own, on the search task. ``test_score``, in
    ``test_metric``, is on ``task``, and is there if the algorithm names its front, whose members
    the retrain stage scores. ``hypervolume`` is the trial's, from the search's own figures: what
    its front covers, from the metric's worst value and the slowest latency that the device knows;
    None where there is no such point: a summary then measures all fronts from one.
    """

    space: str
    search_task: str
    task: str
    algorithm: str
    seed: int
    arch: str
    epochs: int
    metric: str
    val_score: float | None
    test_metric: str | None
    test_score: float | None
    latency_ms: float | None
    reward: float | None
    params_m: float | None
    flops_m: float | None
    hypervolume: float | None
    device: str
    target_ms: float | None
    exponent: float | None
    exponent_above: float | None
    limit_ms: float | None
    split: str
    fidelity: str
    run: str
    clock: str
    meta: str
    final: str | None


class PolicyTable(NamedTuple):
    """Rows of ``policy.csv`` below its header: ``seed``, ``decision`` (from 0 on) and the options.

    A row is a trial's decision, or an edge of its supernet, and has the probability of each option
    when the search ended; an empty cell for an option that the decision does not have.
    """

    columns: tuple[str, ...]
    rows: list[list[float | int | None]]


def policy_table(policy: Policy, seeds: Ints) -> PolicyTable:
    """What the policies of the trials with these ``seeds (T,)`` have become."""
    names = tuple(dict.fromkeys(name for row in policy.options for name in row))
    cells_of = np.full((len(seeds), len(policy.options), len(names)), np.nan)
    for at, (options, own) in enumerate(zip(policy.options, policy.probabilities, strict=True)):
        cells_of[:, at, [names.index(name) for name in options]] = own
    rows = [
        [seed, at, *row]
        for seed, trial in zip(seeds.tolist(), cells_of, strict=True)
        for at, row in enumerate(cells(trial, POLICY_DECIMALS))
    ]
    return PolicyTable(("seed", "decision", *names), rows)


TRIAL_COLUMNS = tuple(field.name for field in fields(TrialRow))
PARETO_COLUMNS = tuple(field.name for field in fields(ParetoRow))
EVALUATION_COLUMNS = (
    "seed", "phase", "step", "arch", "epochs", "val_score", "latency_ms", "reward", "cost_s",
    "clock_s", "evaluations", "metric", *PROTOCOL,
)  # fmt: skip
# Rows by column, all lists of one length.
Columns = Mapping[str, Sequence[Any]]


def by_column(columns: Columns, names: Sequence[str]) -> "zip[tuple[Any, ...]]":
    """Rows of the columns, in the order of ``names``."""
    return zip(*(columns[name] for name in names), strict=True)


def values(row: TrialRow | ParetoRow) -> list[Any]:
    """The cells of a row, in the order of its fields."""
    return list(vars(row).values())


def cells(figures: Floats, decimals: int = DECIMALS) -> list[Any]:
    """Figures as CSV cells: rounded, and None (an empty cell) where the figure is missing."""
    rounded = np.round(figures, decimals).astype(object)
    rounded[np.isnan(figures)] = None
    return rounded.tolist()
