"""The answers themselves: what a perfect predictor would make of a search."""

from dataclasses import dataclass

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.predictors.base import best_known
from nasrun.spec import (
    Floats,
    Inputs,
    Mask,
    Model,
    Prediction,
    Predictor,
    SearchSpace,
    Streams,
    Truth,
)


@dataclass
class Oracle(Predictor):
    """Predicts the true figures, as the upper bound in NPENAS (Wei et al., 2020) does.

    It asks the evaluator for every candidate, free of charge: a control for tables, no method.
    """

    name: str = "oracle"

    def opened(
        self, space: SearchSpace, streams: Streams, truth: Truth | None = None
    ) -> "TrueFigures":
        """Nothing to learn.

        Raises:
            UnsupportedError: there is nothing that knows the answers.
        """
        if truth is None:
            raise UnsupportedError(
                "predictor=oracle needs the true figures: take another predictor"
            )
        return TrueFigures(truth)


class TrueFigures(Model):
    """Looks figures up."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Keep the best figure."""
        self._best = best_known(y, mask)

    def predict(self, inputs: Inputs) -> Prediction:
        """The true figures, surely."""
        mean = self._truth(inputs.archs)
        return Prediction(mean, np.zeros_like(mean), self._best)
