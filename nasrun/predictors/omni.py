"""OMNI: zero-cost scores, the training so far and the architecture in one regressor."""

from dataclasses import dataclass, field

import numpy as np

from nasrun.benchmarks.scores import ScoreTable
from nasrun.predictors.base import STD_FLOOR, Encoded
from nasrun.predictors.learning_curves import Figure, OfCurves, Reading, curves_of, read
from nasrun.predictors.ngb import NGBoost
from nasrun.predictors.trees import Forest
from nasrun.spec import Floats, Inputs, Mask, SearchSpace, Streams


@dataclass
class OMNI(OfCurves, NGBoost):
    """NGBoost on an encoding, on zero-cost scores, and on the loss of the last epoch.

    White, Zela, Ru, Liu and Hutter, "How Powerful are Performance Predictors in Neural Architecture
    Search?" (NeurIPS 2021), section 4, with NASLib's parts: minus the training loss of the last
    epoch (SoTL-E), and the Jacobian covariance (``score_columns`` of the table ``scores``), both as
    z-scores, beside the adjacency matrix. Without a table there are two parts.

    Departures: mean and deviation of both z-scores are those of the records that are learnt from,
    where NASLib standardises SoTL-E within what is asked, so that one query alone has none; the
    settings are NGBoost's own, without a search by cross-validation.

    Raises:
        UnsupportedError: NGBoost is not installed.
        ConfigError: a field out of its range.
    """

    name: str = "omni"
    score_columns: list[str] = field(default_factory=lambda: ["jacov"])
    figure: Figure = Figure.train_loss

    @property
    def reads_architectures(self) -> bool:
        """Besides their curves."""
        return True

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "JoinedForest":
        """A regressor a trial."""
        table = self.table(space, self.score_columns)
        return JoinedForest(self, Encoded(space, self.encodings), streams, table)


class JoinedForest(Forest):
    """Regressors on z-scores of what is measured, and on the encoding beside them."""

    def __init__(
        self, settings: OMNI, encode: Encoded, streams: Streams, table: ScoreTable | None
    ) -> None:
        super().__init__(settings, self._joined, streams, table)
        self._own, self._coded = settings, encode

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Standardise by what is known, and grow new trees."""
        measured = self._measured(self.scored(inputs))
        count = np.maximum(mask.sum(axis=1), 1)[:, None, None]
        known = np.where(mask[:, :, None], measured, 0.0)
        self._centre = known.sum(axis=1, keepdims=True) / count
        off = np.where(mask[:, :, None], measured - self._centre, 0.0)
        spread = np.sqrt((off**2).sum(axis=1, keepdims=True) / count)
        self._spread = np.where(spread > STD_FLOOR, spread, 1.0)
        super().fit(inputs, y, mask)

    def _measured(self, inputs: Inputs) -> Floats:
        """``(T, N, 1 + E)``: the last epoch's figure, and other scores."""
        last = read(curves_of(inputs, self._own.name), Reading.last)[..., None]
        return last if inputs.extra is None else np.concatenate([last, inputs.extra], axis=2)

    def _joined(self, inputs: Inputs) -> Floats:
        """``(T, N, 1 + E + F)`` features."""
        z = (self._measured(inputs) - self._centre) / self._spread
        return np.concatenate([z, self._coded(Inputs(inputs.archs))], axis=2)
