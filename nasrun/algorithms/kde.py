"""Kernel densities over categorical decisions, one estimate per trial."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nasrun.spec import Archs, Floats, Ints


@dataclass(frozen=True)
class CategoricalKDE:
    """Product of Aitchison-Aitken kernels around ``(T, n, L)`` points.

    Aitchison and Aitken, "Multivariate binary discrimination by the kernel method" (Biometrika
    1976): a kernel of bandwidth h puts 1 - h on its point's option and h / (k - 1) on each of the
    k - 1 others. ``bandwidth (T, L)``; ``arity (L,)`` options per decision.
    """

    points: Archs
    bandwidth: Floats
    arity: Ints

    @classmethod
    def fit(cls, points: Archs, arity: Ints, min_bandwidth: float) -> Self:
        """A density whose bandwidths follow the normal reference rule on the option indices.

        The rule, 1.06 * std * n**(-1 / (4 + L)), is statsmodels' ``normal_reference``, which
        HpBandSter applies to option indices although their order means nothing. Above
        (k - 1) / k the kernel would favour the options that were *not* seen, and above 1 be
        negative (HpBandSter lets both happen): there the bandwidth ends and the kernel is flat.
        """
        n, decisions = points.shape[1:]
        deviation = np.sqrt(np.mean((points - points.mean(axis=1, keepdims=True)) ** 2, axis=1))
        rule = 1.06 * deviation * n ** (-1.0 / (4.0 + decisions))
        return cls(points, np.minimum(np.maximum(rule, min_bandwidth), 1.0 - 1.0 / arity), arity)

    def density(self, archs: Archs) -> Floats:
        """``(T, m)`` densities at ``archs (T, m, L)``."""
        kernels = np.ones((*archs.shape[:2], self.points.shape[1]))
        hit = 1.0 - self.bandwidth
        miss = self.bandwidth / np.maximum(self.arity - 1, 1)
        for place in range(archs.shape[2]):
            same = archs[:, :, None, place] == self.points[:, None, :, place]
            kernels *= np.where(same, hit[:, None, None, place], miss[:, None, None, place])
        return kernels.mean(axis=2)
