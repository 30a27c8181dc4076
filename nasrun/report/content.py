"""What a report says, before it is a table, a page or a figure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.compare import Line, Total
from nasrun.report.groups import GroupRanks
from nasrun.report.jobs import Curve, Curves, Job, Search
from nasrun.report.overview import Overview, Verdict
from nasrun.report.schema import Report
from nasrun.report.sheet import plain
from nasrun.report.trials import OWN_SPACE, PROBLEM, Problem, Trials, names_by_space
from nasrun.spec import Edges, Metric

if TYPE_CHECKING:
    from pandas import DataFrame

    from nasrun.report.policy import Preferences
    from nasrun.report.tradeoff import Scatter

BASELINE = "random"
GREY = 8  # the place of grey among the colours of the figures
EdgesOf = Callable[[Path, str], Edges | None]  # a job's folder and an architecture's text -> cell


@dataclass(frozen=True)
class Winner:
    """The architecture of the highest reward on a searched task; the commonest among equals.

    ``found`` counts the trials of each algorithm that ended at it, ``figures`` has the report's
    figure by problem, ``table_rank`` its rank in the benchmark table there; NaN where unknown.
    """

    space: str
    search_task: str
    arch: str
    reward: float
    found: Mapping[str, int]
    figures: Mapping[Problem, float]
    table_rank: Mapping[Problem, float]


@dataclass(frozen=True)
class Content:
    """All that a report says: its node, trials, lines, figures over all tasks, protocol, claims.

    ``overview`` has the statistics over all tasks; None where there is one algorithm. ``curves``
    are those of the searches whose jobs are at hand. ``gaps`` names trials that some methods lack.
    ``scatters``: score against latency; ``policies``: what was preferred in the end; ``clock``:
    what hours are.
    """

    report: Report
    problems: Mapping[Problem, Trials]
    lines: Sequence[Line]
    totals: Mapping[str, Total]
    protocol: Sequence[str]
    verdicts: Sequence[Verdict] = ()
    overview: Overview | None = None
    winners: Sequence[Winner] = ()
    curves: Curves = field(default_factory=dict)
    gaps: Sequence[str] = ()
    scatters: Sequence["Scatter"] = ()
    policies: Mapping[Search, "Preferences"] = field(default_factory=dict)
    clock: str = "simulated GPU hours"
    group_ranks: GroupRanks | None = None

    @property
    def title(self) -> str:
        """The report's title."""
        return plain(self.report.title or self.report.name)

    def name(self, problem: Problem) -> str:
        """What to call a problem, with its space where another one has a task of the same name."""
        names = names_by_space((each.space, str(each)) for each in self.problems)
        return names.get((problem.space, str(problem)), str(problem))

    def searched(self, space: str, search_task: str) -> str:
        """What to call a searched task, with its space where another one has one of its name."""
        names = names_by_space((each.space, each.search_task) for each in self.problems)
        return names.get((space, search_task), search_task)

    def label(self, algorithm: str) -> str:
        """The name to show."""
        return plain(self.report.labels.get(algorithm, algorithm))

    @property
    def metric(self) -> Metric | None:
        """What the report's figures are on all tasks; None where tasks differ in it."""
        found = {trials.metric for trials in self.problems.values()}
        return found.pop() if len(found) == 1 else None

    def place(self, algorithm: str) -> int:
        """Which colour is its own in all figures; random search, the yardstick, is always grey."""
        if algorithm == BASELINE:
            return GREY
        others = [name for name in self.played() if name != BASELINE]
        place = others.index(algorithm)
        return place + place // GREY  # skips grey

    def played(self) -> list[str]:
        """Algorithms with trials; a report may list others."""
        return list(
            dict.fromkeys(name for t in self.problems.values() for name in t.algorithms)
        )  # fmt: skip

    def by_rank(self) -> list[str]:
        """Algorithms with trials, best overall mean rank first, the unranked last."""
        return sorted(self.played(), key=lambda name: missing_last(self.totals[name].mean_rank))

    def sections(self) -> Iterator[tuple[Problem, list[Line]]]:
        """Lines by problem; in the order of the report's labels, or else the best mean first."""
        order = {name: place for place, name in enumerate(self.report.labels)}
        for problem, group in groupby(self.lines, key=lambda line: line.problem):
            lines = list(group)
            if order:
                lines.sort(key=lambda line: order.get(line.algorithm, len(order)))
            else:
                lines.sort(key=_worse)
            yield problem, lines

    def searches(self) -> dict[str, dict[str, tuple[Curve, Curve]]]:
        """Curves by name of the searched task and algorithm; scored tasks share a search's."""
        found: dict[str, dict[str, tuple[Curve, Curve]]] = {}
        for problem, trials in self.problems.items():
            own = found.setdefault(self.searched(problem.space, problem.search_task), {})
            for name in trials.algorithms:
                search = Search(problem.space, problem.search_task, name)
                if search in self.curves:
                    own[name] = self.curves[search]
        return found

    def published_means(self, problem: Problem) -> dict[str, float]:
        """Published means of the algorithms that have trials on a problem."""
        names = self.problems[problem].algorithms
        lines = [line for line in self.lines if line.problem == problem]
        return {
            line.algorithm: line.published.mean
            for line in lines
            if line.published and line.algorithm in names
        }


