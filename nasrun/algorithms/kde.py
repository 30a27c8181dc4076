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
        """A density whose bandwidths follow the normal reference rule on the option indices.

        The rule, 1.06 * std * n**(-1 / (4 + L)), is statsmodels' ``normal_reference``, which
        HpBandSter applies to option indices although they have no order. Above
        (k - 1) / k the kernel favours the options that were *not* seen, above 1 it is negative.
        statsmodels lets both happen, and takes for k the options among the points: if that is one,
        ``miss`` is infinite.
        """
        n, decisions = points.shape[1:]
        deviation = np.sqrt(np.mean((points - points.mean(axis=1, keepdims=True)) ** 2, axis=1))
        rule = 1.06 * deviation * n ** (-1.0 / (4.0 + decisions))
        bandwidth = np.maximum(rule, min_bandwidth)
        if kernel is Kernel.capped:
            bandwidth = np.minimum(bandwidth, 1.0 - 1.0 / arity)
            return cls(points, bandwidth, bandwidth / np.maximum(arity - 1, 1))
        levels = (points[..., None] == np.arange(arity.max())).any(axis=1).sum(axis=-1)
        miss = np.where(levels > 1, bandwidth / np.maximum(levels - 1, 1), np.inf)
        return cls(points, bandwidth, miss)

    def density(self, archs: Archs) -> Floats:
        """``(T, m)`` densities at ``archs (T, m, L)``; infinite or NaN where statsmodels' are."""
        kernels = np.ones((*archs.shape[:2], self.points.shape[1]))
        hit = 1.0 - self.bandwidth
        for place in range(archs.shape[2]):
            same = archs[:, :, None, place] == self.points[:, None, :, place]
            weight = np.where(same, hit[:, None, None, place], self.miss[:, None, None, place])
            with np.errstate(invalid="ignore"):  # 0 * inf
                kernels *= weight
        with np.errstate(invalid="ignore"):  # inf - inf
            return kernels.mean(axis=2)
