"""Gradient boosted trees, by XGBoost."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.predictors.trees import TreePredictor, require_package
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Floats


@dataclass
class XGBoost(TreePredictor):
    """Trees that each mend what those before them leave; settings of NASLib.

    One model has no spread: an acquisition function that needs one becomes greedy.

    Raises:
        UnsupportedError: XGBoost is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "xgb"
    rounds: int = 500
    depth: int = 6
    rate: float = 0.3
    child_weight: float = 1.0
    columns: float = 1.0

    def __post_init__(self) -> None:
        require_package(self.name, "xgboost", "predictors")
        require_at_least(self, "predictor", 1, "rounds", "depth")
        require_positive(self, "predictor", "rate", "child_weight")
        require_within(self, "predictor", "(0, 1]", "columns")

    def regressor(self, seed: int) -> Any:
        """Boosted trees."""
        from xgboost import XGBRegressor

        return XGBRegressor(
            n_estimators=self.rounds,
            max_depth=self.depth,
            learning_rate=self.rate,
            min_child_weight=self.child_weight,
            colsample_bytree=self.columns,
            random_state=seed,
            n_jobs=1,
        )

    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """What the sum of the trees says."""
        mean = fitted.predict(features).astype(np.float64)
        return mean, np.zeros_like(mean)
