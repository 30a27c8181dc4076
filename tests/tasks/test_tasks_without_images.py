"""A task need not have images: its evaluator asks for its type when it is opened."""

from dataclasses import dataclass

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace, number

from nasrun.errors import UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Measured, Metric, Task, metric_named
from nasrun.streams import Streams


@dataclass
class Balancing(Task):
    """A pole to be kept upright: outputs stand for classes, and there is one pixel."""

    pole_m: float = 0.5

    @property
    def metric(self) -> Metric:
        return metric_named("fitness")


@dataclass
class Physics(ToyEvaluator):
    """Scores controllers by how long they would balance a pole."""

    def opened(self, space, task):
        if not isinstance(task, Balancing):
            raise UnsupportedError(
                f"evaluator={self.name} balances poles, which task={task.name} has none of: use "
                "task=balancing"
            )
        own = super().opened(space, task)
        own.metric = task.metric
        return own

    def evaluate(self, archs, *, epochs, streams, parents=None):
        fitness = self.task.pole_m * number(self.space, archs)
        return Measured.scored(archs, epochs, fitness, np.ones(len(archs)))


BALANCING = Balancing("balancing", 2, 1, "-", "-", 1, 1)


def test_a_fitness_is_measured_and_named():
    space = ToySpace()
    session = Physics().opened(space, BALANCING)
    archs = space.at(np.array([4, 6]))
    found = session.evaluate(archs, epochs=np.array([1, 1]), streams=Streams([0, 1]))
    assert found.score.tolist() == [2.0, 3.0]
    assert session.metric.name == session.final_metric(BALANCING).name == "fitness"
    assert BALANCING.described.metric.name == "fitness"


def test_an_evaluator_refuses_a_task_of_another_kind():
    with pytest.raises(UnsupportedError, match="balances poles, which task=toy has none of"):
        Physics().opened(ToySpace(), TASK)
    with pytest.raises(UnsupportedError, match="task=balancing has no images"):
        Training().opened(NB201(), BALANCING)
