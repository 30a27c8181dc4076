"""Families of curves that learning curves are fitted by, and how they go on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from nasrun.spec import Floats

Curve = Callable[..., Floats]


@dataclass(frozen=True)
class Family:
    """A curve over epochs x >= 1 with named parameters, and where a fit begins."""

    of: Curve
    start: Mapping[str, float]

    def __call__(self, x: Floats, parameters: Floats) -> Floats:
        """``(E,)`` values at the epochs ``x (E,)``."""
        with np.errstate(all="ignore"):  # a search tries parameters that lead nowhere
            return self.of(x, *parameters)

    def fitted(self, y: Floats, evaluations: int = 2000) -> Floats:
        """Parameters of the least squares for a curve ``y (E,)`` that begins at epoch 1.

        After so many ``evaluations`` of the curve, not counting those for its slopes, the best so
        far are taken.
        """
        x = np.arange(1.0, len(y) + 1)

        def errors(parameters: Floats) -> Floats:
            return np.nan_to_num(self(x, parameters) - y, nan=1e3, posinf=1e3, neginf=-1e3)

        start = np.array(list(self.start.values()))
        return least_squares(errors, start, x_scale="jac", max_nfev=evaluations).x


# Domhan, Springenberg and Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep Neural
# Networks by Extrapolation of Learning Curves" (IJCAI 2015), Table 1; y is an accuracy in [0, 1].
FAMILIES: Mapping[str, Family] = {
    "vapour_pressure": Family(
        lambda x, a, b, c: np.exp(a + b / x + c * np.log(x)), {"a": -0.6, "b": -0.5, "c": 0.05}
    ),
    "pow3": Family(lambda x, c, a, alpha: c - a * x**-alpha, {"c": 0.8, "a": 0.5, "alpha": 0.6}),
    "pow4": Family(
        lambda x, c, a, b, alpha: c - (a * x + b) ** -alpha,
        {"c": 0.8, "a": 1.0, "b": 1.0, "alpha": 0.6},
    ),
    "log_log_linear": Family(lambda x, a, b: np.log(a * np.log(x) + b), {"a": 0.2, "b": 1.5}),
    "log_power": Family(
        lambda x, a, b, c: a / (1.0 + (x / np.exp(b)) ** c), {"a": 0.8, "b": 0.5, "c": -0.8}
    ),
    "mmf": Family(
        lambda x, alpha, beta, kappa, delta: alpha - (alpha - beta) / (1.0 + (kappa * x) ** delta),
        {"alpha": 0.8, "beta": 0.1, "kappa": 0.5, "delta": 1.0},
    ),
    "exp4": Family(
        lambda x, c, a, b, alpha: c - np.exp(-a * x**alpha + b),
        {"c": 0.8, "a": 0.8, "b": -0.2, "alpha": 0.6},
    ),
    "janoschek": Family(
        lambda x, alpha, beta, kappa, delta: alpha - (alpha - beta) * np.exp(-kappa * x**delta),
        {"alpha": 0.8, "beta": 0.1, "kappa": 0.3, "delta": 0.9},
    ),
    "weibull": Family(
        lambda x, alpha, beta, kappa, delta: (
            alpha - (alpha - beta) * np.exp(-((kappa * x) ** delta))
        ),
        {"alpha": 0.8, "beta": 0.1, "kappa": 0.3, "delta": 0.9},
    ),
    "ilog2": Family(lambda x, c, a: c - a / np.log(x + 1.0), {"c": 0.8, "a": 0.4}),
    "hill3": Family(
        lambda x, theta, eta, kappa: theta * x**eta / (kappa**eta + x**eta),
        {"theta": 0.8, "eta": 0.6, "kappa": 0.5},
    ),
}
