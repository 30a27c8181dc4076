"""What predictors share that read a table of scores, such as zero-cost ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.scores import ScoreTable
from nasrun.spec import Inputs, Predictor, SearchSpace


@dataclass
class OfScores(Predictor):
    """A predictor of ``scores``, a table such as ``scripts/zero_cost_scores.py`` writes, if any."""

    scores: str | None = None

    @property
    def files(self) -> Mapping[str, str]:
        """The table of scores."""
        if self.scores is None:
            return {}
        path = Path(self.scores)
        return {f"scores/{path.name}": sha256(path, path.with_suffix(".sha256.json"))}

    def table(self, space: SearchSpace, columns: Sequence[str]) -> ScoreTable | None:
        """Those ``columns`` of the table, if there is one; none: all.

        Raises:
            DataError: no such table.
            ConfigError: a table of another space, or without these columns.
        """
        return None if self.scores is None else ScoreTable(Path(self.scores), space, columns)


def scored(inputs: Inputs, table: ScoreTable | None) -> Inputs:
    """With the table's scores, unless others are there already."""
    if table is None or inputs.extra is not None:
        return inputs
    return replace(inputs, extra=table(inputs.archs))
