"""What devices with known latencies share: look-ups, and the reward that weighs them."""

import logging
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from nasrun.errors import ConfigError
from nasrun.spec import Archs, Floats, Hardware, SearchSpace, Task

log = logging.getLogger(__name__)


@dataclass
class Weighing(Hardware):
    """A device whose latency weighs in the reward.

    The reward is R = P * (LAT / T_target)^w of CATCH (Chen et al., ECCV 2020, section 4.3), which
    takes it from MnasNet (Tan et al., CVPR 2019): P the accuracy in percent, LAT the latency,
    w = -0.05. CATCH does not state its target. The target scales every reward by the same factor,
    hence it never changes which of two is better.

    Raises:
        ConfigError: a target that is not positive, or an exponent above zero.
    """

    target_ms: float | None = None
    exponent: float = -0.05

    def __post_init__(self) -> None:
        if self.target_ms is not None and not 0 < self.target_ms < np.inf:
            raise ConfigError(f"hardware.target_ms must be positive or null, got {self.target_ms}")
        if not -np.inf < self.exponent <= 0:
            raise ConfigError(
                "hardware.exponent must be zero or negative, because a positive one rewards "
                f"slowness, got {self.exponent}"
            )

    def settle(self, latencies_ms: Floats, over: str) -> None:
        """Take ``target_ms``, or without it the median of these ``(n,)`` latencies.

        The log says so; the median lets half of all architectures gain.
        """
        if self.target_ms is not None:
            self._target_ms = self.target_ms
            return
        self._target_ms = float(np.nanmedian(latencies_ms))
        log.info(
            "hardware.target_ms is not set: the target is %.4g ms, the median over %s",
            self._target_ms,
            over,
        )

    def reward(self, score_pct: Floats, latency_ms: Floats) -> Floats:
        """``(T,)`` R = P * (LAT / T_target)^w; NaN where either is unknown."""
        return score_pct * (latency_ms / self._target_ms) ** self.exponent


@dataclass
class KnownLatency(Weighing):
    """A device whose latency is known for a whole space before the search begins."""

    @abstractmethod
    def latencies(self, space: SearchSpace, task: Task) -> Floats:
        """``(size,)`` latency in ms in the order of ``space.index``; NaN where unknown."""

    def start(self, space: SearchSpace, task: Task) -> None:
        """Load the latencies and settle the target.

        Raises:
            UnsupportedError: the device knows nothing of this space or task.
            ConfigError: an unknown device.
            DataError: a file that is missing or cannot be read.
        """
        self._space = space
        self._latency_ms = self.latencies(space, task)
        self.settle(self._latency_ms, f"space={space.name}")

    def latency_ms(self, archs: Archs) -> Floats:
        """``(T,)`` latency of one inference; NaN where the device knows none."""
        return self._latency_ms[self._space.index(archs)]