def missing_last(rank: float) -> float:
    """The rank as a key to sort by."""
    return np.inf if np.isnan(rank) else rank


def _worse(line: Line) -> float:
    mean = np.nan if line.summary is None else line.summary.mean
    return missing_last(-float(line.metric.oriented(np.array(mean))))


def find_winners(
    frame: "DataFrame", problems: Mapping[Problem, Trials], figure: str
) -> list[Winner]:
    """A winner per searched task, judged by the reward, which is all that a search sees.

    Where no reward is known, the figure of the report decides. Tasks where neither is known, and
    trials whose architecture is not recorded, have no winner.
    """
    winners: list[Winner] = []
    for _, rows in frame.groupby(["space", "search_task"], sort=False):
        metric = problems[Problem.of(rows.iloc[0])].metric
        reward = rows["reward"].to_numpy(np.float64)
        figures = metric.oriented(rows[figure].to_numpy(np.float64))
        judged = np.where(np.isnan(reward), figures, reward)
        best = rows[(judged == np.fmax.reduce(judged)) & (rows["arch"] != "")]
        counts = Counter(best["arch"])
        if counts:
            winners.append(_winner(best.loc[best["arch"] == counts.most_common(1)[0][0]], figure))
    return winners


def _winner(rows: "DataFrame", figure: str) -> Winner:
    """The winner from the rows that hold it: one a trial and scored task."""
    first = rows.iloc[0]
    space = str(first.get(OWN_SPACE, first["space"]))
    trials = rows[~rows.duplicated(["algorithm", "seed"])]
    tasks = rows[~rows.duplicated(PROBLEM)]
    columns = (tasks[column].astype(str) for column in PROBLEM)
    problems = [Problem(*names) for names in zip(*columns, strict=True)]
    return Winner(
        space, str(first["search_task"]), str(first["arch"]), float(first["reward"]),
        dict(Counter(trials["algorithm"]).most_common()),
        dict(zip(problems, tasks[figure].astype(float), strict=True)),
        dict(zip(problems, tasks["rank"].astype(float), strict=True)),
    )  # fmt: skip


def winner_edges(winner: Winner, jobs: Sequence[Job], edges: EdgesOf | None) -> Edges | None:
    """The winner's cell, by the config of a job that searched there; None where none is at hand."""
    if edges is None:
        return None
    own = (
        job
        for job in jobs
        if (job.search.space, job.search.search_task) == (winner.space, winner.search_task)
    )
    job = next(own, None)
    return None if job is None else edges(job.folder, winner.arch)
