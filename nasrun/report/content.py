"""What a report says, before it is a table, a page or a figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from nasrun.report.canvas import GREY
from nasrun.report.claims import Verdict
from nasrun.report.columns import Total, p_text, shown_total
from nasrun.report.compare import Line
from nasrun.report.overview import Overview
from nasrun.report.schema import BEST, Column, Figure, Report
from nasrun.report.trials import Problem, Trials
from nasrun.report.winners import Winner

BASELINE = "random"


@dataclass(frozen=True)
class Content:
    """All that a report says: its node, trials, lines, figures over all tasks, protocol, claims.

    ``overview`` has the statistics over all tasks; None where there is one algorithm.
    """

    report: Report
    problems: Mapping[Problem, Trials]
    lines: Sequence[Line]
    totals: Mapping[str, Total]
    protocol: Sequence[str]
    verdicts: Sequence[Verdict] = ()
    overview: Overview | None = None
    winners: Sequence[Winner] = ()

    def label(self, algorithm: str) -> str:
        """The name to show."""
        return self.report.labels.get(algorithm, algorithm)

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
        return sorted(self.played(), key=lambda name: _missing_last(self.totals[name].mean_rank))

    def sections(self) -> Iterator[tuple[str, list[Line]]]:
        """Lines by problem; in the order of the report's labels, or else the best mean first."""
        order = {name: place for place, name in enumerate(self.report.labels)}
        for problem, group in groupby(self.lines, key=lambda line: line.problem):
            lines = list(group)
            if order:
                lines.sort(key=lambda line: order.get(line.algorithm, len(order)))
            else:
                lines.sort(key=lambda line: -(line.summary.mean if line.summary else -np.inf))
            yield str(problem), lines

    def overall(self) -> list[list[str]]:
        """Cells of the lines on all tasks, best mean rank first; none without such columns."""
        by_rank = sorted(self.totals.items(), key=lambda item: _missing_last(item[1].mean_rank))
        lines = [(name, shown_total(total, self.report)) for name, total in by_rank]
        return [[self.label(name), *cells] for name, cells in lines if any(cells)]


def _missing_last(rank: float) -> float:
    return np.inf if np.isnan(rank) else rank


def notes(content: Content) -> list[str]:
    """What a reader must know: the protocol, the tests, the sources, the report's own remarks."""
    report = content.report
    found = ["; ".join(content.protocol), *report.notes]
    if all(line.summary is None for line in content.lines):
        found.append(f"the tables at hand have no {report.metric}, so its cells are empty")
    if Column.mean_rank in report.columns:
        found.append("mean rank: among these methods, seed by seed; 1 is best")
    rival = "the best of each task" if report.against == BEST else report.against
    if Column.p_value in report.columns:
        found.append(
            f"p: Wilcoxon's signed-rank test against {rival}, paired by seed, Holm-adjusted over "
            "the whole report"
        )
        if any(line.meta for line in content.lines):
            found.append("p counts trials, though those of one meta-trained agent are alike")
    if Column.win in report.columns:
        found.append(f"win: probability that a trial beats one of {rival}")
    spread = any(not np.isnan(s.agent_min) for line in content.lines for s in line.shares)
    if spread and {Column.best, Column.top3, Column.top10} & set(report.columns):
        found.append("in brackets: the least and the most successful meta-trained agent")
    if content.verdicts:
        found.append(
            "claims: one-sided sign-flip test of the mean difference, Holm-adjusted over all "
            "claims; trials of one meta-trained agent count as one unit, paired by seed"
        )
    if Figure.anytime in report.figures:
        found.append("bands of the anytime figure: 95% bootstrap intervals of the mean over trials")
    trained = {str(line.problem.search_task): line.meta for line in content.lines if line.meta}
    if trained:
        costs = ", ".join(f"{meta.agent_h:.0f} h for {task}" for task, meta in trained.items())
        found.append(f"meta-training cost each agent, before its searches, {costs}")
    sources = dict.fromkeys(line.published.source for line in content.lines if line.published)
    return [*found, *(f"published: {source}" for source in sources)]


def statistics_notes(content: Content) -> list[str]:
    """What the statistics over all tasks mean; none where there are none."""
    found = content.overview
    if found is None:
        return []
    tasks = "1 task" if found.tasks == 1 else f"{found.tasks} tasks"
    ranking = found.ranking
    p_value = p_text(ranking.friedman_p)
    friedman = f"; Friedman's test: p {p_value}" if p_value else ""
    unit = "meta-trained agents" if found.by_agent else "seeds"
    others = ", seed by seed between methods without agents" if found.by_agent else ""
    return [
        f"statistics: {found.trials:,} trials of each method on {tasks}; a score of 0 is the mean "
        "of the task's weakest method, 1 the best figure of any trial; in brackets 95% bootstrap "
        f"intervals that draw {unit}, the same on all tasks and for all methods; after Agarwal et "
        "al. (NeurIPS 2021)",
        f"paired tests: Wilcoxon's signed-rank test of the mean scores of {ranking.blocks} {unit} "
        f"over the tasks{others}, Holm-adjusted over all pairs",
        f"average ranks that lie less than {ranking.critical_difference:.2f} apart do not differ "
        f"at the 5% level (Nemenyi's test after Demšar, JMLR 2006, counting {unit}){friedman}",
    ]
