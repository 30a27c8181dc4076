"""What all trials of a report say together: statistics over tasks, average ranks, claims.

The ranks are after Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets" (JMLR
2006): the Friedman test, Nemenyi's critical difference, and the diagram that shows both. His blocks
are data sets; here they are the units of ``Scores``, because the trials of one unit are not
independent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasrun.report.aggregate import (
    Estimate,
    Profiles,
    complete_scores,
    improvement_matrix,
    improvements,
    interquartile_means,
    means,
    pairwise_p_values,
    profiles,
)
from nasrun.report.jobs import MetaCost, Search, agents_in_common
from nasrun.report.schema import Claim
from nasrun.report.stats import LEVEL, holm, independent, mean_ranks, one_sided_p_value
from nasrun.report.trials import Problem, Trials
from nasrun.spec import Metric
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


@dataclass(frozen=True)
class Verdict:
    """What the trials say on a claim about one problem.

    ``difference`` says by how much the mean of the ``better`` algorithm is better, in the unit of
    the ``metric``; ``units`` counts the independent differences behind ``p_value``: agents, or
    trials where nobody has agents.
    """

    problem: Problem
    better: str
    worse: str
    metric: Metric
    difference: float
    units: int
    by_agent: bool
    p_value: float
    p_holm: float = float("nan")

    @property
    def unit(self) -> str:
        """What the units are."""
        return "agents" if self.by_agent else "trials"


def judge(
    problems: Mapping[Problem, Trials], claims: Sequence[Claim], meta: Mapping[Search, MetaCost]
) -> list[Verdict]:
    """Verdicts by claim, then problem; claims on algorithms that did not run are left out.

    Trials of one agent are not independent: they share whatever its meta-training came to. So the
    unit is the agent, whose trials are averaged, and the other algorithm's trials with the same
    seeds beside them. Holm's correction covers all verdicts.
    """
    verdicts = [
        _verdict(problem, trials, claim, meta)
        for claim in claims
        for problem, trials in problems.items()
        if {claim.better, claim.worse} <= set(trials.algorithms)
    ]
    adjusted = holm(np.array([verdict.p_value for verdict in verdicts]))
    return [replace(v, p_holm=float(p)) for v, p in zip(verdicts, adjusted, strict=True)]


def _verdict(
    problem: Problem, trials: Trials, claim: Claim, meta: Mapping[Search, MetaCost]
) -> Verdict:
    better, worse = (
        trials.oriented[trials.algorithms.index(name)] for name in (claim.better, claim.worse)
    )
    differences = better - worse
    agents = agents_in_common(
        meta.get(Search(problem.space, problem.search_task, name))
        for name in (claim.better, claim.worse)
    )
    units = independent(differences, trials.seeds, agents)
    units = units[~np.isnan(units)]
    mean = float(units.mean()) if len(units) else float("nan")
    return Verdict(
        problem, claim.better, claim.worse, trials.metric, mean, len(units), bool(agents),
        one_sided_p_value(units),
    )  # fmt: skip
