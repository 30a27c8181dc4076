"""How well predictors order architectures that they have not seen, by the number they have seen.

Usage: ``python scripts/predictor_benchmark.py [--predictors rf xgb ...] [--sizes 24 42 ...]
[--trials 100] [--test 200] [--out FILE.csv] [overrides of the config]``, for example
``task=cifar100 predictor.encodings=[onehot]``. After White et al., "How Powerful are Performance
Predictors in Neural Architecture Search?" (NeurIPS 2021): each trial draws ``--test`` architectures
and then as many to learn from as the largest size says, of which smaller sizes take the first ones;
as there, an architecture may be drawn twice. ``random`` is a row that guesses. Figures come from
the evaluator at hand, such as a table. Printed are means over trials with their standard errors.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau, pearsonr, spearmanr

from nasrun.__main__ import CONF
from nasrun.config import build, check
from nasrun.errors import DataError, NasrunError
from nasrun.spec import Archs, Floats, Inputs, Predictor, Session, Streams

SIZES = (5, 8, 14, 24, 42, 71, 121, 205, 347, 589, 1000)  # NASLib's, evenly spaced logarithms
GUESSING = "random"
AT_ONCE = 25  # trials that are fitted together, for memory's sake
CHECKED = (10, 20)  # predicted best, of which precision counts those among the true best


@dataclass(frozen=True)
class Row:
    """What a predictor made of one trial; ``kendall_1dec`` is of predictions rounded to 0.1."""

    task: str
    predictor: str
    train: int
    seed: int
    kendall: float
    spearman: float
    pearson: float
    kendall_1dec: float
    precision_10: float
    precision_20: float
    fit_s: float
    query_s: float
    train_cost_s: float


def agreement(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Correlations of ``(M,)`` predictions with the truth, and precision of the predicted best.

    A predictor that says the same of all has correlations of 0.
    """
    constant = np.ptp(predicted) == 0 or np.ptp(truth) == 0
    rounded = np.round(predicted, 1)
    figures = {
        "kendall": 0.0 if constant else _statistic(kendalltau(predicted, truth)),
        "spearman": 0.0 if constant else _statistic(spearmanr(predicted, truth)),
        "pearson": 0.0 if constant else _statistic(pearsonr(predicted, truth)),
        "kendall_1dec": 0.0 if np.ptp(rounded) == 0 else _statistic(kendalltau(rounded, truth)),
    }
    best, guessed = np.argsort(-truth, kind="stable"), np.argsort(-predicted, kind="stable")
    for k in CHECKED:
        figures[f"precision_{k}"] = len(set(best[:k]) & set(guessed[:k])) / k
    return {name: float(value) for name, value in figures.items()}


def _statistic(result: Any) -> float:
    return float(result.statistic)


@dataclass(frozen=True)
class Drawn:
    """Architectures ``(T, N, L)`` of some trials, their figures and what these cost, ``(T, N)``."""

    archs: Archs
    score: Floats
    cost_s: Floats


