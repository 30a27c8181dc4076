"""OMNI: zero-cost scores, the training so far and the architecture in one regressor."""

from dataclasses import dataclass

import numpy as np

from nasrun.benchmarks.scores import ScoreTable
from nasrun.predictors.base import Encoded
from nasrun.predictors.measured_parts import MeasuredParts, OfMeasured
from nasrun.predictors.ngb import NGBoost
from nasrun.predictors.trees import Forest
from nasrun.spec import Floats, Inputs, Mask, SearchSpace, Streams


@dataclass
class OMNI(OfMeasured, NGBoost):
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

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "JoinedForest":
        """A regressor a trial."""
        table = self.table(space, self.score_columns)
        return JoinedForest(self, Encoded(space, self.encodings), streams, table)


class JoinedForest(Forest):
    """Regressors on z-scores of what is measured, and on the encoding beside them."""

    def __init__(
        self, settings: OMNI, encode: Encoded, streams: Streams, table: ScoreTable | None
    ) -> None:
        super().__init__(settings, self._joined, streams)
        self._measured, self._coded = MeasuredParts(settings.name, table), encode

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Standardise by what is known, and grow new trees."""
        self._measured.learn(inputs, mask)
        super().fit(inputs, y, mask)

    def _joined(self, inputs: Inputs) -> Floats:
        """``(T, N, 1 + E + F)`` features."""
        return np.concatenate([self._measured(inputs), self._coded(Inputs(inputs.archs))], axis=2)
