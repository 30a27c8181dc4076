"""A small space and a judge that needs no data, for tests of what stands around them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.budget import Budget
from nasrun.hardware.none import NoHardware
from nasrun.pipeline import Experiment
from nasrun.spaces.base import CategoricalSpace
from nasrun.spec import Clock, Evaluator, Measured, Scored, Task

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
class ToyEvaluator(Evaluator):
    """Accuracy is the number of the architecture; every epoch takes a second."""

    name: str = "toy"
    clock: ClassVar[Clock] = Clock.SIMULATED
    noise: float = 0.0
    fails_below: int = 0

    def start(self, space, task):
        self.space, self.task = space, task

    @property
    def fidelities(self):
        return (1, 4, 12)

    def evaluate(self, archs, *, epochs, streams):
        accuracy = self.space.index(archs).astype(float) * epochs / 12
        accuracy = np.where(accuracy < self.fails_below, np.nan, accuracy)
        if self.noise:
            accuracy = accuracy + self.noise * streams.normal()[:, 0]
        nan = np.full(len(archs), np.nan)
        return Measured(archs, epochs, accuracy, epochs.astype(float), nan, nan)

    def score(self, archs, task):
        accuracy = self.space.index(archs).astype(float)
        nan = np.full(len(archs), np.nan)
        return Scored(accuracy, accuracy - 1, nan, nan, self.space.size - accuracy, "12 epochs")

    @property
    def protocol(self):
        return {"split": "toy-valid", "fidelity": "val@12", "run": "mean", "clock": "toy"}


def toy_experiment(
    algorithm, *, seed=0, trials=3, cohort=500, space=None, evaluator=None, **budget
):
    space, evaluator = space or ToySpace(), evaluator or ToyEvaluator()
    evaluator.start(space, TASK)
    return Experiment(
        space=space,
        task=TASK,
        algorithm=algorithm,
        evaluator=evaluator,
        hardware=NoHardware(),
        budget=Budget(**(budget or {"evaluations": 6})),
        final_tasks=[TASK],
        seeds=range(seed, seed + trials),
        cohort=cohort,
    )


def unknown_latency(archs):
    """No device: nothing is known of how fast an architecture runs."""
    return np.full(len(archs), np.nan)
