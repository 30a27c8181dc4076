"""Bayesian linear regression, for all trials at once."""

from dataclasses import dataclass, field

import numpy as np

from nasrun.predictors.base import Encoded, Targets, scaled
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams

MOST_PRECISION = 1e10  # where the records lie on a plane


class Evidence:
    """Weights w ~ N(0, 1/alpha) of features, and noise N(0, 1/beta), by evidence maximisation.

    Bishop, "Pattern Recognition and Machine Learning" (2006), section 3.5.2: from the eigenvalues
    of the features' products, gamma effective weights; alpha = gamma / w·w and
    beta = (n - gamma) / squared error, in turn until neither moves.

    Args:
        features: ``(T, N, D)``, zero where there is no record.
        y: ``(T, N)``, zero where there is no record.
        count: ``(T,)`` records.
        alpha: first precision of the weights.
        beta: first precision of the noise.
        steps: of alpha and beta; 0 keeps the first ones.
        tolerance: relative change below which a trial has converged.
    """

    def __init__(
        self,
        features: Floats,
        y: Floats,
        count: Floats,
        alpha: float,
        beta: float,
        steps: int,
        tolerance: float = 1e-5,
    ) -> None:
        transposed = features.transpose(0, 2, 1)
        products = transposed @ features
        values, self._vectors = np.linalg.eigh(products)
        self._values = np.maximum(values, 0.0)
        self._goal = (self._vectors.transpose(0, 2, 1) @ (transposed @ y[:, :, None]))[..., 0]
        self._squares = (y**2).sum(axis=1)
        self.alpha, self.beta = np.full(len(y), alpha), np.full(len(y), beta)
        moving = count > 1
        for _ in range(steps):
            before = self.alpha, self.beta
            after = self._moved(count)
            self.alpha, self.beta = (
                np.where(moving, new, old) for new, old in zip(after, before, strict=True)
            )
            still = [
                np.abs(new - old) <= tolerance * np.abs(old)
                for new, old in zip((self.alpha, self.beta), before, strict=True)
            ]
            moving = moving & ~(still[0] & still[1])
            if not moving.any():
                break

    def _turned(self) -> Floats:
        """``(T, D)`` mean weights along the eigenvectors."""
        scale = self.alpha[:, None] + self.beta[:, None] * self._values
        return self.beta[:, None] * self._goal / scale

    def _moved(self, count: Floats) -> tuple[Floats, Floats]:
        weights = self._turned()
        share = self.beta[:, None] * self._values
        gamma = (share / (self.alpha[:, None] + share)).sum(axis=1)
        fit = 2 * (weights * self._goal).sum(axis=1) - (self._values * weights**2).sum(axis=1)
        error = np.maximum(self._squares - fit, 1.0 / MOST_PRECISION)
        alpha = gamma / np.maximum((weights**2).sum(axis=1), 1.0 / MOST_PRECISION)
        beta = np.maximum(count - gamma, 1e-3) / error
        low = 1.0 / MOST_PRECISION
        return np.clip(alpha, low, MOST_PRECISION), np.clip(beta, low, MOST_PRECISION)

    @property
    def weights(self) -> Floats:
        """``(T, D)`` mean of the weights' posterior."""
        return (self._vectors @ self._turned()[:, :, None])[..., 0]

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """``(T, M)`` mean and standard deviation, noise included, at ``features (T, M, D)``."""
        mean = (features @ self.weights[:, :, None])[..., 0]
        turned = features @ self._vectors
        spread = 1.0 / (self.alpha[:, None] + self.beta[:, None] * self._values)
        variance = (turned**2 * spread[:, None]).sum(axis=2) + 1.0 / self.beta[:, None]
        return mean, np.sqrt(variance)


def require_precisions(settings: object) -> None:
    """Refuse first precisions and steps of ``Evidence`` that a predictor's fields cannot have.

    Raises:
        ConfigError: a precision that is not above zero, or fewer than 0 steps.
    """
    require_positive(settings, "predictor", "alpha", "beta")
    require_at_least(settings, "predictor", 0, "steps")


@dataclass
class BayesianLinear(Predictor):
    """A linear function of an encoding, with the uncertainty of its weights.

    Precisions start at NASLib's values and are set by evidence maximisation, where NASLib's
    (pybnn) takes a general-purpose optimiser to the same end. A constant is one of the features.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "bayes_lin_reg"
    encodings: list[str] = field(default_factory=lambda: ["adjacency", "onehot"])
    targets: Targets = Targets.zscore
    alpha: float = 1.0
    beta: float = 100.0
    steps: int = 200

    def __post_init__(self) -> None:
        require_precisions(self)

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Linear":
        """A linear function a trial."""
        return Linear(self, Encoded(space, self.encodings))


class Linear(Model):
    """Linear functions."""

    def __init__(self, settings: BayesianLinear, encode: Encoded) -> None:
        self._settings, self._encode = settings, encode

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Find the weights' posterior."""
        own = self._settings
        goal, self._scale = scaled(y, mask, own.targets)
        known = np.where(mask[:, :, None], self._features(inputs), 0.0)
        count = mask.sum(axis=1).astype(float)
        self._evidence = Evidence(known, goal, count, own.alpha, own.beta, own.steps)

    def predict(self, inputs: Inputs) -> Prediction:
        """The posterior predictive distribution."""
        mean, sd = self._evidence.predict(self._features(inputs))
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)

    def _features(self, inputs: Inputs) -> Floats:
        coded = self._encode(inputs)
        return np.concatenate([coded, np.ones((*coded.shape[:2], 1))], axis=2)
