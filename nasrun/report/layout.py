"""The table of a paper: methods by rows, tasks by columns, the best in bold, tests as marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.content import Content
from nasrun.report.jobs import agents_in_common
from nasrun.report.schema import FIGURES, measure
from nasrun.report.sheet import Sheet, spread
from nasrun.report.stats import LEVEL, holm, independent, signed_rank_p_value
from nasrun.report.trials import Problem, Trials
from nasrun.spec import Metric
from nasrun.streams import Floats

NOT_WORSE = "†"  # beside a mean that the test cannot tell from the best one
# Beside one that is worse in every pair, which are too few for the correction: ten agents have at
# least p = 1/512, fifty comparisons later 0.1.
TOO_FEW = "‡"
TITLE = "Methods by task"


@dataclass(frozen=True)
class PaperColumn:
    """One figure on one problem: ``figures (a, n)`` of the algorithms, NaN where unknown."""

    problem: Problem
    metric: Metric
    algorithms: tuple[str, ...]
    figures: Floats

    def best(self) -> int | None:
        """The algorithm of the best mean; None where fewer than two have figures."""
        means = self.metric.oriented(np.array([_mean(own) for own in self.figures]))
        return int(np.nanargmax(means)) if (~np.isnan(means)).sum() > 1 else None


def paper(content: Content) -> Sheet | None:
    """The table; None where it would hold a single figure.

    In every column the best mean is bold, and those that Wilcoxon's signed-rank test cannot tell
    from it are marked; where a device weighed in the search, latency and reward stand beside the
    report's figure.
    """
    columns = list(_columns(content))
    methods = _methods(content)
    if len(methods) * len(columns) < 2:
        return None
    marks = _marks(content, columns)
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for name in methods:
        cells = [content.label(name)]
        for number, column in enumerate(columns, start=1):
            place = column.algorithms.index(name)
            if column.best() == place:
                bold.add((len(rows), number))
            cells.append(_cell(column, place) + marks.get((number - 1, place), ""))
        rows.append(cells)
    several = len({column.metric.title for column in columns}) > 1
    heads = [
        f"{name}, {column.metric.title}" if several else name
        for column in columns
        for name in [content.name(column.problem)]
    ]
    caption = _caption(content, columns, bool(bold), TOO_FEW in marks.values())
    return Sheet(TITLE, ["method", *heads], rows, bold=frozenset(bold), caption=caption)


def _columns(content: Content) -> Iterator[PaperColumn]:
    for problem, trials in content.problems.items():
        yield PaperColumn(problem, trials.metric, trials.algorithms, trials.figures)
        if trials.weighed:
            yield from _weighed(problem, trials, content.report.figure)


def _weighed(problem: Problem, trials: Trials, figure: str) -> Iterator[PaperColumn]:
    others = {"latency_ms": trials.latency_ms, "reward": trials.reward}
    for name, figures in others.items():
        if name != figure:
            metric = FIGURES.get(name) or measure(name, trials.metric.name)
            yield PaperColumn(problem, metric, trials.algorithms, figures)


def _methods(content: Content) -> list[str]:
    """In the order of the labels, or else the best overall mean rank first."""
    if content.report.labels:
        order = {name: place for place, name in enumerate(content.report.labels)}
        return sorted(content.played(), key=lambda name: order.get(name, len(order)))
    return content.by_rank()


def _marks(content: Content, columns: Sequence[PaperColumn]) -> dict[tuple[int, int], str]:
    """``(column, algorithm)`` of the means that cannot be told from the column's best, and why."""
    compared: dict[tuple[int, int], Floats] = {}
    for number, column in enumerate(columns):
        best = column.best()
        for place in range(len(column.algorithms)):
            if best is not None and place != best:
                compared[number, place] = _differences(content, column, place, best)
    adjusted = holm(np.array([signed_rank_p_value(each) for each in compared.values()]))
    return {
        pair: TOO_FEW if _all_one_way(differences) else NOT_WORSE
        for (pair, differences), p_value in zip(compared.items(), adjusted, strict=True)
        if p_value > 1 - LEVEL
    }


def _differences(content: Content, column: PaperColumn, place: int, best: int) -> Floats:
    """``(u,)`` from the best, pair by pair; trials of one meta-trained agent count once."""
    own, other = column.figures[place], column.figures[best]
    seeds = content.problems[column.problem].seeds
    return independent(own - other, seeds, _agents(content, column, (place, best)))


def _all_one_way(differences: Floats) -> bool:
    """Whether no other outcome of so many pairs would have a smaller p."""
    known = differences[~np.isnan(differences)]
    return bool((known > 0).all() or (known < 0).all())


def _agents(content: Content, column: PaperColumn, places: Sequence[int]) -> int:
    """How many meta-trained agents either of two algorithms has in common blocks; 0: none."""
    names = {column.algorithms[place] for place in places}
    return agents_in_common(
        line.meta
        for line in content.lines
        if line.problem == column.problem and line.algorithm in names
    )


def _mean(figures: Floats) -> float:
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if len(known) else float("nan")


def _cell(column: PaperColumn, place: int) -> str:
    known = column.figures[place][~np.isnan(column.figures[place])]
    if not len(known):
        return "–"
    std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return spread(float(known.mean()), std, column.metric.decimals)


def _caption(
    content: Content, columns: Sequence[PaperColumn], compared: bool, too_few: bool
) -> str:
    counts = sorted(
        {int((~np.isnan(own)).sum()) for column in columns for own in column.figures} - {0}
    )
    if not counts:
        return "No figures."
    trials = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    noun = "trial" if counts == [1] else "trials"
    titles = list(dict.fromkeys(column.metric.title for column in columns))
    what = titles[0] if len(titles) == 1 else "figures"
    said = f"Mean ± standard deviation of {what} over {trials} {noun}"
    if not compared:
        return f"{said}."
    unit = "seed"
    if any(line.meta for line in content.lines):
        unit = "seed, trials of one meta-trained agent averaged"
    few = f"; {TOO_FEW}: differs from it in every pair, which are too few for that correction"
    return (
        f"{said}. Bold: best mean of a column; {NOT_WORSE}: does not differ from it (two-sided "
        f"Wilcoxon signed-rank test paired by {unit}, level {1 - LEVEL:.2f}, Holm's correction "
        "over all comparisons of this table; the best is picked on the same trials)"
        f"{few if too_few else ''}."
    )
