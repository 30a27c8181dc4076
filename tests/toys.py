"""A small space and a judge that needs no data, for tests of what stands around them."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from nasrun.budget import Budget
from nasrun.experiment import Experiment, problem_of
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.hardware.none import NoDevice, NoHardware
from nasrun.spaces.base import CategoricalSpace
from nasrun.spec import (
    ACCURACY,
    Clock,
    Device,
    Evaluator,
    Measured,
    Measuring,
    Metric,
    Protocol,
    Scored,
    Session,
    Task,
)
from nasrun.streams import Streams

TASK = Task("toy", 10, 32, "toy-valid", "toy", 50, 100)


class ToySpace(CategoricalSpace):
    """Decisions with two, three and four options; texts are digits."""

    name = "toy"

    def __init__(self, arity=(2, 3, 4)):
        self._decisions = tuple(tuple("abcdefgh"[:n]) for n in arity)

    @property
    def decisions(self):
        return self._decisions

    def text(self, arch):
        return "".join(map(str, arch))

    def parse(self, text):
        return np.array([int(digit) for digit in text])


@dataclass
class ToyEvaluator(Evaluator, Session):
    """Accuracy is the number of the architecture; every epoch takes a second.

    It is its own session: opening gives a copy.
    """

    name: str = "toy"
    clock: ClassVar[Clock] = Clock.SIMULATED
    noise: float = 0.0
    fails_below: int = 0
    metric: Metric = ACCURACY

    def opened(self, space, task):
        own = copy.copy(self)
        own.space, own.task = space, task
        return own

    @property
    def fidelities(self):
        return (1, 4, 12)

    def evaluate(self, archs, *, epochs, streams, parents=None):
        accuracy = number(self.space, archs) * epochs / 12
        accuracy = np.where(accuracy < self.fails_below, np.nan, accuracy)
        if self.noise:
            accuracy = accuracy + self.noise * streams.normal()[:, 0]
        return Measured.scored(archs, epochs, accuracy, epochs.astype(float))

    def score(self, archs, task):
        accuracy = number(self.space, archs)
        nan = np.full(len(archs), np.nan)
        return Scored(accuracy, accuracy - 1, nan, nan, self.space.size - accuracy, "12 epochs")

    @property
    def protocol(self):
        return Protocol(split="toy-valid", fidelity="val@12", run="mean", clock="toy")


def number(space, archs):
    """A score for every architecture, higher for a later one."""
    return space.index(archs).astype(float)


class Rewarding(Measuring):
    """Measures a function of the architectures; a query costs a second."""

    fidelities = (12,)
    metric = ACCURACY
    protocol = Protocol("toy-valid", "val@12", "mean", "toy")

    def __init__(self, score):
        self.score = score

    def evaluate(self, archs, *, epochs, streams, parents=None):
        score = np.asarray(self.score(archs), float)
        return Measured.scored(archs, epochs, score, np.ones(len(archs)))


@dataclass
class Having(NoHardware):
    """Hardware that opens as the given device."""

    device: Device = field(default_factory=NoDevice)

    def opened(self, space, task):
        return self.device


@dataclass
class Latency(Weighing):
    """Latencies that no order of the options explains, so that a front has several members."""

    name: str = "toy_latency"
    target_ms: float | None = 4.0

    def opened(self, space, task):
        latencies_ms = 1.0 + 5 * (1 + np.arange(space.size)) % 11
        return KnownDevice(self, space, None, latencies_ms, {})


class Scoring(Rewarding):
    """Scores above zero, higher for a later architecture."""

    def __init__(self, space):
        super().__init__(lambda archs: 1 + number(space, archs))


def toy_problem(score, trials, space=None, device=None):
    """A task whose score is a function of the architectures."""
    streams = Streams(range(trials), "toy problem")
    measuring = score if isinstance(score, Measuring) else Rewarding(score)
    device = device or NoHardware().opened(space, TASK)
    return problem_of(space or ToySpace(), TASK, measuring, device, streams)


def toy_experiment(
    algorithm,
    *,
    seed=0,
    trials=3,
    cohort=500,
    space=None,
    evaluator=None,
    hardware=None,
    final_tasks=(TASK,),
    **budget,
):
    space, evaluator = space or ToySpace(), evaluator or ToyEvaluator()
    return Experiment(
        space=space,
        task=TASK,
        algorithm=algorithm,
        evaluator=evaluator,
        hardware=hardware or NoHardware(),
        budget=Budget(**(budget or {"evaluations": 6})),
        final_tasks=list(final_tasks),
        seeds=range(seed, seed + trials),
        cohort=cohort,
    )
