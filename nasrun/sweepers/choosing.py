"""Which configuration a tuning tries next: one that no other equals."""

import math
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from nasrun.sweepers.dimensions import Dimension, Value

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PROPOSALS = 20  # of the model, before it is passed over: near its favourite it repeats itself
DRAWS = 1000  # where numbers are too many to count; only an interval of a few digits needs as many

Values = dict[str, Value]


@dataclass(frozen=True)
class Sampling:
    """How configurations are chosen: ``startup`` at random, the others by TPE."""

    startup: int
    seed: int


def choose(
    dimensions: Mapping[str, Dimension], sampling: Sampling, trials: "Sequence[FrozenTrial]"
) -> Values | None:
    """Values that no trial has, from the sampling seed and the trials alone; None: there are none.

    The model proposes; where it only repeats what was tried, the choice is made at random.
    """
    tried = {_key(dimensions, trial.params) for trial in trials}
    own_seed = zlib.crc32(f"{sampling.seed}/{len(trials)}".encode())
    new = (
        values
        for values in chain(
            _proposed(dimensions, sampling.startup, own_seed, trials),
            _others(dimensions, random.Random(own_seed)),
        )
        if _key(dimensions, values) not in tried
    )
    return next(new, None)


def _key(dimensions: Mapping[str, Dimension], values: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(values[key] for key in dimensions)


def _proposed(
    dimensions: Mapping[str, Dimension],
    startup: int,
    seed: int,
    trials: "Sequence[FrozenTrial]",
) -> Iterator[Values]:
    """What a sampler with a seed of its own proposes that knows the trials."""
    import optuna

    sampler = optuna.samplers.TPESampler(n_startup_trials=startup, multivariate=True, seed=seed)
    # Asked in memory, because the journal would keep a half-chosen configuration.
    scratch = optuna.create_study(direction="maximize", sampler=sampler)
    scratch.add_trials(trials)
    distributions = {key: each.distribution() for key, each in dimensions.items()}
    for _ in range(PROPOSALS):
        chosen = scratch.ask(distributions).params
        yield {key: each.rounded(chosen[key]) for key, each in dimensions.items()}


def _others(dimensions: Mapping[str, Dimension], generator: random.Random) -> Iterator[Values]:
    """Configurations at random, or all of them from one at random on where they can be counted."""
    counts = {key: each.count for key, each in dimensions.items()}
    known = {key: count for key, count in counts.items() if count is not None}
    if len(known) < len(counts):
        for _ in range(DRAWS):
            yield {key: each.drawn(generator) for key, each in dimensions.items()}
        return
    size = math.prod(known.values())
    start = generator.randrange(size)
    for number in range(start, start + size):
        rest, values = number % size, Values()
        for key, count in known.items():
            rest, index = divmod(rest, count)
            values[key] = dimensions[key].at(index)
        yield values
