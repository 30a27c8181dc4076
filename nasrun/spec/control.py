"""Tasks without data: controllers are tried out, on cases or on a system that is simulated."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nasrun.spec.metric import Metric, metric_named
from nasrun.spec.network import Controllers
from nasrun.spec.space import Mask
from nasrun.spec.task import Task
from nasrun.streams import Floats


@dataclass
class ControlTask(Task):
    """A task on which controllers are tried out.

    ``inputs`` numbers are shown to a controller, a constant one (bias) among them, and ``outputs``
    are read. ``memory``: whether what is shown now is not enough to act on, so that a network
    needs cycles.
    """

    inputs: int = 1
    outputs: int = 1
    memory: bool = False

    # True: of a generation only one is asked if it solves, the best that was not asked before.
    champions: ClassVar[bool] = False

    @property
    def metric(self) -> Metric:
        """What a search goes by: the fitness that the task's authors chose."""
        return metric_named("fitness")

    @property
    def final_metric(self) -> Metric:
        """What was achieved, in percent of what was asked for."""
        return metric_named("success_pct")

    @abstractmethod
    def fitness(self, controllers: Controllers) -> Floats:
        """``(n,)`` fitness of controllers."""

    @abstractmethod
    def solved(self, controllers: Controllers, fitness: Floats) -> Mask:
        """``(n,)`` whether controllers of this ``fitness (n,)`` solve the task."""

    @abstractmethod
    def achieved(self, controllers: Controllers) -> tuple[Floats, Floats]:
        """``(n,)`` success in percent where the search tried them, and elsewhere."""
