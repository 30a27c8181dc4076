"""Natural gradient boosting, by NGBoost."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.predictors.trees import TreePredictor, require_package
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Floats


class _OneState(np.random.RandomState):
    """A state that all trees draw from: NGBoost clones its base learner, the state with it.

    So every tree would draw the same features. Seeding trees from its own state, where they have
    none, is something that not all versions of NGBoost do.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_OneState":
        return self


@dataclass
class NGBoost(TreePredictor):
    """Trees for the mean and the spread of a normal distribution; settings of NASLib.

    Duan et al., "NGBoost: Natural Gradient Boosting for Probabilistic Prediction" (ICML 2020).

    Raises:
        UnsupportedError: NGBoost is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "ngb"
    rounds: int = 505
    rate: float = 0.08127053060223186
    minibatch: float = 0.5
    depth: int = 6
    features: float = 0.7920456318712875

    def __post_init__(self) -> None:
        require_package(self.name, "ngboost", "predictors")
        require_at_least(self, "predictor", 1, "rounds", "depth")
        require_positive(self, "predictor", "rate")
        require_within(self, "predictor", "(0, 1]", "features", "minibatch")

    def regressor(self, seed: int) -> Any:
        """Boosted trees."""
        from ngboost import NGBRegressor
        from sklearn.tree import DecisionTreeRegressor

        tree = DecisionTreeRegressor(
            criterion="friedman_mse",
            max_depth=self.depth,
            max_features=self.features,
            random_state=_OneState(seed),
        )
        return NGBRegressor(
            Base=tree,
            n_estimators=self.rounds,
            learning_rate=self.rate,
            minibatch_frac=self.minibatch,
            random_state=seed,
            verbose=False,
        )

    def answers(self, fitted: Any, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the predicted normal distributions."""
        found = fitted.pred_dist(features)
        return np.asarray(found.loc, np.float64), np.asarray(found.scale, np.float64)
