"""What predictors of one trial after the other share: those of libraries that know no cohorts."""

from abc import abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.predictors.base import Encoded, Targets, scaled
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams

SEEDS = 2**31 - 1
FEWEST = 2  # records that a library can fit

Features = Callable[[Inputs], Floats]  # ``(T, N, F)`` of what is known


class TreePredictor(Predictor):
    """Trees of a library, grown on one thread for each trial from its own seed.

    A subclass has the fields ``encodings`` and ``targets``, and says how a regressor is made.
    """

    encodings: list[str]
    targets: Targets

    @abstractmethod
    def regressor(self, seed: int) -> Any:
        """A new regressor with ``fit(X, y)``."""

    @abstractmethod
    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """``(M,)`` mean and standard deviation of what a regressor says of ``(M, F)``."""

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Forest":
        """A regressor a trial."""
        return Forest(self, Encoded(space, self.encodings), streams)


class Forest(Model):
    """A regressor of each trial; None where there are too few records."""

    def __init__(self, settings: TreePredictor, encode: Features, streams: Streams) -> None:
        self._settings, self._encode, self._streams = settings, encode, streams

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Grow new trees, trial by trial."""
        features = self._encode(inputs)
        goal, self._scale = scaled(y, mask, self._settings.targets)
        seeds = self._streams.integers(SEEDS)[:, 0].tolist()
        self._fitted: list[Any] = []
        for trial, seed in enumerate(seeds):
            rows = mask[trial]
            regressor = self._settings.regressor(seed) if rows.sum() >= FEWEST else None
            if regressor is not None:
                regressor.fit(features[trial, rows], goal[trial, rows])
            self._fitted.append(regressor)

    def predict(self, inputs: Inputs) -> Prediction:
        """What each trial's regressor says; the mean figure where there is none."""
        features = self._encode(inputs)
        mean, sd = np.zeros(features.shape[:2]), np.ones(features.shape[:2])
        for trial, fitted in enumerate(self._fitted):
            if fitted is not None:
                mean[trial], sd[trial] = self._settings.answers(fitted, features[trial])
        spread = self._scale.spread
        return Prediction(self._scale.restored(mean), sd * spread, self._scale.best)


def require_package(name: str, package: str, extra: str) -> None:
    """Refuse a predictor whose library is missing.

    Raises:
        UnsupportedError: says how to get it.
    """
    if find_spec(package) is None:
        raise UnsupportedError(
            f"predictor={name} needs {package}, which is not installed: "
            f'pip install "nasrun[{extra}]"'
        )
