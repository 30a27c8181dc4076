"""The tables of a report as headers and cells, whatever they are printed in, and its notes."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from nasrun.report.aggregate import Estimate
from nasrun.report.compare import Line, Published, Total
from nasrun.report.content import Content, Winner, missing_last
from nasrun.report.groups import GroupRanks
from nasrun.report.layout import paper
from nasrun.report.overview import Overview
from nasrun.report.schema import BEST, FIGURES, SCORES, Column, Figure, Report
from nasrun.report.sheet import Sheet, number, p_text, spread
from nasrun.report.stats import Share, Summary
from nasrun.spec import Metric

CLAIM_HEADERS = ["claim", "task", "better by", "units", "p", "p (Holm)"]
MATRIX_LIMIT = 12  # algorithms; a larger square fits no page, and stands in the CSV file alone


def headers(report: Report, metric: Metric | None) -> list[str]:
    """Headers of the shown columns, that of the methods first; None: the metric varies."""
    against = "best" if report.against == BEST else report.against
    varying = f"{SCORES[report.figure]} score" if report.figure in SCORES else report.figure
    names = {
        Column.trials: "trials",
        Column.score: metric.title if metric else varying,
        Column.interval: "95% CI of the mean",
        Column.table_rank: "table rank",
        Column.regret: "regret",
        Column.mean_rank: "mean rank",
        Column.p_value: f"p vs {against}",
        Column.improvement: f"probability of improvement over {against}",
        Column.published: "published",
        Column.difference: "difference",
        Column.difference_se: "difference / SE",
        Column.within: f"within {report.tolerance}",
        Column.first: f"first {report.first} seeds",
        Column.best: "finds the best, %",
        Column.top3: "finds a top 3, %",
        Column.top10: "finds a top 10, %",
        Column.latency: FIGURES["latency_ms"].title,
        Column.met: "meets the budget, %",
        Column.hypervolume: "hypervolume",
        Column.hours: "simulated GPU hours",
        Column.published_hours: "published GPU hours",
        Column.meta_hours: "meta-training GPU hours",
    }
    return ["method", *(names[column] for column in report.columns)]


def shown(line: Line, report: Report) -> list[str]:
    """Cells of a line; empty where there is nothing to say."""
    return [_SHOW[column](line, report) for column in report.columns]


def sheets(content: Content) -> Iterator[Sheet]:
    """The paper's table, one per task, all tasks, the claims, the statistics over all tasks."""
    if (table := paper(content)) is not None:
        yield table
    for problem, lines in content.sections():
        rows = [[content.label(line.algorithm), *shown(line, content.report)] for line in lines]
        yield Sheet(content.name(problem), headers(content.report, lines[0].metric), rows)
    if rows := overall(content):
        kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
        names = headers(content.report, content.metric)
        yield Sheet("All tasks", [names[i] for i in kept], [[row[i] for i in kept] for row in rows])
    if content.group_ranks:
        yield _by_space(content, content.group_ranks)
    if content.verdicts:
        yield Sheet("Claims", CLAIM_HEADERS, claim_cells(content), texts=2)
    if content.overview is not None:
        yield from _statistics(content, content.overview)


def overall(content: Content) -> list[list[str]]:
    """Cells of the lines on all tasks, best mean rank first; none without such columns."""
    by_rank = sorted(content.totals.items(), key=lambda item: missing_last(item[1].mean_rank))
    lines = [(name, _total(total, content.report)) for name, total in by_rank]
    return [[content.label(name), *cells] for name, cells in lines if any(cells)]


def _total(total: Total, report: Report) -> list[str]:
    """Cells of an algorithm's line on all tasks; all empty if no shown column has a total."""
    cells = {
        Column.regret: number(total.regret, 2),
        Column.mean_rank: number(total.mean_rank, 2),
        Column.hours: number(total.hours, 1),
        Column.published_hours: number(total.published_hours, 2),
        Column.meta_hours: number(total.meta_hours, 1),
    }
    return [cells.get(column, "") for column in report.columns]


