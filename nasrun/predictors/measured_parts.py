"""What OMNI reads beside architectures: what is measured of each, as z-scores."""

from dataclasses import dataclass, field

import numpy as np

from nasrun.benchmarks.scores import ScoreTable
from nasrun.predictors.base import STD_FLOOR
from nasrun.predictors.learning_curves import Figure, OfCurves, Reading, curves_of, read
from nasrun.predictors.scored import OfScores, scored
from nasrun.spec import Floats, Inputs, Mask


@dataclass
class OfMeasured(OfCurves, OfScores):
    """A predictor of the last figure of a curve, of some scores, and of architectures."""

    score_columns: list[str] = field(default_factory=lambda: ["jacov"])
    figure: Figure = Figure.train_loss

    @property
    def reads_architectures(self) -> bool:
        """Besides their curves."""
        return True


class MeasuredParts:
    """The last epoch's figure, and scores, as z-scores by the records that are learnt from.

    Args:
        name: of the predictor.
        table: of scores, if any.
    """

    def __init__(self, name: str, table: ScoreTable | None) -> None:
        self._name, self._table = name, table

    def learn(self, inputs: Inputs, mask: Mask) -> None:
        """Means and deviations of each trial where ``mask (T, N)``."""
        values = self._values(inputs)
        count = np.maximum(mask.sum(axis=1), 1)[:, None, None]
        known = np.where(mask[:, :, None], values, 0.0)
        self._centre = known.sum(axis=1, keepdims=True) / count
        off = np.where(mask[:, :, None], values - self._centre, 0.0)
        spread = np.sqrt((off**2).sum(axis=1, keepdims=True) / count)
        self._spread = np.where(spread > STD_FLOOR, spread, 1.0)

    def __call__(self, inputs: Inputs) -> Floats:
        """``(T, N, 1 + E)`` z-scores."""
        return (self._values(inputs) - self._centre) / self._spread

    def _values(self, inputs: Inputs) -> Floats:
        last = read(curves_of(inputs, self._name), Reading.last)[..., None]
        extra = scored(inputs, self._table).extra
        return last if extra is None else np.concatenate([last, extra], axis=2)
