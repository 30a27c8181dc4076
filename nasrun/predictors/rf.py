"""A random forest, by scikit-learn."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.predictors.trees import TreePredictor, require_package
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Floats


@dataclass
class RandomForest(TreePredictor):
    """Trees on random features, without bootstrap; their spread says how sure they are.

    Settings of NASLib (White et al., "How Powerful are Performance Predictors in Neural
    Architecture Search?", NeurIPS 2021).

    Raises:
        UnsupportedError: scikit-learn is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "rf"
    trees: int = 116
    features: float = 0.1706
    leaf: int = 2
    split: int = 2
    bootstrap: bool = False

    def __post_init__(self) -> None:
        require_package(self.name, "sklearn", "predictors")
        require_at_least(self, "predictor", 1, "trees", "leaf")
        require_at_least(self, "predictor", 2, "split")
        require_within(self, "predictor", "(0, 1]", "features")

    def regressor(self, seed: int) -> Any:
        """A forest."""
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(
            n_estimators=self.trees,
            max_features=self.features,
            min_samples_leaf=self.leaf,
            min_samples_split=self.split,
            bootstrap=self.bootstrap,
            random_state=seed,
            n_jobs=1,
        )

    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation over the trees."""
        single = np.ascontiguousarray(features, np.float32)  # what a tree compares
        each = np.stack([tree.predict(single) for tree in fitted.estimators_])
        return each.mean(axis=0), each.std(axis=0)
