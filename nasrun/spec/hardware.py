"""What a device is: how fast an architecture runs on it, and how that weighs in the reward."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.spec.metric import Metric
from nasrun.spec.space import Archs, SearchSpace
from nasrun.spec.task import Task
from nasrun.streams import Floats


@dataclass(frozen=True)
class RewardTerms:
    """How latency weighs in the reward: columns of ``trials.csv`` and ``pareto.csv``.

    ``device`` is ``none`` where no latency is known. ``exponent`` weighs up to ``target_ms``,
    ``exponent_above`` beyond it; what is slower than ``limit_ms`` is out of the question.
    """

    device: str = "none"
    target_ms: float | None = None
    exponent: float | None = None
    exponent_above: float | None = None
    limit_ms: float | None = None


class Device(ABC):
    """A device that has been opened for a space and a task; shares no state with any other."""

    objectives: tuple[str, ...] = ("score",)  # what a multi-objective search optimises, in order
    reference_ms: float = np.nan  # latency from which a hypervolume is measured

    @property
    def terms(self) -> RewardTerms:
        """How the latency weighs in the reward, for the rows."""
        return RewardTerms()

    @abstractmethod
    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference; NaN where the device knows none."""

    @abstractmethod
    def reward(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n,)`` what the search maximises, of scores as the metric gives them.

        Raises:
            ConfigError: scores for which the reward has no meaning.
        """

    def objective_values(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n, K)`` the objectives, each to be maximised."""
        values = {"score": metric.oriented(score), "latency_ms": -latency_ms}
        return np.stack([values[name] for name in self.objectives], axis=-1)

    @property
    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


class Hardware(ABC):
    """What a config says about a device. Opening it never changes it."""

    name: str

    @property
    def has_target_of_process(self) -> bool:
        """Whether each process finds a target of its own, so that rewards of two do not compare."""
        return False

    @abstractmethod
    def opened(self, space: SearchSpace, task: Task) -> Device:
        """The device, with what it needs for this space and task.

        Raises:
            UnsupportedError: it knows nothing of this space or task.
            ConfigError: an unknown device.
            DataError: a file that is missing or cannot be read.
        """
