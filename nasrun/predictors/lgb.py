"""Gradient boosted trees, by LightGBM."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.predictors.trees import TreePredictor, require_package
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Floats


@dataclass
class LightGBM(TreePredictor):
    """Trees grown leaf by leaf on bagged records; settings of NASLib.

    One model has no spread: an acquisition function that needs one becomes greedy.

    Raises:
        UnsupportedError: LightGBM is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "lgb"
    rounds: int = 500
    leaves: int = 31
    rate: float = 0.05
    leaf: int = 5
    features: float = 0.9
    bagging: float = 0.8
    bagging_every: int = 5

    def __post_init__(self) -> None:
        require_package(self.name, "lightgbm", "predictors")
        require_at_least(self, "predictor", 1, "rounds", "leaf", "bagging_every")
        require_at_least(self, "predictor", 2, "leaves")
        require_positive(self, "predictor", "rate")
        require_within(self, "predictor", "(0, 1]", "features", "bagging")

    def regressor(self, seed: int) -> Any:
        """Boosted trees."""
        from lightgbm import LGBMRegressor

        return LGBMRegressor(
            n_estimators=self.rounds,
            num_leaves=self.leaves,
            learning_rate=self.rate,
            min_child_samples=self.leaf,
            colsample_bytree=self.features,
            subsample=self.bagging,
            subsample_freq=self.bagging_every,
            random_state=seed,
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )

    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """What the sum of the trees says."""
        with warnings.catch_warnings():  # it names the columns itself, and misses the names then
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            mean = np.asarray(fitted.predict(features), np.float64)
        return mean, np.zeros_like(mean)
