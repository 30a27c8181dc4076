"""One-sided tests of "this algorithm is better than that one", with agents as the unit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasrun.report.jobs import MetaCost, Search
from nasrun.report.schema import Claim
from nasrun.report.shares import block_means
from nasrun.report.stats import holm, one_sided_p_value
from nasrun.report.trials import Problem, Trials


@dataclass(frozen=True)
class Verdict:
    """What the trials say on a claim about one problem.

    ``difference`` is the mean of the better algorithm minus that of the worse one; ``units`` counts
    the independent differences behind ``p_value``: agents, or trials where nobody has agents.
    """

    problem: Problem
    better: str
    worse: str
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
        trials.figures[trials.algorithms.index(name)] for name in (claim.better, claim.worse)
    )
    differences = better - worse
    searches = [
        Search(problem.space, problem.search_task, name) for name in (claim.better, claim.worse)
    ]
    agents = [meta[search].agents for search in searches if search in meta]
    # Where both have agents, but not as many, only blocks that share no agent are independent.
    units = block_means(differences, trials.seeds, math.gcd(*agents)) if agents else differences
    units = units[~np.isnan(units)]
    mean = float(units.mean()) if len(units) else float("nan")
    return Verdict(
        problem, claim.better, claim.worse, mean, len(units), bool(agents),
        one_sided_p_value(units),
    )  # fmt: skip
