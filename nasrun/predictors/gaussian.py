"""Gaussian processes of many trials: one batched Cholesky decomposition for all of them."""

from dataclasses import dataclass

import numpy as np

from nasrun.spec import Floats, Mask

LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Posterior:
    """What records say: ``lower (T, N, N)``, ``z (T, N)`` and ``weights (T, N)``, ``mask``."""

    lower: Floats
    half: Floats
    weights: Floats
    mask: Mask

    @property
    def log_likelihood(self) -> Floats:
        """``(T,)`` log of the records' marginal density."""
        diagonal = np.diagonal(self.lower, axis1=1, axis2=2)
        logs = np.where(self.mask, np.log(diagonal), 0.0).sum(axis=1)
        count = self.mask.sum(axis=1)
        return -0.5 * (self.half**2).sum(axis=1) - logs - 0.5 * count * np.log(2.0 * np.pi)

    def predict(self, between: Floats, own: Floats) -> tuple[Floats, Floats]:
        """``(T, M)`` mean and standard deviation of the function, without noise.

        Args:
            between: ``(T, N, M)`` kernel of the records and what is asked.
            own: ``(T, M)`` kernel of each with itself.
        """
        between = np.where(self.mask[:, :, None], between, 0.0)
        mean = (between.transpose(0, 2, 1) @ self.weights[:, :, None])[..., 0]
        variance = own - (np.linalg.solve(self.lower, between) ** 2).sum(axis=1)
        return mean, np.sqrt(np.maximum(variance, LEAST_VARIANCE))


def posterior(kernel: Floats, noise: Floats, y: Floats, mask: Mask) -> Posterior:
    """The process after ``y (T, N)``, where ``mask``, with zero mean.

    Args:
        kernel: ``(T, N, N)`` of the records.
        noise: ``(T,)`` variance of the noise.
        y: ``(T, N)``, zero where not ``mask``.
        mask: ``(T, N)``; what is not known becomes an independent record of 0.
    """
    both = mask[:, :, None] & mask[:, None, :]
    diagonal = np.where(mask, noise[:, None], 1.0)
    covariance = np.where(both, kernel, 0.0) + np.eye(y.shape[1]) * diagonal[:, None, :]
    lower = np.asarray(np.linalg.cholesky(covariance), np.float64)
    half = np.asarray(np.linalg.solve(lower, y[:, :, None]), np.float64)
    weights = np.asarray(np.linalg.solve(lower.transpose(0, 2, 1), half), np.float64)
    return Posterior(lower, half[..., 0], weights[..., 0], mask)


def chosen(better: Mask, new: Posterior, old: Posterior | None) -> Posterior:
    """Trial by trial, the new posterior where it is ``better (T,)``."""
    if old is None:
        return new
    pairs = zip(vars(new).values(), vars(old).values(), strict=True)
    parts = [np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs]
    return Posterior(*parts)
