"""A zero-cost score itself, as a predictor that learns nothing."""

from dataclasses import dataclass

import numpy as np

from nasrun.benchmarks.scores import ScoreTable
from nasrun.errors import ConfigError
from nasrun.predictors.base import best_known
from nasrun.predictors.scored import OfScores
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, SearchSpace, Streams


@dataclass
class ZeroCostScore(OfScores):
    """The score of ``column`` in the table ``scores``, which is enough to order architectures.

    Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021), as
    White, Zela, Ru, Liu and Hutter (NeurIPS 2021) judge them beside predictors that learn. What
    each score is, ``nasrun/nets/zero_cost.py`` says; of all, higher is better.
    """

    name: str = "zero_cost"
    column: str = "jacov"

    @property
    def label(self) -> str:
        """With the column: one is another predictor than the next."""
        return f"{self.name}[{self.column}]"

    @property
    def learns(self) -> bool:
        """A score is all that is looked at."""
        return False

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "TableScores":
        """The table.

        Raises:
            DataError: no such table.
            ConfigError: no table is named, one of another space, or one without the column.
        """
        if (table := self.table(space, [self.column])) is None:
            raise ConfigError(
                "predictor=zero_cost reads its scores from a table: name one by predictor.scores, "
                "such as scripts/zero_cost_scores.py writes"
            )
        return TableScores(table)


class TableScores(Model):
    """Looks scores up, of which a table has one an architecture."""

    def __init__(self, table: ScoreTable) -> None:
        self._table = table

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Keep the best score of what is known, on whose scale predictions are."""
        self._best = best_known(self._table(inputs.archs)[..., 0], mask)

    def predict(self, inputs: Inputs) -> Prediction:
        """The scores, surely.

        Raises:
            DataError: an architecture has none.
        """
        mean = self._table(inputs.archs)[..., 0]
        return Prediction(mean, np.zeros_like(mean), self._best)
