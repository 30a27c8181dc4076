"""What devices with latencies share: look-ups, and the reward that weighs them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.benchmarks.rows import ArchRows, figures_at
from nasrun.errors import ConfigError
from nasrun.ranges import require_positive
from nasrun.spec import Archs, Device, Floats, Hardware, Metric, SearchSpace

log = logging.getLogger(__name__)


@dataclass
class Weighing(Hardware):
    """A device whose latency weighs in the reward.

    The reward is R = P * (LAT / T_target)^w of CATCH (Chen et al., ECCV 2020, section 4.3), which
    takes it from MnasNet (Tan et al., CVPR 2019): P the score, LAT the latency, w = -0.05. CATCH
    does not state its target. The target scales every reward by the same factor, hence it never
    changes which of two is better.

    Raises:
        ConfigError: a target that is not positive, or an exponent above zero.
    """

    target_ms: float | None = None
    exponent: float = -0.05

    def __post_init__(self) -> None:
        require_positive(self, "hardware", "target_ms")
        if not -np.inf < self.exponent <= 0:
            raise ConfigError(
                "hardware.exponent must be zero or negative, because a positive one rewards "
                f"slowness, got {self.exponent}"
            )


class WeighingDevice(Device):
    """An opened device whose latency weighs in the reward."""

    objectives = ("score", "latency_ms")

    def __init__(self, settings: Weighing) -> None:
        self._settings = settings

    def settle(self, latencies_ms: Floats, over: str) -> None:
        """Take the target, or without one the median of these ``(n,)`` latencies.

        The log says so; the median lets half of all architectures gain. The slowest of them is
        where a hypervolume is measured from.
        """
        known = latencies_ms[~np.isnan(latencies_ms)]
        self.reference_ms = float(known.max()) if len(known) else np.nan
        if self._settings.target_ms is not None:
            self._target_ms = self._settings.target_ms
            return
        self._target_ms = float(np.median(known))
        log.info(
            "hardware.target_ms is not set: the target is %.4g ms, the median over %s",
            self._target_ms,
            over,
        )

    def reward(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n,)`` R = P * (LAT / T_target)^w; NaN where either is unknown.

        With w = 0 it is the score alone, negative where less is better.

        Raises:
            ConfigError: a score of zero or below, or one of which less is better: the product would
                reward the slower of two networks.
        """
        if self._settings.exponent == 0:
            return metric.oriented(score)
        if not metric.higher_is_better or (score <= 0).any():
            found = "less is better"
            if metric.higher_is_better:
                found = f"one is {float(np.nanmin(score)):.4g}"
            raise ConfigError(
                "P * (LAT / T)^w needs scores above zero of which more is better, and of "
                f"{metric.name} {found}: set hardware.exponent=0 for the score alone "
                "(algorithm=nsga2 goes on optimising latency as well), or hardware=none"
            )
        return score * (latency_ms / self._target_ms) ** self._settings.exponent


class KnownDevice(WeighingDevice):
    """An opened device whose latency is known before the search begins.

    Args:
        settings: what the config says.
        space: of the architectures.
        archs: ``(rows, L)`` whose latency is known; None: all of the space, by their numbers.
        latencies_ms: ``(rows,)``; NaN where a latency is missing.
        files: data files and their sha256.
    """

    def __init__(
        self,
        settings: Weighing,
        space: SearchSpace,
        archs: Archs | None,
        latencies_ms: Floats,
        files: Mapping[str, str],
    ) -> None:
        super().__init__(settings)
        self._rows, self._latencies_ms, self._files = ArchRows(space, archs), latencies_ms, files
        self.settle(latencies_ms, f"the architectures of space={space.name} that it knows")

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference; NaN where the device knows none."""
        return figures_at(self._latencies_ms, self._rows.of(archs))

    @property
    def files(self) -> Mapping[str, str]:
        """Data files and their sha256."""
        return self._files
