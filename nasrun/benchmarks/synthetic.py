"""A made-up table with the structure of a real one, for tests and for people without data.

The accuracy of an architecture is a smooth function of what its options add, alone and in pairs
of neighbouring decisions; datasets share most of it. Shorter trainings see a noisier version of
it, and every run has its own noise. Costlier options take longer and tend to be better.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column, Floats, Frame
from nasrun.errors import ConfigError
from nasrun.spec import CountableSpace, SearchSpace

LIMIT = 1_000_000  # architectures of the largest space that a table is made for
RUNS = ("777", "888", "999")
CURVE_EPOCHS = 12  # of trainings up to this long every epoch is made, of longer ones the last
INTERACTION = 0.5  # spread of what a pair adds, where an option alone adds 1
OWN_SHARE = 0.2  # part of a dataset's landscape that it shares with no other
RUN_NOISE_PCT = 0.3  # between runs after the longest training; more after shorter ones
VALID_SHARE = 0.07  # of an epoch's seconds, for one validation pass


@dataclass(frozen=True)
class _Dataset:
    """How accurate and how slow a dataset's models are: worst, best (percent), seconds."""

    worst_pct: float
    best_pct: float
    epoch_s: float


DATASETS: Mapping[str, _Dataset] = {
    "cifar10-valid": _Dataset(10.0, 92.0, 10.0),
    "cifar10": _Dataset(10.0, 94.5, 20.0),
    "cifar100": _Dataset(1.0, 74.0, 20.0),
    "ImageNet16-120": _Dataset(0.8, 47.5, 60.0),
}


def read(source: Source, space: SearchSpace) -> Frame:
    """Validation and test accuracies of three runs, seconds and latency, of a whole space.

    Raises:
        ConfigError: the space is too large, or a training length is not positive.
    """
    size = space.size if isinstance(space, CountableSpace) else "endlessly many"
    if not isinstance(space, CountableSpace) or space.size > LIMIT:
        raise ConfigError(
            f"a synthetic table of space={space.name} would need {size} rows, more than "
            f"{LIMIT}: use evaluator=training"
        )
    if not source.schedules or min(source.schedules) < 1:
        raise ConfigError(f"schedules must be positive numbers of epochs, got {source.schedules}")
    random = np.random.default_rng([source.seed, zlib.crc32(space.name.encode())])
    archs = space.at(np.arange(space.size))
    archs = archs[exists := space.exists(archs)]
    options = [len(names) for names in space.decisions]
    weight = [np.sort(random.random(n)) for n in options]  # seconds an option adds, ascending
    cost = _standard(_added(archs, weight))
    shared = _standard(_landscape(archs, options, random) + 0.5 * cost)
    columns: dict[Column, NDArray[np.floating]] = {}
    for name, dataset in DATASETS.items():
        own = _standard(_landscape(archs, options, random))
        quality = _standard((1 - OWN_SHARE) * shared + OWN_SHARE * own)
        columns.update(_accuracies(name, dataset, quality, source.schedules, random))
        columns.update(_times(name, dataset, cost, max(source.schedules)))
    return Frame(None if exists.all() else [space.text(arch) for arch in archs], columns)


def _added(archs: NDArray[np.int64], weight: Sequence[Floats]) -> Floats:
    return sum((w[archs[:, i]] for i, w in enumerate(weight)), np.zeros(len(archs)))


def _landscape(
    archs: NDArray[np.int64], options: Sequence[int], random: np.random.Generator
) -> Floats:
    """``(size,)`` what options add, alone and together with their neighbour's."""
    value = _added(archs, [random.normal(size=n) for n in options])
    for i in range(len(options) - 1):
        pairs = INTERACTION * random.normal(size=(options[i], options[i + 1]))
        value += pairs[archs[:, i], archs[:, i + 1]]
    return value


def _standard(values: Floats) -> Floats:
    """The same values with mean 0 and deviation 1; a space of one architecture gives 0."""
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _accuracies(
    name: str,
    dataset: _Dataset,
    quality: Floats,
    schedules: Sequence[int],
    random: np.random.Generator,
) -> Iterator[tuple[Column, NDArray[np.floating]]]:
    longest = max(schedules)
    for schedule in sorted(schedules):
        for epoch in range(1 if schedule <= CURVE_EPOCHS else schedule, schedule + 1):
            # What is still missing of the accuracy shrinks with the length and the part done.
            progress = (epoch / schedule) * (1 + np.log(schedule)) / (1 + np.log(longest))
            blurred = quality + 0.5 * (1 - progress) * random.normal(size=len(quality))
            reach = dataset.worst_pct + (dataset.best_pct - dataset.worst_pct) * progress**0.2
            mean = dataset.worst_pct + (reach - dataset.worst_pct) / (1 + np.exp(-2 - blurred))
            noise = RUN_NOISE_PCT * (2 - progress)
            for run in RUNS:
                valid = np.clip(mean + noise * random.normal(size=len(mean)), 0, 100)
                if name != "cifar10":  # all its training images train: none are left to validate
                    yield Column("val_score", name, schedule, epoch, run), valid
                if epoch == schedule:
                    test = np.clip(valid + noise * random.normal(size=len(mean)), 0, 100)
                    yield Column("test_score", name, schedule, epoch, run), test


def _times(
    name: str, dataset: _Dataset, cost: Floats, schedule: int
) -> Iterator[tuple[Column, NDArray[np.floating]]]:
    last = Column("train_s", name, schedule, schedule, "mean")
    train_s = dataset.epoch_s * np.exp(0.3 * cost)
    yield last, train_s
    if name != "cifar10":
        yield last._replace(metric="valid_s"), VALID_SHARE * train_s
    yield last._replace(metric="latency_ms"), 15 * np.exp(0.2 * cost)
