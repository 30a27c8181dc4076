"""Which configuration a tuning tries next: one that no other equals."""

import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from nasrun.sweepers.dimensions import Dimensions, Values, rounded

PROPOSALS = 20  # of the model, before it is passed over: near its favourite it repeats itself
DRAWS = 1000  # where numbers are too many to count; only an interval of a few digits needs as many


@dataclass(frozen=True)
class Sampling:
    """How configurations are chosen: ``startup`` at random, the others by TPE."""

    startup: int
    seed: int


def choose(
    dimensions: Dimensions, sampling: Sampling, trials: Sequence[FrozenTrial]
) -> Values | None:
    """Values that no trial has, from the sampling seed and the trials alone; None: there are none.

    The model proposes; where it only repeats what was tried, the choice is made at random.
    """
    tried = [trial.params for trial in trials]
    seed = zlib.crc32(f"{sampling.seed}/{len(trials)}".encode())
    tpe = TPESampler(n_startup_trials=sampling.startup, multivariate=True, seed=seed)
    samplers = [(tpe, PROPOSALS), _at_random(dimensions, seed)]
    proposed = (
        values
        for sampler, proposals in samplers
        for values in _proposed(dimensions, trials, sampler, proposals)
        if values not in tried
    )
    return next(proposed, None)


def _at_random(dimensions: Dimensions, seed: int) -> tuple[BaseSampler, int]:
    """A sampler without a model, and how often to ask it: once, if it can count what is left."""
    for each in dimensions.values():
        if isinstance(each, FloatDistribution) and each.step is None:
            return RandomSampler(seed), DRAWS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return BruteForceSampler(seed), 1


def _proposed(
    dimensions: Dimensions,
    trials: Sequence[FrozenTrial],
    sampler: BaseSampler,
    proposals: int,
) -> Iterator[Values]:
    """What a sampler proposes that knows the trials."""
    # Asked in memory, because the journal would keep a half-chosen configuration.
    scratch = optuna.create_study(direction="maximize", sampler=sampler)
    scratch.add_trials(trials)
    for _ in range(proposals):
        chosen = scratch.ask(dimensions).params
        yield {key: rounded(dimensions[key], value) for key, value in chosen.items()}
