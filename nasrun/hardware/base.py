"""What devices with latencies share: look-ups, and the reward that weighs them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.benchmarks.rows import ArchRows, coverage, figures_at
from nasrun.errors import ConfigError
from nasrun.ranges import require_positive
from nasrun.spec import (
    Archs,
    CountableSpace,
    Device,
    Floats,
    Hardware,
    Metric,
    RewardTerms,
    SearchSpace,
)

log = logging.getLogger(__name__)


@dataclass
class Weighing(Hardware):
    """A device whose latency weighs in the reward, and may be limited.

    The reward is R = P * (LAT / T)^w of CATCH (Chen et al., ECCV 2020, section 4.3), which takes it
    from MnasNet (Tan et al., CVPR 2019, section 3): P the score, LAT the latency, T the target,
    w = -0.05. CATCH does not state its target. MnasNet lets w differ below and above the target:
    ``exponent=0 exponent_above=-1`` is its hard variant, in which the target is what it says. With
    one exponent for both, T scales every reward by the same factor and changes nothing that is
    found. What is slower than ``limit_ms`` is worth less than anything that is not, and the less
    the slower it is (the feasibility rule of Deb, CMAME 186, 2000).

    Raises:
        ConfigError: a target or limit that is not positive, or an exponent above zero.
    """

    target_ms: float | None = None
    exponent: float = -0.05
    exponent_above: float | None = None  # above the target; None: the same
    limit_ms: float | None = None

    def __post_init__(self) -> None:
        require_positive(self, "hardware", "target_ms", "limit_ms")
        for name in ("exponent", "exponent_above"):
            value = getattr(self, name)
            if value is not None and not -np.inf < value <= 0:
                raise ConfigError(
                    f"hardware.{name} must be zero or negative, because a positive one rewards "
                    f"slowness, got {value}"
                )

    @property
    def exponents(self) -> tuple[float, float]:
        """The weight w at most at the target, and above it."""
        above = self.exponent if self.exponent_above is None else self.exponent_above
        return self.exponent, above

    @property
    def measures(self) -> bool:
        """Whether each process measures latencies anew, rather than to look them up."""
        return False

    @property
    def has_target_of_process(self) -> bool:
        """Whether a target weighs that each process measures for itself."""
        return self.measures and self.target_ms is None and self.exponents != (0, 0)

    @property
    def label(self) -> str:
        """What the column ``device`` says."""
        return self.name


class WeighingDevice(Device):
    """An opened device whose latency weighs in the reward."""

    objectives = ("score", "latency_ms")

    def __init__(self, settings: Weighing) -> None:
        self._settings = settings

    @property
    def label(self) -> str:
        """What the column ``device`` says."""
        return self._settings.label

    def settle(self, latencies_ms: Floats, over: str) -> None:
        """Take the target, or without one the median of these ``(n,)`` latencies.

        The log says so; the median lets half of all architectures gain. The slowest of them is
        where a hypervolume is measured from.
        """
        known = latencies_ms[~np.isnan(latencies_ms)]
        self.reference_ms = float(known.max()) if len(known) else np.nan
        settings, (below, above) = self._settings, self._settings.exponents
        self._target_ms = settings.target_ms or float(np.median(known))
        if settings.target_ms is None and (below, above) != (0, 0):
            log.info(
                "hardware.target_ms is not set: the target is %.4g ms, the median over %s",
                self._target_ms,
                over,
            )
        if settings.target_ms is not None and below == above:
            log.warning(
                "hardware.target_ms=%g only scales the reward, because one exponent weighs on "
                "both sides of it: set hardware.limit_ms for a limit, or hardware.exponent=0 "
                "hardware.exponent_above=-1 for a reward that falls above the target alone",
                settings.target_ms,
            )

    @property
    def terms(self) -> RewardTerms:
        """How the latency weighs, for the rows."""
        below, above = self._settings.exponents
        weighs = (below, above) != (0, 0)
        return RewardTerms(
            device=self.label,
            target_ms=round(self._target_ms, 6) if weighs else None,
            exponent=below,
            exponent_above=above,
            limit_ms=self._settings.limit_ms,
        )

    def reward(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n,)`` R = P * (LAT / T)^w; NaN where either is unknown.

        A score of 0, such as the precision of a detector that finds nothing, is worth 0 at any
        latency. With w = 0 it is the score alone, negative where less is better. Beyond the limit
        it is the metric's worst value less LAT / limit, and with a limit an unknown latency has no
        reward.

        Raises:
            ConfigError: a score below zero, or one of which less is better: the product would
                reward the slower of two networks. A limit for a metric without a worst value.
        """
        return self._within_limit(self._weighed(score, latency_ms, metric), latency_ms, metric)

    def objective_values(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n, 2)`` score and latency, each to be maximised.

        Beyond the limit the score is below the worst, so that what keeps the limit dominates.
        """
        values = super().objective_values(score, latency_ms, metric)
        values[:, 0] = self._within_limit(values[:, 0], latency_ms, metric)
        return values

    def _weighed(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        below, above = self._settings.exponents
        if below == above == 0:
            return metric.oriented(score)
        if not metric.higher_is_better or (score < 0).any():
            found = "less is better"
            if metric.higher_is_better:
                found = f"one is {float(np.nanmin(score)):.4g}"
            raise ConfigError(
                "P * (LAT / T)^w needs scores that are not below zero, of which more is better, "
                f"and of {metric.name} {found}: set hardware.exponent=0 for the score alone "
                "(algorithm=nsga2 goes on optimising latency as well, and hardware.limit_ms limits "
                "it), or hardware=none"
            )
        ratio = latency_ms / self._target_ms
        weight = ratio ** (below if below == above else np.where(ratio > 1, above, below))
        return score * np.where(np.isnan(ratio), np.nan, weight)  # NaN^0 is 1

    def _within_limit(self, worth: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """Whatever is slower than the limit is worth less than the worst network within it."""
        limit = self._settings.limit_ms
        if limit is None:
            return worth
        if metric.worst is None:
            raise ConfigError(
                f"hardware.limit_ms needs a metric with a worst value, below which what is too "
                f"slow is put, and {metric.name} has none: set hardware.limit_ms=null, and "
                "algorithm=nsga2 for a front of both"
            )
        worst = metric.oriented(np.array(metric.worst))
        beyond = worst - latency_ms / limit
        beyond = np.where(np.isnan(worth), np.nan, beyond)
        return np.where(latency_ms <= limit, worth, beyond)  # NaN where the latency is unknown


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
        self._space = space
        self._rows, self._latencies_ms, self._files = ArchRows(space, archs), latencies_ms, files
        known = int((~np.isnan(latencies_ms)).sum())
        if (covered := coverage(space, known)) is not None:
            log.warning(
                "hardware: latencies of %s of space=%s; another is unknown, unless it is the "
                "same network (hardware=ridge predicts it)", covered, space.name,
            )  # fmt: skip
        self.settle(latencies_ms, f"the architectures of space={space.name} that it knows")
        limit, least = settings.limit_ms, float(np.nanmin(latencies_ms))
        if limit is not None and least > limit:
            raise ConfigError(
                f"hardware.limit_ms={limit:g} is below every latency that is known, of which the "
                f"least is {least:.4g} ms: set a higher limit"
            )

    @property
    def archs(self) -> Archs:
        """``(rows, L)`` those listed."""
        if (listed := self._rows.archs) is not None:
            return listed
        assert isinstance(self._space, CountableSpace)
        return self._space.at(np.arange(self._space.size))

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference; NaN where the device knows none."""
        return figures_at(self._latencies_ms, self._rows.of(archs))

    @property
    def files(self) -> Mapping[str, str]:
        """Data files and their sha256."""
        return self._files
