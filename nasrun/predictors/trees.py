"""What predictors of one trial after the other share: those of libraries that know no cohorts."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from nasrun.benchmarks.scores import ScoreTable
from nasrun.errors import UnsupportedError
from nasrun.predictors.base import Encoded, Targets, scaled
from nasrun.predictors.scored import OfScores, scored
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, SearchSpace, Streams

SEEDS = 2**31 - 1
FEWEST = 2  # records that a library can fit

Features = Callable[[Inputs], Floats]  # ``(T, N, F)`` of what is known


@dataclass
class TreePredictor(OfScores):
    """Trees of a library, grown on one thread for each trial from its own seed.

    Features are an encoding, and beside it the ``score_columns`` (none: all) of ``scores``, a table
    such as ``scripts/zero_cost_scores.py`` writes. A subclass says how a regressor is made.
    """

    name: str = ""
    encodings: list[str] = field(default_factory=lambda: ["adjacency", "onehot"])
    targets: Targets = Targets.zscore
    score_columns: list[str] = field(default_factory=list[str])

    @abstractmethod
    def regressor(self, seed: int) -> Any:
        """A new regressor with ``fit(X, y)``."""

    @abstractmethod
    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """``(M,)`` mean and standard deviation of what a regressor says of ``(M, F)``."""

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Forest":
        """A regressor a trial."""
        table = self.table(space, self.score_columns)
        return Forest(self, Encoded(space, self.encodings), streams, table)


class Forest(Model):
    """A regressor of each trial; None where too few records, or all alike, leave nothing to learn.

    NGBoost cannot be fitted to figures that are all alike.
    """

    def __init__(
        self,
        settings: TreePredictor,
        encode: Features,
        streams: Streams,
        table: ScoreTable | None = None,
    ) -> None:
        self._settings, self._encode, self._streams = settings, encode, streams
        self._table = table

    def scored(self, inputs: Inputs) -> Inputs:
        """With the table's scores, unless others are there already."""
        return scored(inputs, self._table)

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Grow new trees, trial by trial."""
        features = self._encode(self.scored(inputs))
        goal, self._scale = scaled(y, mask, self._settings.targets)
        seeds = self._streams.integers(SEEDS)[:, 0].tolist()
        self._fitted: list[Any] = []
        for trial, seed in enumerate(seeds):
            rows = mask[trial]
            differ = rows.sum() >= FEWEST and np.ptp(goal[trial, rows]) > 0
            regressor = self._settings.regressor(seed) if differ else None
            if regressor is not None:
                regressor.fit(features[trial, rows], goal[trial, rows])
            self._fitted.append(regressor)

    def predict(self, inputs: Inputs) -> Prediction:
        """What each trial's regressor says; the mean figure where there is none."""
        features = self._encode(self.scored(inputs))
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