def claim_cells(content: Content) -> list[list[str]]:
    """Cells below ``CLAIM_HEADERS``."""
    return [
        [
            f"{content.label(verdict.better)} > {content.label(verdict.worse)}",
            content.name(verdict.problem),
            number(verdict.difference, verdict.metric.decimals, "+"),
            f"{verdict.units} {verdict.unit}",
            p_text(verdict.p_value),
            p_text(verdict.p_holm),
        ]
        for verdict in content.verdicts
    ]


def estimate(found: Estimate | None) -> str:
    """``0.71 [0.69, 0.73]``; empty for None."""
    if found is None or np.isnan(found.value):
        return ""
    value, low, high = (number(x, 2) for x in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _spread(line: Line, found: Summary | Published | None) -> str:
    return spread(found.mean, found.std, line.metric.decimals) if found else ""


def _of(found: Summary | None, decimals: int) -> str:
    return spread(found.mean, found.std, decimals) if found else ""


def _interval(line: Line, _: Report) -> str:
    if line.summary is None or np.isnan(line.summary.ci_low):
        return ""
    ends = (line.summary.ci_low, line.summary.ci_high)
    return f"[{', '.join(number(end, line.metric.decimals) for end in ends)}]"


def _share(share: Share) -> str:
    """Percent of the trials, and in brackets the least and most successful agent's."""
    if np.isnan(share.share):
        return ""
    percent = "100" if share.share == 1 else f"{100 * share.share:.1f}"
    if np.isnan(share.agent_min):
        return percent
    return f"{percent} [{100 * share.agent_min:.0f}–{100 * share.agent_max:.0f}]"


_SHOW: Mapping[Column, Callable[[Line, Report], str]] = {
    Column.trials: lambda line, _: str(line.summary.n) if line.summary else "",
    Column.score: lambda line, _: _spread(line, line.summary),
    Column.interval: _interval,
    Column.table_rank: lambda line, _: number(line.table_rank, 0),
    Column.regret: lambda line, _: number(line.regret, 2),
    Column.mean_rank: lambda line, _: number(line.mean_rank, 2),
    Column.p_value: lambda line, _: p_text(line.p_holm),
    Column.improvement: lambda line, _: number(line.improvement, 2),
    Column.published: lambda line, _: _spread(line, line.published),
    Column.difference: lambda line, _: number(line.difference, line.metric.decimals, "+"),
    Column.difference_se: lambda line, _: number(line.difference_se, 1, "+"),
    Column.within: lambda line, report: {True: "yes", False: "no", None: ""}[
        line.within(report.tolerance)
    ],
    Column.first: lambda line, _: _spread(line, line.first),
    Column.best: lambda line, _: _share(line.shares[0]),
    Column.top3: lambda line, _: _share(line.shares[1]),
    Column.top10: lambda line, _: _share(line.shares[2]),
    Column.latency: lambda line, _: _of(line.latency, FIGURES["latency_ms"].decimals),
    Column.met: lambda line, _: number(100 * line.met, 1),
    Column.hypervolume: lambda line, _: _of(line.hypervolume, FIGURES["hypervolume"].decimals),
    Column.hours: lambda line, _: number(line.hours, 1),
    Column.published_hours: lambda line, _: number(line.published_hours, 2),
    Column.meta_hours: lambda line, _: number(line.meta.agent_h if line.meta else np.nan, 1),
}


def _statistics(content: Content, found: Overview) -> Iterator[Sheet]:
    names = ["method", "mean score", "interquartile mean", "average rank"]
    order = found.by_rank()
    labels = [content.label(found.algorithms[i]) for i in order]
    rows = [
        [
            label, estimate(found.mean[i]), estimate(found.iqm[i]),
            number(float(found.ranking.ranks[i]), 2), estimate(found.against[i]),
        ]
        for label, i in zip(labels, order, strict=True)
    ]  # fmt: skip
    rival = f"probability of improvement over {content.label(found.rival)}"
    yield Sheet("Statistics", [*names, rival], rows)
    if len(order) <= MATRIX_LIMIT:
        better, p_holm = found.better[np.ix_(order, order)], found.p_holm[np.ix_(order, order)]
        chances = [[number(chance, 2) for chance in row] for row in better]
        p_values = [[p_text(p) for p in row] for row in p_holm]
        yield _square("Probability of improvement of the row over the column", labels, chances)
        yield _square("Paired tests, p (Holm)", labels, p_values)


def _by_space(content: Content, found: GroupRanks) -> Sheet:
    """Ranks averaged within a space first, with published ones beside them."""
    columns = [
        (f"{space}, {tasks} tasks", [number(rank, 2) for rank in found.by_space[:, at].tolist()])
        for at, (space, tasks) in enumerate(zip(found.spaces, found.tasks.tolist(), strict=True))
    ]
    columns.append(("all spaces", [estimate(each) for each in found.overall]))
    for each in found.comparisons:
        among = f"{', '.join(each.spaces)}, {len(each.ours)} methods alone"
        for title, ranks in (
            (among, each.ours), ("their published order", each.theirs),
            (f"published rank, {each.name}", each.printed),
        ):  # fmt: skip
            columns.append((title, [number(ranks.get(n, np.nan), 2) for n in found.algorithms]))
    rows = [
        [content.label(found.algorithms[i]), *(cells[i] for _, cells in columns)]
        for i in found.by_rank()
    ]
    return Sheet("Ranks by space", ["method", *(title for title, _ in columns)], rows)


def _group_notes(found: GroupRanks) -> Iterator[str]:
    yield (
        f"ranks by space: of the mean over {found.units} seeds or agents on each task, averaged "
        f"within a space and then over {len(found.spaces)} spaces (Mehta et al., ICLR 2022); in "
        "brackets 95% bootstrap intervals; ranks that lie less than "
        f"{found.critical_difference:.2f} apart do not differ at the 5% level (Nemenyi, counting "
        f"{int(found.tasks.sum())} tasks)"
    )
    for each in found.comparisons:
        yield (
            f"published ranks of {each.name} are among other methods, too, and on other tasks: "
            "beside ours stands the order of the methods that both have, and nothing is claimed "
            f"on the rest ({each.source})"
        )


def _square(title: str, labels: list[str], cells: list[list[str]]) -> Sheet:
    rows = [[label, *row] for label, row in zip(labels, cells, strict=True)]
    return Sheet(title, ["method", *labels], rows)


def described(winner: Winner, content: Content) -> list[str]:
    """What to print beside the drawing of a winner."""
    metrics = {problem: content.problems[problem].metric for problem in winner.figures}
    decimals = max(metric.decimals for metric in metrics.values())
    reward = number(winner.reward, decimals)
    lines = [f"reward of the search {reward}"] if reward else []
    for problem, figure in winner.figures.items():
        if shown_figure := number(figure, metrics[problem].decimals):
            rank = number(winner.table_rank[problem], 0)
            place = f", rank {rank} in the table" if rank else ""
            lines.append(f"{problem.task}: {metrics[problem].title} {shown_figure}{place}")
    counts = ", ".join(f"{content.label(name)} {count}" for name, count in winner.found.items())
    return [*lines, f"trials that ended here: {counts}"]


def _absent(content: Content) -> list[str]:
    """Algorithms that are to be compared with others, and have no trials."""
    report = content.report
    rivals = [report.against] if report.against not in (None, BEST) else []
    claimed = [name for claim in report.claims for name in (claim.better, claim.worse)]
    played = content.played()
    return [name for name in dict.fromkeys([*rivals, *claimed]) if name and name not in played]


def notes(content: Content) -> list[str]:
    """What a reader must know: the protocol, the tests, the sources, the report's own remarks."""
    report, columns = content.report, set(content.report.columns)
    found = ["; ".join(content.protocol), *report.notes]
    found += [
        f"{content.name(problem)}: lower is better ({trials.metric.title})"
        for problem, trials in content.problems.items()
        if not trials.metric.higher_is_better
    ]
    lacking = [content.name(each) for each, own in content.problems.items() if not own.known()]
    if len(lacking) == len(content.problems):
        found.append(f"the tables at hand have no {report.figure}, so its cells are empty")
    elif lacking:
        found.append(f"no trial has a {report.figure} on {', '.join(lacking)}: its cells are empty")
    if Column.regret in columns:
        found.append(
            "regret: mean, where 0 is the best figure of any trial on the task and 1 the mean of "
            "its weakest method"
        )
    if Column.mean_rank in columns:
        found.append("mean rank: among these methods, seed by seed; 1 is best")
    trained = any(line.meta for line in content.lines)
    if Column.interval in columns and trained:
        found.append(
            "95% CI of the mean: where agents were meta-trained, it draws agents with all of their "
            "trials"
        )
    rival = "the best of each task" if report.against == BEST else report.against
    if absent := _absent(content):
        found.append(
            f"no trials of {', '.join(absent)}, which report.against or report.claims names: what "
            "they would be compared with is left out"
        )
    if report.against in absent:
        columns -= {Column.p_value, Column.improvement}  # which are empty
    if Column.p_value in columns:
        found.append(
            f"p: Wilcoxon's signed-rank test against {rival}, paired by seed, Holm-adjusted over "
            "the whole report"
        )
        if trained:
            found.append("p: trials of one meta-trained agent count once, as their mean")
    if Column.improvement in columns:
        found.append(
            f"probability of improvement: that a trial beats one of {rival}, equals counting half"
        )
    if any(trials.weighed for trials in content.problems.values()):
        found.append(
            "ranks and statistics over all tasks: by the reward of score and latency, which is "
            "what these searches were for"
        )
    if Column.met in columns:
        found.append(
            "meets the budget: share of trials whose architecture is no slower than "
            "hardware.limit_ms, or without one the target of the reward, a median where "
            "hardware.target_ms is not set"
        )
    if Column.hypervolume in columns:
        found.append(
            "hypervolume: what a trial's front of score and latency covers, from the metric's "
            "worst value and the slowest known network; where there are none, from a tenth of the "
            "range beyond the worst on any front here; a trial without a front covers 0"
        )
    found += [f"not complete: {gap}" for gap in content.gaps]
    spread = any(not np.isnan(s.agent_min) for line in content.lines for s in line.shares)
    if spread and {Column.best, Column.top3, Column.top10} & columns:
        found.append("in brackets: the least and the most successful meta-trained agent")
    if content.verdicts:
        found.append(
            "claims: one-sided sign-flip test of the mean difference, Holm-adjusted over all "
            "claims; trials of one meta-trained agent count as one unit, paired by seed"
        )
    if Figure.anytime in report.figures:
        found.append(
            "bands of anytime performance: 95% bootstrap intervals of the mean over trials"
            + (", or over meta-trained agents with all of their trials" if trained else "")
        )
    costs_h = {
        content.searched(line.problem.space, line.problem.search_task): line.meta.agent_h
        for line in content.lines
        if line.meta and not np.isnan(line.meta.agent_h)
    }
    if costs_h:
        costs = ", ".join(f"{hours:.0f} h for {task}" for task, hours in costs_h.items())
        found.append(f"meta-training cost each agent, before its searches, {costs}")
    sources = dict.fromkeys(line.published.source for line in content.lines if line.published)
    return [*found, *(f"published: {source}" for source in sources)]


def statistics_notes(content: Content) -> list[str]:
    """What the statistics over all tasks mean; none where there are none."""
    grouped = list(_group_notes(content.group_ranks)) if content.group_ranks else []
    found = content.overview
    if found is None:
        return grouped
    tasks = "1 task" if found.tasks == 1 else f"{found.tasks} tasks"
    if found.tasks < (count := len(content.problems)):
        tasks = f"{found.tasks} of {count} tasks, on which all methods have figures"
    ranking = found.ranking
    p_value = p_text(ranking.friedman_p)
    friedman = f"; Friedman's test: p {p_value}" if p_value else ""
    unit = "meta-trained agents" if found.by_agent else "seeds"
    others = ", seed by seed between methods without agents" if found.by_agent else ""
    return [
        *grouped,
        f"statistics: {found.trials:,} trials of each method on {tasks}; a score of 0 is the mean "
        "of the task's weakest method, 1 the best figure of any trial; in brackets 95% bootstrap "
        f"intervals that draw {unit}, the same on all tasks and for all methods; after Agarwal et "
        "al. (NeurIPS 2021)",
        f"paired tests: Wilcoxon's signed-rank test of the mean scores of {ranking.blocks} {unit} "
        f"over the tasks{others}, Holm-adjusted over all pairs",
        f"average ranks that lie less than {ranking.critical_difference:.2f} apart do not differ "
        f"at the 5% level (Nemenyi's test after Demšar, JMLR 2006, counting {unit}){friedman}",
    ]
