"""Average ranks of algorithms, and which of them the trials cannot tell apart.

After Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets" (JMLR 2006): the
Friedman test, Nemenyi's critical difference, and the diagram that shows both. His blocks are data
sets; here they are the units of ``Scores``, because the trials of one unit are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.stats import LEVEL, mean_ranks
from nasrun.streams import Floats


@dataclass(frozen=True)
class Ranking:
    """Average ranks of ``a`` algorithms over all trials, 1 is best; ``blocks`` are independent.

    Average ranks that lie less than ``critical_difference`` apart do not differ at the 5% level
    (Nemenyi). ``friedman_p``: of the hypothesis that all algorithms are alike.
    """

    ranks: Floats
    blocks: int
    critical_difference: float
    friedman_p: float

    def groups(self) -> list[tuple[int, int]]:
        """Places (first, last) in ascending rank of the largest sets that do not differ."""
        ranks = np.sort(self.ranks)
        last = np.searchsorted(ranks, ranks + self.critical_difference, side="left") - 1
        found = [(first, int(end)) for first, end in enumerate(last) if end > first]
        return [
            group
            for group in found
            if not any(a <= group[0] and group[1] <= b for a, b in found if (a, b) != group)
        ]


def rank(figures: Sequence[Floats], unit_means: Floats) -> Ranking:
    """The ranking over all trials of all tasks, ``figures`` being ``(a, n)`` of each task.

    The ranks are averaged over trials and tasks, while the critical difference counts the units of
    ``unit_means (a, u)``, as if they had one rank each: that errs on the side of caution.
    Friedman's test ranks those means.
    """
    ranks = mean_ranks(np.concatenate(figures, axis=1))
    count, units = unit_means.shape
    return Ranking(ranks, units, critical_difference(count, units), _friedman_p(unit_means))


def critical_difference(algorithms: int, blocks: int) -> float:
    """Nemenyi's critical difference of average ranks at the 5% level."""
    from scipy.stats import studentized_range

    # The tabled q are those of infinitely many degrees of freedom, divided by the root of 2.
    q = float(studentized_range.ppf(LEVEL, algorithms, np.inf)) / np.sqrt(2)
    return q * float(np.sqrt(algorithms * (algorithms + 1) / (6 * blocks)))


def _friedman_p(blocks: Floats) -> float:
    """NaN for two algorithms, which the test is not for, or where all figures are equal."""
    if len(blocks) < 3 or (blocks == blocks[:1]).all():
        return float("nan")
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*blocks).pvalue)
