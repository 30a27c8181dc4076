"""All statistics over the (trials x tasks) matrix of a report, computed once."""

from collections.abc import Collection, Mapping, Sequence
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

    ``tasks`` and ``trials`` count what was complete; ``by_agent``: meta-trained agents were the
    independent units, else seeds. ``better (a, a)``: chance that the row's
    algorithm beats the column's; ``p_holm (a, a)``: whether they differ. ``against`` gives the same
    chance with intervals, for the ``rival`` alone.
    """

    algorithms: tuple[str, ...]
    tasks: int
    trials: int
    by_agent: bool
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


def overview(
    problems: Mapping[Problem, Trials],
    against: str | None,
    agents: int | None = None,
    trained: Collection[str] = (),
) -> Overview | None:
    """The statistics; None without two algorithms that have two complete units on all tasks.

    Args:
        problems: the trials.
        against: algorithm that all are compared with; if it did not run, the one of the best
            average rank.
        agents: trials whose seeds agree modulo so many count as one unit.
        trained: algorithms that have agents; two others are tested seed by seed.
    """
    complete = complete_scores(problems, agents)
    if complete is None or (unit_means := complete.unit_means()).shape[1] < 2:
        return None
    names, scores = complete.algorithms, complete.scores
    ranking = rank(complete.figures, unit_means)
    rival = names.index(against) if against in names else int(np.argmin(ranking.ranks))
    return Overview(
        algorithms=names,
        tasks=len(scores),
        trials=sum(task.shape[1] for task in scores),
        by_agent=agents is not None,
        mean=means(scores, complete.units),
        iqm=interquartile_means(scores, complete.units),
        ranking=ranking,
        better=improvement_matrix(complete.figures),
        p_holm=_p_values(problems, unit_means, [name in trained for name in names]),
        rival=names[rival],
        against=improvements(complete, rival),
        profiles=profiles(scores, complete.units),
    )


def _p_values(
    problems: Mapping[Problem, Trials], unit_means: Floats, has_agents: Sequence[bool]
) -> Floats:
    by_seed = complete_scores(problems) if any(has_agents) else None
    seed_means = by_seed.unit_means() if by_seed else unit_means
    return pairwise_p_values(unit_means, seed_means, has_agents)
