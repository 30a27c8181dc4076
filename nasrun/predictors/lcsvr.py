"""Learning-curve support vector regression, by scikit-learn."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.learning_curves import OfCurves, curves_of
from nasrun.predictors.trees import FEWEST, require_package
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, SearchSpace, Streams

RANGE = (1e-5, 10.0)  # of the C and the gamma that are tried, uniform in their logarithms
FOLDS = 3
LEAST_NU = 1e-3


@dataclass
class LCSVR(OfCurves):
    """Support vectors on six figures of a curve: mean and spread of it and its differences.

    Baker et al., "Accelerating Neural Architecture Search using Performance Prediction" (ICLR
    workshop 2018), with NASLib's features. ``gamma`` is of the kernel over standardised
    figures, None: 1/6; a wide one (0.01) goes on beyond what was learnt from. ``draws`` random
    settings of C, gamma and nu are compared by R² in three folds, the given ones first; 0 draws
    keep these. Where fewer records than folds are known, so do all.

    Departures: figures are standardised; there are none of the architecture and of its settings,
    which Baker et al., and NASLib's later version, have beside them; by default nothing is searched
    (NASLib: 1,000 draws).

    Raises:
        UnsupportedError: scikit-learn is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "lcsvr"
    targets: Targets = Targets.zscore
    c: float = 1.0
    gamma: float | None = None
    nu: float = 0.5
    draws: int = 0

    def __post_init__(self) -> None:
        require_package(self.name, "sklearn", "predictors")
        require_positive(self, "predictor", "c", "gamma")
        require_within(self, "predictor", "(0, 1]", "nu")
        require_at_least(self, "predictor", 0, "draws")

    @property
    def in_figures(self) -> bool:
        """Unless it learns their logarithms."""
        return self.targets is not Targets.log_error

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Vectors":
        """A regression a trial."""
        return Vectors(self, streams)


class Vectors(Model):
    """Support vector regressions."""

    def __init__(self, settings: LCSVR, streams: Streams) -> None:
        self._settings, self._streams = settings, streams

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Fit each trial's regression, after a search for its settings."""
        features = curve_features(curves_of(inputs, self._settings.name))
        goal, self._scale = scaled(y, mask, self._settings.targets)
        draws = self._streams.uniform(3 * self._settings.draws)
        draws = draws.reshape(len(y), self._settings.draws, 3)
        self._fitted: list[Any] = []
        for trial, rows in enumerate(mask):
            known = None
            if rows.sum() >= FEWEST:
                known = self._best(features[trial, rows], goal[trial, rows], draws[trial])
            self._fitted.append(known)

    def predict(self, inputs: Inputs) -> Prediction:
        """What each trial's regression says; the mean figure where there is none."""
        features = curve_features(curves_of(inputs, self._settings.name))
        mean = np.zeros(features.shape[:2])
        for trial, fitted in enumerate(self._fitted):
            if fitted is not None:
                mean[trial] = fitted.predict(features[trial])
        return Prediction(self._scale.restored(mean), np.zeros_like(mean), self._scale.best)

    def _best(self, x: Floats, y: Floats, draws: Floats) -> Any:
        """The fitted regression of the settings that predict best what they have not seen."""
        choices = [self._regression()]
        if len(y) >= FOLDS:
            low, high = np.log(RANGE)
            for own in draws.tolist():
                c, gamma = (float(np.exp(low + (high - low) * share)) for share in own[:2])
                choices.append(self._regression(c, gamma, max(own[2], LEAST_NU)))
        scores = [held_out_r2(choice, x, y) for choice in choices] if choices[1:] else [0.0]
        return choices[int(np.argmax(scores))].fit(x, y)

    def _regression(
        self, c: float | None = None, gamma: float | None = None, nu: float | None = None
    ) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import NuSVR

        gamma = self._settings.gamma if gamma is None else gamma
        given: Any = "scale" if gamma is None else gamma
        regression = NuSVR(
            C=self._settings.c if c is None else c,
            gamma=given,
            nu=self._settings.nu if nu is None else nu,
        )
        # Else it draws a seed, that it has no use for, from NumPy's own.
        regression.random_state = 0
        return make_pipeline(StandardScaler(), regression)


def held_out_r2(choice: Any, x: Floats, y: Floats) -> float:
    """Mean R² of a regression over the folds: every third record is held out."""
    fold, scores = np.arange(len(y)) % FOLDS, []
    for held in range(FOLDS):
        rows = fold != held
        error = y[~rows] - choice.fit(x[rows], y[rows]).predict(x[~rows])
        spread = ((y[~rows] - y[~rows].mean()) ** 2).sum()
        scores.append(1.0 - (error**2).sum() / max(spread, 1e-12))
    return float(np.mean(scores))


def curve_features(curve: Floats) -> Floats:
    """``(..., 6)`` mean and spread of curves ``(..., epochs)``, and of both differences.

    Those of differences that a short curve does not have are 0.
    """
    parts: list[Floats] = []
    for _ in range(3):
        there = curve.shape[-1] > 0
        nothing = np.zeros(curve.shape[:-1])
        parts += [curve.mean(axis=-1), curve.std(axis=-1)] if there else [nothing, nothing]
        curve = np.diff(curve, axis=-1)
    return np.stack(parts, axis=-1)
