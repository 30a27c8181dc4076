"""A latency that is predicted: ridge regression, fitted to networks whose latency is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing, WeighingDevice
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Device, Floats, Hardware, Ints, SearchSpace, Task
from nasrun.streams import Streams

LEAST = 10  # networks, below which nothing is fitted


@dataclass
class RidgeLatency(Weighing):
    """Predicts what another device, the ``source``, would say of networks that it has not seen.

    UNAS (Vahdat et al., CVPR 2020) predicts the latency of ProxylessNAS's networks by a ridge
    regression on their options, fitted to 10,000 random ones ([UC] ``surrogate.py``). Here a
    ``source`` that knows a table is fitted on all that it lists; of another, ``samples`` random
    networks are measured. A share of them is held out, and the column ``device`` of every row says
    how far off the predictions were there.

    Departures: the bias has no penalty (the authors' has that of the weights); what would be
    predicted below the least latency that was fitted to is that one.

    Raises:
        ConfigError: fewer than 10 samples, a share outside (0, 1), a penalty that is not positive;
            see Weighing.
    """

    name: str = "ridge"
    source: Any = field(default=None)  # a Hardware; OmegaConf knows no abstract types
    samples: int = 10_000
    held_out: float = 0.2
    penalty: float = 1.0
    encoding: str | None = None  # of the networks; None: that in which the space's costs are linear
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "hardware", LEAST, "samples")
        require_not_negative(self, "hardware", "seed")
        require_positive(self, "hardware", "penalty")
        require_within(self, "hardware", "(0, 1)", "held_out")

    @property
    def measures(self) -> bool:
        """Where what it is fitted to is measured."""
        return isinstance(self.source, Weighing) and self.source.measures

    def opened(self, space: SearchSpace, task: Task) -> "RidgeDevice":
        """The regression, fitted.

        Raises:
            UnsupportedError: the source knows hardly any latency; see the source for others.
        """
        source: Hardware = self.source
        device = source.opened(space, task)
        archs = self._archs(space, device)
        latencies_ms = device.latency_ms(archs)
        known = ~np.isnan(latencies_ms)
        if known.sum() < LEAST:
            raise UnsupportedError(
                f"hardware=ridge needs the latencies of at least {LEAST} networks, and "
                f"hardware.source={source.name} knows {int(known.sum())} in space={space.name}: "
                "choose another hardware@hardware.source"
            )
        return RidgeDevice(self, space, device, archs[known], latencies_ms[known])

    def shares(self, count: int) -> tuple[Ints, Ints]:
        """Which of ``count`` networks are held out, and which are fitted to; at least 2 of each."""
        order = np.random.default_rng(self.seed).permutation(count)
        held, fitted = np.split(order, [min(max(2, round(self.held_out * count)), count - 2)])
        return held, fitted

    def _archs(self, space: SearchSpace, device: Device) -> Archs:
        if isinstance(device, KnownDevice):
            return device.archs
        seeds = range(self.seed, self.seed + self.samples)
        return space.sample(Streams(seeds, "latency samples"))


class Fit(NamedTuple):
    """How far predictions were off for networks that were held out."""

    error_pct: float  # mean of |predicted - known| / known
    rank_correlation: float  # Spearman's
    fitted: int
    held_out: int

    def __str__(self) -> str:
        """For the rows."""
        return (
            f"ridge on {self.fitted} networks; {self.held_out} held out: error "
            f"{self.error_pct:.2f} %, rank correlation {self.rank_correlation:.3f}"
        )


class RidgeDevice(WeighingDevice):
    """A regression, opened for a space and a task.

    Args:
        settings: what the config says.
        space: of the networks.
        source: whose latencies these are.
        archs: ``(n, L)`` networks, each once.
        latencies_ms: ``(n,)`` their latencies.
    """

    def __init__(
        self,
        settings: RidgeLatency,
        space: SearchSpace,
        source: Device,
        archs: Archs,
        latencies_ms: Floats,
    ) -> None:
        super().__init__(settings)
        self._space, self._source = space, source
        self._encoding = settings.encoding or space.cost_encoding
        held, fitted = settings.shares(len(archs))
        features = space.encode(archs, self._encoding)
        self._least_ms = float(latencies_ms[fitted].min())
        self._line = ridge(features[fitted], latencies_ms[fitted], settings.penalty)
        self.fit = quality(self._predicted(features[held]), latencies_ms[held], len(fitted))
        self._label = f"{source.terms.device} ({self.fit})"
        self.settle(latencies_ms, f"the {len(archs)} networks that hardware=ridge knows")

    @property
    def label(self) -> str:
        """The source's, and how good the predictions are."""
        return self._label

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` predicted latency of one inference; NaN for what does not exist."""
        found = np.full(len(archs), np.nan)
        exist = self._space.exists(archs)
        found[exist] = self._predicted(self._space.encode(archs[exist], self._encoding))
        return found

    def _predicted(self, features: Floats) -> Floats:
        weights, bias = self._line
        # Row by row: the last bits of a matrix product depend on how many rows there are.
        return np.maximum((features * weights).sum(axis=1) + bias, self._least_ms)

    @property
    def files(self) -> Mapping[str, str]:
        """Those of the source."""
        return self._source.files


def ridge(features: Floats, targets: Floats, penalty: float) -> tuple[Floats, float]:
    """``(D,)`` weights and the bias that minimise squared errors plus ``penalty`` times w·w.

    ``features (n, D)``, ``targets (n,)``. The bias has no penalty.
    """
    centre, mean = features.mean(axis=0), float(targets.mean())
    x = features - centre
    products = x.T @ x + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(products, x.T @ (targets - mean))
    return weights, mean - float(centre @ weights)


def quality(predicted: Floats, known: Floats, fitted: int) -> Fit:
    """How far ``predicted (n,)`` is off what is ``known (n,)``."""
    from scipy.stats import rankdata

    error = 100.0 * float(np.mean(np.abs(predicted - known) / known))
    with np.errstate(invalid="ignore"):  # all predicted alike: no correlation
        correlation = float(np.corrcoef(rankdata(predicted), rankdata(known))[0, 1])
    return Fit(error, correlation, fitted, len(known))
