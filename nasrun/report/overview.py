"""All statistics over the (trials x tasks) matrix of a report, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasrun.report.aggregate import Estimate, interquartile_means, means
from nasrun.report.improvement import improvement_matrix, improvements, pairwise_p_values
from nasrun.report.profiles import Profiles, profiles
from nasrun.report.ranks import Ranking, rank
from nasrun.report.scores import complete_scores
from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats


@dataclass(frozen=True)
class Overview:
    """What the trials of all tasks say together on ``a`` algorithms.

    ``tasks`` and ``trials`` count what was complete. ``better (a, a)``: chance that the row's
    algorithm beats the column's; ``p_holm (a, a)``: whether they differ. ``against`` gives the same
    chance with intervals, for the ``rival`` alone.
    """

    algorithms: tuple[str, ...]
    tasks: int
    trials: int
    mean: list[Estimate]
    iqm: list[Estimate]
    ranking: Ranking
    better: Floats
    p_holm: Floats
    rival: str
    against: list[Estimate | None]
    profiles: Profiles

    def by_rank(self) -> list[int]:
        """Places of the algorithms in ascending average rank."""
        return [int(place) for place in np.argsort(self.ranking.ranks, kind="stable")]


def overview(problems: Mapping[Problem, Trials], against: str | None) -> Overview | None:
    """The statistics; None where there are no two algorithms with complete trials.

    ``against`` is the algorithm that all are compared with; if it did not run, the one of the best
    average rank.
    """
    complete = complete_scores(problems)
    if complete is None:
        return None
    names, scores = complete.algorithms, complete.scores
    ranking = rank(complete.figures)
    rival = names.index(against) if against in names else int(np.argmin(ranking.ranks))
    return Overview(
        algorithms=names,
        tasks=len(scores),
        trials=sum(task.shape[1] for task in scores),
        mean=means(scores),
        iqm=interquartile_means(scores),
        ranking=ranking,
        better=improvement_matrix(complete.figures),
        p_holm=pairwise_p_values(complete),
        rival=names[rival],
        against=improvements(complete.figures, rival),
        profiles=profiles(scores),
    )