class Benchmark:
    """Trials of one task.

    Args:
        overrides: of the config.
        test: architectures to predict.
        sizes: numbers to learn from.

    Raises:
        NasrunError: what the config or its data cannot be.
    """

    def __init__(self, overrides: Sequence[str], test: int, sizes: Sequence[int]) -> None:
        self._overrides, self._test, self._sizes = list(overrides), test, sorted(sizes)
        self._experiment = check(self._config(), [CONF / "task"])
        opened = self._experiment.opened()
        self._session: Session = opened.measuring

    def _config(self, *more: str) -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", overrides=[*more, *self._overrides])

    def rows(self, predictor: str, seeds: range) -> Iterator[Row]:
        """Row by row; smaller sizes are beginnings of larger ones."""
        for start in range(seeds.start, seeds.stop, AT_ONCE):
            own = range(start, min(start + AT_ONCE, seeds.stop))
            streams = Streams(own, "predictor benchmark")
            asked = self._drawn(streams, self._test)
            known = self._drawn(streams, self._sizes[-1])
            for size in self._sizes:
                yield from self._of_size(predictor, own, size, known, asked)

    def _drawn(self, streams: Streams, count: int) -> Drawn:
        """Architectures that have a figure, as far as some tries find them."""
        space, task = self._experiment.space, self._experiment.task
        full = np.full(len(streams), self._session.fidelities[-1])
        looked_up = [
            self._session.evaluate(space.sample(streams), epochs=full, streams=streams)
            for _ in range(count)
        ]
        parts = [(one.archs, task.metric.oriented(one.score), one.cost_s) for one in looked_up]
        archs, score, cost_s = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        if np.isnan(score).all():
            raise DataError("none of the drawn architectures has a figure: take another table")
        return Drawn(archs, score, cost_s)

    def _of_size(
        self, predictor: str, seeds: range, size: int, known: Drawn, asked: Drawn
    ) -> Iterator[Row]:
        mean, fit_s, query_s = self._predicted(predictor, seeds, size, known, asked)
        for trial, seed in enumerate(seeds):
            there = ~np.isnan(asked.score[trial])
            yield Row(
                task=self._experiment.task.name,
                predictor=predictor,
                train=size,
                seed=seed,
                **agreement(mean[trial, there], asked.score[trial, there]),
                fit_s=fit_s / len(seeds),
                query_s=query_s / len(seeds) / self._test,
                train_cost_s=float(np.nansum(known.cost_s[trial, :size])),
            )

    def _predicted(
        self, name: str, seeds: range, size: int, known: Drawn, asked: Drawn
    ) -> tuple[Floats, float, float]:
        """``(T, M)`` predictions, and seconds of all trials' fits and queries."""
        streams = Streams(seeds, f"{name} of {size}")
        if name == GUESSING:
            return streams.uniform(self._test), 0.0, 0.0
        node = self._config(f"predictor={name}").predictor
        recipe = build(node, Predictor, "predictor")
        model = recipe.opened(self._experiment.space, streams, self._truth)
        y = known.score[:, :size]
        begun = time.perf_counter()
        model.fit(Inputs(known.archs[:, :size]), y, ~np.isnan(y))
        fitted = time.perf_counter()
        mean = model.predict(Inputs(asked.archs)).mean
        return mean, fitted - begun, time.perf_counter() - fitted

    def _truth(self, archs: Archs) -> Floats:
        """What the evaluator says: for an oracle."""
        streams = Streams(range(len(archs)), "truth")
        full = np.full(len(archs), self._session.fidelities[-1])
        columns = [
            self._session.evaluate(archs[:, at], epochs=full, streams=streams).score
            for at in range(archs.shape[1])
        ]
        return np.nan_to_num(self._experiment.task.metric.oriented(np.stack(columns, axis=1)))


def summary(
    rows: Sequence[Row], figure: str = "kendall"
) -> dict[tuple[str, int], tuple[float, float, int]]:
    """Mean, standard error and number of trials of a figure, by predictor and size."""
    groups: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        groups.setdefault((row.predictor, row.train), []).append(getattr(row, figure))
    return {key: _mean_of(own) for key, own in groups.items()}


def _mean_of(values: Sequence[float]) -> tuple[float, float, int]:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if values[1:] else np.nan
    return float(np.mean(values)), float(error), len(values)


def shown(rows: Sequence[Row]) -> Table:
    """Kendall's tau, predictors by sizes, with what a fit and a query took at the largest."""
    found, sizes = summary(rows), sorted({row.train for row in rows})
    seconds = summary(rows, "fit_s")
    table = Table("Kendall's tau, mean ± SE", *map(str, sizes), f"fit of {sizes[-1]}, s")
    for name in dict.fromkeys(row.predictor for row in rows):
        cells = [f"{found[name, size][0]:.3f} ± {found[name, size][1]:.3f}" for size in sizes]
        table.add_row(name, *cells, f"{seconds[name, sizes[-1]][0]:.3g}")
    return table


def main(arguments: Sequence[str]) -> None:
    """Play the trials, print the table, write the rows."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--predictors", nargs="+", default=[GUESSING, "bayes_lin_reg", "gp", "rf"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options, overrides = parser.parse_known_args(arguments)
    benchmark = Benchmark(overrides, options.test, options.sizes)
    seeds = range(options.seed, options.seed + options.trials)
    rows = [row for name in options.predictors for row in benchmark.rows(name, seeds)]
    Console(width=200).print(shown(rows))
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows([asdict(row) for row in rows])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NasrunError as error:
        sys.exit(f"predictor_benchmark: {error}")
