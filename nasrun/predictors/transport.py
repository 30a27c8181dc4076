"""NASBOT: a Gaussian process on the optimal transport distances of networks."""

from dataclasses import dataclass, field

import numpy as np

from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.gaussian import Posterior, chosen, posterior
from nasrun.predictors.otmann import Distances
from nasrun.ranges import require_not_negative, require_positive, require_some
from nasrun.spec import (
    Archs,
    Floats,
    Inputs,
    Mask,
    Model,
    Prediction,
    Predictor,
    SearchSpace,
    Streams,
)


@dataclass
class TransportProcess(Predictor):
    """A Gaussian process on OTMANN's distances, in place of features.

    Kandasamy, Neiswanger, Schneider, Póczos and Xing, "Neural Architecture Search with Bayesian
    Optimisation and Optimal Transport" (NeurIPS 2018), section 3 and appendix A: with d the
    distances (``otmann.py``) for each weight of ``structural``, and d' those divided by the masses
    of both networks, the kernel is ½ exp(-mean d / length) + ½ exp(-mean (d'/normalised)²), where
    lengths and noise are those of the highest marginal likelihood among the given ones.

    Departures: the paper's layers weigh their units, which cells do not have: an operation weighs
    1, and both ends a tenth of the operations; path lengths count all layers, where the authors'
    code also counts convolutions, poolings and dense layers each for themselves; a length is shared
    by the four weights. As in the paper the kernel may have negative eigenvalues, which are set to
    zero.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "otmann"
    targets: Targets = Targets.zscore
    structural: list[float] = field(default_factory=lambda: [0.1, 0.25, 0.61, 1.5])
    lengths: list[float] = field(default_factory=lambda: [1.0, 3.0, 10.0])
    normalised: list[float] = field(default_factory=lambda: [0.1, 0.3, 1.0])
    noises: list[float] = field(default_factory=lambda: [1e-3, 1e-2, 1e-1])

    def __post_init__(self) -> None:
        require_some(self, "predictor", "structural", "lengths", "normalised", "noises")
        require_not_negative(self, "predictor", "structural")
        require_positive(self, "predictor", "lengths", "normalised", "noises")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Transported":
        """A process a trial."""
        return Transported(self, Distances(space, self.structural))


class Transported(Model):
    """Gaussian processes on distances."""

    def __init__(self, settings: TransportProcess, distances: Distances) -> None:
        self._settings, self._distances = settings, distances

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Choose lengths and noise of each trial."""
        own = self._settings
        z, self._scale = scaled(y, mask, own.targets)
        self._known, self._posterior = inputs.archs, None
        apart = self._apart(inputs.archs)
        highest = np.full(len(y), -np.inf)
        self._lengths = np.ones((len(y), 2))
        for pair in np.stack(np.meshgrid(own.lengths, own.normalised), axis=2).reshape(-1, 2):
            both = mask[:, :, None] & mask[:, None, :]
            kernel = clipped(np.where(both, _kernel(*apart, np.tile(pair, (len(y), 1))), 0.0))
            for noise in own.noises:
                found = posterior(kernel, np.full(len(y), noise), z, mask)
                better = found.log_likelihood > highest
                highest = np.where(better, found.log_likelihood, highest)
                self._lengths = np.where(better[:, None], pair, self._lengths)
                self._posterior: Posterior | None = chosen(better, found, self._posterior)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the function."""
        assert self._posterior is not None
        between = _kernel(*self._apart(inputs.archs), self._lengths)
        mean, sd = self._posterior.predict(between, np.ones(inputs.archs.shape[:2]))
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)

    def _apart(self, archs: Archs) -> tuple[Floats, Floats]:
        """Mean distances ``(T, N, M)`` of the records and of ``archs``, and squared d'."""
        found, mass = self._distances(self._known, archs)
        normalised = found / np.maximum(mass, 1e-12)
        return found.mean(axis=0), (normalised**2).mean(axis=0)


def _kernel(apart: Floats, squared: Floats, lengths: Floats) -> Floats:
    """``(T, N, M)`` for the lengths ``(T, 2)`` of trials."""
    first, second = lengths.T[:, :, None, None]
    return 0.5 * np.exp(-apart / first) + 0.5 * np.exp(-squared / second**2)


def clipped(kernel: Floats) -> Floats:
    """``(T, N, N)`` without negative eigenvalues."""
    values, vectors = np.linalg.eigh(kernel)
    return (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
