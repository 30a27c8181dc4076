"""A Gaussian process on an encoding, with a kernel that is fitted or given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from nasrun.predictors.base import Encoded, Targets, scaled
from nasrun.predictors.gaussian import Posterior, posterior
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams

RATE = 0.05  # of Adam on the logarithms
BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Kernel(Enum):
    """How alike two encodings are."""

    rbf = "rbf"  # variance · exp(-d² / 2 length²), with Euclid's distance
    laplace = "laplace"  # variance · exp(-d / length), with the sum of absolute differences


@dataclass
class GaussianProcess(Predictor):
    """A Gaussian process with zero mean on z-scores.

    ``steps`` of Adam look for the most probable variance, length and noise of each trial, all with
    priors LogNormal(0, 1), as NASLib (by Pyro) does; 0 steps keep those given, as in naszilla's
    GP-BO on distances (length 3, amplitude 1.5, noise 1e-5).

    Departure: naszilla's distance is squared, which is no kernel for Hamming's distance; here
    ``laplace`` is, for every sum of absolute differences.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "gp"
    encodings: list[str] = field(default_factory=lambda: ["adjacency", "onehot"])
    targets: Targets = Targets.zscore
    kernel: Kernel = Kernel.rbf
    variance: float = 5.0
    length: float = 10.0
    noise: float = 1.0
    steps: int = 200

    def __post_init__(self) -> None:
        require_positive(self, "predictor", "variance", "length", "noise")
        require_at_least(self, "predictor", 0, "steps")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> Model:
        """A process a trial."""
        return Process(self, Encoded(space, self.encodings))


class Process(Model):
    """Gaussian processes."""

    def __init__(self, settings: GaussianProcess, encode: Callable[[Inputs], Floats]) -> None:
        self._settings, self._encode = settings, encode

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Find the kernel's parameters, and what the records say."""
        own = self._settings
        z, self._scale = scaled(y, mask, own.targets)
        self._known = self._encode(inputs)
        apart = distances(self._known, self._known, own.kernel)
        start = np.log([own.variance, own.length, own.noise])
        self.logs: Floats = np.repeat(start[None], len(y), axis=0)
        if own.steps:
            self._climb(apart, z, mask)
        self._posterior = self._of(apart, z, mask)

    def _climb(self, distances: Floats, z: Floats, mask: Mask) -> None:
        """Adam's steps up the logarithm of the parameters' posterior density."""
        first, second = np.zeros_like(self.logs), np.zeros_like(self.logs)
        for step in range(1, self._settings.steps + 1):
            gradient = self._gradient(distances, z, mask)
            first = BETAS[0] * first + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
            up = first / (1 - BETAS[0] ** step)
            size = np.sqrt(second / (1 - BETAS[1] ** step))
            self.logs = self.logs + RATE * up / (size + EPSILON)

    def _gradient(self, distances: Floats, z: Floats, mask: Mask) -> Floats:
        """``(T, 3)`` of log-likelihood and log-prior by the logarithms of the parameters.

        Half the trace of (w wᵀ - K⁻¹) dK, with w the posterior's weights.
        """
        found = self._of(distances, z, mask)
        inverse = np.linalg.inv(found.lower)
        inverse = inverse.transpose(0, 2, 1) @ inverse
        inner = found.weights[:, :, None] * found.weights[:, None, :] - inverse
        inner = np.where(mask[:, :, None] & mask[:, None, :], inner, 0.0)
        kernel = self._kernel(distances)
        power = 2.0 if self._settings.kernel is Kernel.rbf else 1.0
        scaled_distance = power * self._exponent(distances)
        by_variance = 0.5 * (inner * kernel).sum(axis=(1, 2))
        by_length = 0.5 * (inner * kernel * scaled_distance).sum(axis=(1, 2))
        trace = np.diagonal(inner, axis1=1, axis2=2).sum(axis=1)
        by_noise = 0.5 * np.exp(self.logs[:, 2]) * trace
        # log N(log p; 0, 1) is the prior of log p: its density's maximum is looked for there.
        return np.stack([by_variance, by_length, by_noise], axis=1) - self.logs

    def _exponent(self, distances: Floats) -> Floats:
        length = np.exp(self.logs[:, 1])[:, None, None]
        if self._settings.kernel is Kernel.rbf:
            return distances / (2.0 * length**2)
        return distances / length

    def _kernel(self, distances: Floats) -> Floats:
        return np.exp(self.logs[:, 0])[:, None, None] * np.exp(-self._exponent(distances))

    def _of(self, distances: Floats, z: Floats, mask: Mask) -> Posterior:
        return posterior(self._kernel(distances), np.exp(self.logs[:, 2]), z, mask)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the function."""
        asked = self._encode(inputs)
        between = self._kernel(distances(self._known, asked, self._settings.kernel))
        own = np.repeat(np.exp(self.logs[:, [0]]), asked.shape[1], axis=1)
        mean, sd = self._posterior.predict(between, own)
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)


def distances(a: Floats, b: Floats, kernel: Kernel) -> Floats:
    """``(T, N, M)`` squared (``rbf``) or absolute differences, summed over features."""
    total = np.zeros((len(a), a.shape[1], b.shape[1]))
    for column in range(a.shape[2]):  # one array of (T, N, M, F) would be F times as large
        apart = a[:, :, None, column] - b[:, None, :, column]
        total += apart**2 if kernel is Kernel.rbf else np.abs(apart)
    return total
