"""Kernel densities over categorical decisions, one estimate per trial."""

from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np

from nasrun.spec import Archs, Floats, Ints


class Kernel(Enum):
    """How far an Aitchison-Aitken kernel may go."""

    capped = "capped"  # bandwidths end where the kernel becomes flat
    statsmodels = (
        "statsmodels"  # as HpBandSter runs statsmodels: no end, and only options seen count
    )


@dataclass(frozen=True)
class CategoricalKDE:
    """Product of Aitchison-Aitken kernels around ``(T, n, L)`` points.

    Aitchison and Aitken, "Multivariate binary discrimination by the kernel method" (Biometrika
    1976): a kernel of bandwidth h gives its point's option the weight ``hit = 1 - h``, and each of
    the k - 1 others ``miss = h / (k - 1)``. ``bandwidth``, ``miss``: ``(T, L)``.
    """

    points: Archs
    bandwidth: Floats
    miss: Floats

    @classmethod
    def fit(cls, points: Archs, arity: Ints, min_bandwidth: float, kernel: Kernel) -> Self:
        """A density whose bandwidths follow the normal reference rule on the option indices."""
        n = points.shape[1]
        deviation = np.sqrt(np.mean((points - points.mean(axis=1, keepdims=True)) ** 2, axis=1))
        levels = (points[..., None] == np.arange(arity.max())).any(axis=1).sum(axis=-1)
        rule = normal_reference(deviation, n, min_bandwidth)
        return cls(points, *_weights(rule, levels, arity, kernel))

    def density(self, archs: Archs) -> Floats:
        """``(T, m)`` densities at ``archs (T, m, L)``; infinite or NaN where statsmodels' are.

        A sum over all points: O(n * m * L).
        """
        kernels = np.ones((*archs.shape[:2], self.points.shape[1]))
        hit = 1.0 - self.bandwidth
        for place in range(archs.shape[2]):
            same = archs[:, :, None, place] == self.points[:, None, :, place]
            weight = np.where(same, hit[:, None, None, place], self.miss[:, None, None, place])
            with np.errstate(invalid="ignore"):  # 0 * inf
                kernels *= weight
        with np.errstate(invalid="ignore"):  # inf - inf
            return kernels.mean(axis=2)


@dataclass(frozen=True)
class CountedKDE:
    """The same density, of points that are known by their counts alone: O(m * 2**L), whatever n."""

    bandwidth: Floats
    miss: Floats

    @classmethod
    def fit(cls, chosen: Ints, arity: Ints, min_bandwidth: float, kernel: Kernel) -> Self:
        """By ``chosen (T, L, K)``, how many points have each option of each decision."""
        n, option = int(chosen[0, 0].sum()), np.arange(chosen.shape[2])
        mean = (chosen @ option) / n
        deviation = np.sqrt((chosen * (option - mean[..., None]) ** 2).sum(axis=2) / n)
        rule = normal_reference(deviation, n, min_bandwidth)
        return cls(*_weights(rule, (chosen > 0).sum(axis=2), arity, kernel))

    def density(self, matches: Ints) -> Floats:
        """``(T, m)`` densities at architectures with which so many points agree.

        ``matches (T, m, 2**L)``: in a position, the points that agree with the architecture on
        those decisions whose bits are set in it, and on no other.
        """
        kernels = np.ones((len(self.bandwidth), 1))
        with np.errstate(invalid="ignore"):  # 0 * inf, inf - inf
            for hit, miss in zip(1.0 - self.bandwidth.T, self.miss.T, strict=True):
                kernels = np.concatenate([kernels * miss[:, None], kernels * hit[:, None]], axis=1)
            weighed = np.where(matches > 0, matches * kernels[:, None], 0.0)
            return weighed.sum(axis=2) / matches.sum(axis=2)


def normal_reference(deviation: Floats, n: int, min_bandwidth: float) -> Floats:
    """``(T, L)`` bandwidths by the standard deviations of the option indices of n points.

    The rule, 1.06 * std * n**(-1 / (4 + L)), is statsmodels' ``normal_reference``, which HpBandSter
    applies to option indices although they have no order.
    """
    rule = 1.06 * deviation * n ** (-1.0 / (4.0 + deviation.shape[1]))
    return np.maximum(rule, min_bandwidth)


def _weights(bandwidth: Floats, levels: Ints, arity: Ints, kernel: Kernel) -> tuple[Floats, Floats]:
    """Bandwidths and what they leave for each other option; ``levels (T, L)`` are options seen.

    Above (k - 1) / k the kernel favours the options that were *not* seen, above 1 it is negative.
    statsmodels lets both happen, and takes for k the options among the points: if that is one,
    ``miss`` is infinite.
    """
    if kernel is Kernel.capped:
        capped = np.minimum(bandwidth, 1.0 - 1.0 / arity)
        return capped, capped / np.maximum(arity - 1, 1)
    return bandwidth, np.where(levels > 1, bandwidth / np.maximum(levels - 1, 1), np.inf)
