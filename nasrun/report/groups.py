"""Ranks over several spaces, averaged within a space first, and published ones beside them.

Mehta et al., "NAS-Bench-Suite: NAS Evaluation is (Now) Surprisingly Easy" (ICLR 2022): on each task
methods are ranked by the mean of what they found, and a space of seven tasks weighs no more than
one of three. Published ranks are among other methods on other tasks. What can be compared is the
order of the methods that both have, on the spaces that a printed group is made of.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.aggregate import Estimate, Scores, complete_scores, interval, resamples
from nasrun.report.compare import read_published
from nasrun.report.overview import critical_difference
from nasrun.report.schema import Report
from nasrun.report.trials import Problem, Trials
from nasrun.streams import Floats, Ints

FIGURE = "average_rank"  # of the files in nasrun/report/published that hold such ranks


@dataclass(frozen=True)
class Comparison:
    """Published ranks of a printed group, and the order on ours of those methods that both have.

    By algorithm: the ``printed`` rank, the place by it among the methods of both (``theirs``), and
    our rank among these alone on ``spaces`` (``ours``); methods that one lacks are left out.
    """

    name: str
    spaces: tuple[str, ...]
    printed: Mapping[str, float]
    theirs: Mapping[str, float]
    ours: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class GroupRanks:
    """Ranks of ``a`` algorithms, 1 is best, by space and over all of ``g`` spaces.

    ``tasks (g,)`` counts those of each space, ``by_space (a, g)`` has the mean ranks on them, and
    ``overall`` their means with 95% bootstrap intervals, whose resamples draw ``units``: the same
    seeds (or meta-trained agents) for all tasks. Mean ranks that lie less than
    ``critical_difference`` apart do not differ at the 5% level (Nemenyi), tasks being the blocks.
    """

    algorithms: tuple[str, ...]
    spaces: tuple[str, ...]
    tasks: Ints
    by_space: Floats
    overall: list[Estimate]
    units: int
    critical_difference: float
    comparisons: tuple[Comparison, ...] = ()

    def by_rank(self) -> list[int]:
        """Places of the algorithms in ascending overall rank."""
        return [int(at) for at in np.argsort([e.value for e in self.overall], kind="stable")]


def group_ranks(
    problems: Mapping[Problem, Trials], report: Report, agents: int | None = None
) -> GroupRanks | None:
    """The ranks; None without two algorithms that have two complete units on a task.

    Args:
        problems: the trials.
        report: says which published ranks stand beside them.
        agents: trials whose seeds agree modulo so many count as one unit.

    Raises:
        DataError: no such file of published ranks, or it cannot be read.
    """
    complete = complete_scores(problems, agents)
    if complete is None:
        return None
    spaces = tuple(dict.fromkeys(problem.space for problem in complete.problems))
    own = np.array([spaces.index(problem.space) for problem in complete.problems])
    ranks = _ranks([task.mean(axis=1) for task in complete.figures])
    resampled = [
        _over(
            _ranks(
                [
                    drawn @ task.T / drawn.sum(axis=1, keepdims=True)
                    for task, drawn in zip(complete.figures, counts, strict=True)
                ]
            ),
            own,
        ).mean(axis=0)
        for counts in resamples(complete.units)
    ]
    by_space = _over(ranks, own)
    low, high = interval(np.concatenate(resampled))
    triples = zip(by_space.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return GroupRanks(
        complete.algorithms,
        spaces,
        np.bincount(own),
        by_space.T,
        [Estimate(*triple) for triple in triples],
        len(np.unique(np.concatenate(complete.units))),
        critical_difference(len(complete.algorithms), len(own)),
        tuple(_comparisons(complete, report)),
    )


def _ranks(means: Sequence[Floats]) -> Floats:
    """``(tasks, ..., a)`` ranks of means ``(..., a)`` by task; equals share the mean of theirs."""
    from scipy.stats import rankdata

    return rankdata(-np.stack(means), axis=-1)


def _over(ranks: Floats, spaces: Ints) -> Floats:
    """``(g, ..., a)`` means of ranks ``(tasks, ..., a)`` over the tasks of each space."""
    return np.stack([ranks[spaces == at].mean(axis=0) for at in range(spaces.max() + 1)])


def _comparisons(complete: Scores, report: Report) -> Iterator[Comparison]:
    if report.published_ranks is None:
        return
    published = read_published(report.published_ranks, FIGURE, "report.published_ranks")
    for name, spaces in report.comparable.items():
        printed = {key[0]: found for key, found in published.items() if key[1] == name}
        aliases = {own: report.published_names.get(own, own) for own in complete.algorithms}
        both = [own for own in complete.algorithms if aliases[own] in printed]
        tasks = [
            figures[[complete.algorithms.index(own) for own in both]].mean(axis=1)
            for figures, problem in zip(complete.figures, complete.problems, strict=True)
            if problem.space in spaces
        ]
        if len(both) < 2 or not tasks:
            continue
        means = np.array([printed[aliases[own]].mean for own in both])
        yield Comparison(
            name,
            tuple(s for s in spaces if s in {problem.space for problem in complete.problems}),
            dict(zip(both, means.tolist(), strict=True)),
            dict(zip(both, _ranks([-means])[0].tolist(), strict=True)),
            dict(zip(both, _ranks(tasks).mean(axis=0).tolist(), strict=True)),
            next(iter(printed.values())).source,
        )
