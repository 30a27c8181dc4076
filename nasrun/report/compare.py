"""From trials to the lines of a report, one per algorithm and problem, beside published figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.report.jobs import HOUR_S, MetaCost, Search, agents_in_common
from nasrun.report.schema import BEST
from nasrun.report.stats import (
    Share,
    Summary,
    difference_in_errors,
    holm,
    independent,
    mean_ranks,
    probability_of_improvement,
    regrets,
    share_found,
    signed_rank_p_value,
    summarise_columns,
)
from nasrun.report.trials import Problem, Trials
from nasrun.spec import Floats, Ints, Metric

FOLDER = Path(__file__).parent / "published"
ALL_TASKS = "all"  # as a task: what a source gives for all of its tasks together
COLUMNS = ("algorithm", "search_task", "task", "figure", "metric", "n", "mean", "std", "source")
NAN = float("nan")
TOPS = (1, 3, 10)  # best architectures of the table: shares of trials that find one of them
NOT_RUN = Share(NAN)

Key = tuple[str, str, str]  # algorithm, search task, scored task


@dataclass(frozen=True)
class Published:
    """One published cell; ``std`` and ``n`` are NaN where the source does not give them.

    ``metric``: that of a ``val_score`` or ``test_score``, else empty.
    """

    mean: float
    std: float
    n: float
    source: str
    metric: str = ""


def read_published(
    name: str, figure: str, where: str = "report.published"
) -> Mapping[Key, Published]:
    """Published values of a figure, from a file of this package or a path of the user's.

    ``where`` is the config key that has the name.

    Raises:
        DataError: no such file, another header, a cell that stands twice or is no number, be it of
            another figure: which one a report shows may be known after the last job alone.
    """
    path = _path(name, where)
    rows = read_csv(path, by_hand=True)
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DataError(f"{path}: expected figures below the header {','.join(COLUMNS)}")
    found: dict[str, dict[Key, Published]] = {}
    for line, row in enumerate(rows, start=2):
        key = (row["algorithm"], row["search_task"], row["task"])
        own = found.setdefault(row["figure"], {})
        if key in own:
            raise DataError(f"{path}, line {line}: {', '.join(key)} stands a second time")
        own[key] = _published(row, f"{path}, line {line}")
    return found.get(figure, {})


def as_we_call_them(
    published: Mapping[Key, Published], names: Mapping[str, str]
) -> Mapping[Key, Published]:
    """The figures under the file's names of algorithms and tasks, and under ours.

    Args:
        published: by the file's names.
        names: the file's name by our name.
    """
    ours: dict[str, list[str]] = {}
    for own, theirs in names.items():
        ours.setdefault(theirs, []).append(own)
    return {
        key: found
        for (algorithm, search_task, task), found in published.items()
        for key in product(
            [algorithm, *ours.get(algorithm, [])],
            [search_task, *ours.get(search_task, [])],
            [task, *ours.get(task, [])],
        )
    }


def _path(name: str, where: str) -> Path:
    shipped = FOLDER / f"{name}.csv"
    if shipped.is_file():
        return shipped
    if Path(name).suffix == ".csv":
        return Path(name)
    known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.csv")))
    raise DataError(f"{where}={name} is none of {known}, nor the path of a .csv file")


def _published(row: Mapping[str, str], where: str) -> Published:
    try:
        n, mean, std = (float(row[column] or "nan") for column in ("n", "mean", "std"))
    except ValueError:
        raise DataError(
            f"{where}: n, mean and std must be numbers or empty, found {row['n']!r}, "
            f"{row['mean']!r}, {row['std']!r}"
        ) from None
    if math.inf in map(abs, (n, mean, std)) or n < 1 or std < 0:
        raise DataError(
            f"{where}: expected a finite mean, n of 1 or more and std of 0 or more, found "
            f"{row['n']!r}, {row['mean']!r}, {row['std']!r}"
        )
    return Published(mean, std, n, row["source"], row["metric"])


@dataclass(frozen=True)
class Extras:
    """What a report may say beyond the figures of the trials.

    ``published_s``: published seconds of the searches. ``published_only``: algorithms to list
    though they did not run. ``first``: how many seeds to summarise apart. ``meta``: what was
    meta-trained. ``published_space``: of all published figures; None: compare them with any.
    """

    published_s: Mapping[Key, Published] = field(default_factory=dict)
    published_only: Sequence[str] = ()
    first: int | None = None
    meta: Mapping[Search, MetaCost] = field(default_factory=dict)
    published_space: str | None = None

    def stand_beside(self, space: str) -> bool:
        """Whether published figures are of this space."""
        return self.published_space in (None, space)


@dataclass(frozen=True)
class Total:
    """An algorithm over all tasks: mean rank and regret, and hours in all. NaN where unknown."""

    mean_rank: float
    regret: float
    hours: float
    published_hours: float
    meta_hours: float


@dataclass(frozen=True)
class Line:
    """One algorithm on one problem. A figure that is unknown or does not apply is NaN or None.

    ``metric``: that of the summary. ``table_rank``: median rank of the found architectures in the
    benchmark table. ``mean_rank``: mean rank among the algorithms, trial by trial.
    ``regret``: normalised, see ``stats.regrets``.
    ``shares``: of trials that find one of the table's ``TOPS`` best. ``first``: summary of the
    first seeds. ``hours``: simulated, of a search.
    ``latency``, ``met`` and ``hypervolume``: of what was found, the share of trials within the
    latency budget, and of the trials' fronts.
    ``against``, ``p_value``, ``p_holm``, ``improvement``: the comparison with the named algorithm.
    """

    problem: Problem
    metric: Metric
    algorithm: str
    summary: Summary | None
    table_rank: float
    mean_rank: float
    regret: float = NAN
    shares: tuple[Share, ...] = (NOT_RUN,) * len(TOPS)
    first: Summary | None = None
    hours: float = NAN
    meta: MetaCost | None = None
    against: str | None = None
    p_value: float = NAN
    p_holm: float = NAN
    improvement: float = NAN
    latency: Summary | None = None
    met: float = NAN
    hypervolume: Summary | None = None
    published: Published | None = None
    published_s: Published | None = None

    @property
    def published_hours(self) -> float:
        """Published hours of a search."""
        return self.published_s.mean / HOUR_S if self.published_s else NAN

    @property
    def difference(self) -> float:
        """Our mean minus the published one."""
        if self.summary is None or self.published is None:
            return NAN
        return self.summary.mean - self.published.mean

    @property
    def difference_se(self) -> float:
        """The difference in standard errors of it; NaN without a published std and n."""
        if self.summary is None or self.published is None:
            return NAN
        ours, theirs = self.summary, self.published
        return difference_in_errors(
            ours.mean, ours.std, ours.n, theirs.mean, theirs.std, theirs.n
        )  # fmt: skip

    def within(self, tolerance: float | None) -> bool | None:
        """Whether the difference is at most ``tolerance``; None where there is nothing to say."""
        if tolerance is None or np.isnan(self.difference):
            return None
        return abs(self.difference) <= tolerance


def compare(
    problems: Mapping[Problem, Trials],
    published: Mapping[Key, Published],
    against: str | None,
    extras: Extras | None = None,
) -> list[Line]:
    """Lines by problem, then algorithm. Holm's correction covers all comparisons of the report.

    Where ``against`` is ``best``, each problem's algorithm of the best mean is the one compared
    with; it was picked on the same trials, so p values against it are a little too small.
    """
    extras = extras or Extras()
    lines = [
        line
        for problem, trials in problems.items()
        for line in [
            *_lines(problem, trials, against, extras),
            *_not_run(problem, trials, published, extras),
        ]
    ]
    beside = [extras.stand_beside(line.problem.space) for line in lines]
    adjusted = holm(np.array([line.p_value for line in lines]))
    return [
        replace(
            line,
            p_holm=float(p),
            published=_comparable(line, published) if comparable else None,
            published_s=extras.published_s.get(_key(line)) if comparable else None,
        )
        for line, p, comparable in zip(lines, adjusted, beside, strict=True)
    ]


def _key(line: Line) -> Key:
    return (line.algorithm, line.problem.search_task, line.problem.task)


def _comparable(line: Line, published: Mapping[Key, Published]) -> Published | None:
    """The published cell of a line.

    Raises:
        DataError: it is in another metric than ours.
    """
    found = published.get(_key(line))
    if found is not None and found.metric not in ("", line.metric.name):
        raise DataError(
            f"{line.algorithm} on {line.problem}: our figures are {line.metric.name}, but the "
            f"published ones {found.metric} ({found.source}); leave report.published out, or name "
            "a file with the same metric"
        )
    return found


def _not_run(
    problem: Problem, trials: Trials, published: Mapping[Key, Published], extras: Extras
) -> list[Line]:
    """Lines of published figures alone."""
    if not extras.stand_beside(problem.space):
        return []
    names = [name for name in extras.published_only if name not in trials.algorithms]
    lines = [Line(problem, trials.metric, name, None, NAN, NAN) for name in names]
    return [line for line in lines if _key(line) in published]


def _lines(problem: Problem, trials: Trials, against: str | None, extras: Extras) -> list[Line]:
    searched = [Search(problem.space, problem.search_task, name) for name in trials.algorithms]
    metas = [extras.meta.get(search) for search in searched]
    agents_of = [meta.agents if meta else 0 for meta in metas]
    summarised = partial(_summaries, seeds=trials.seeds, agents=agents_of)
    summaries, first = summarised(trials.figures), summarised(trials.figures, extras.first or 0)
    latency, hypervolume = summarised(trials.latency_ms), summarised(trials.hypervolume)
    ranks, regret = mean_ranks(trials.searched_for), regrets(trials.searched_for)
    lines: list[Line] = []
    for i, (name, meta) in enumerate(zip(trials.algorithms, metas, strict=True)):
        agents = agents_of[i]
        shares = [share_found(trials.table_rank[i], trials.seeds, top, agents) for top in TOPS]
        line = Line(
            problem, trials.metric, name, summaries[i], _median(trials.table_rank[i]),
            float(ranks[i]), float(regret[i]), tuple(shares), first[i],
            _mean(trials.search_s[i]) / HOUR_S, meta,
            latency=latency[i], met=_mean(trials.met[i]), hypervolume=hypervolume[i],
        )  # fmt: skip
        lines.append(line)
    rival = _rival(trials, summaries, against)
    return lines if rival is None else [_tested(line, trials, rival, extras) for line in lines]


def _summaries(
    figures: Floats, first: int | None = None, *, seeds: Ints, agents: Sequence[int]
) -> list[Summary | None]:
    """Of the ``first`` of ``figures (a, n)`` trials of algorithms with so many ``agents``."""
    shown, own_seeds = figures.T[:first], seeds[:first]
    found = summarise_columns(shown)
    for i, own in enumerate(agents):
        if own:
            found[i] = summarise_columns(shown[:, i : i + 1], own_seeds, own)[0]
    return found


def _mean(figures: np.ndarray) -> float:
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if len(known) else NAN


def _median(figures: np.ndarray) -> float:
    known = figures[~np.isnan(figures)]
    return float(np.median(known)) if len(known) else NAN


def _rival(trials: Trials, summaries: Sequence[Summary | None], against: str | None) -> str | None:
    """The algorithm that the others are tested against; None if it did not run."""
    if against != BEST:
        return against if against in trials.algorithms else None
    means = np.array([np.nan if summary is None else summary.mean for summary in summaries])
    if np.isnan(means).all():
        return None
    return trials.algorithms[int(np.nanargmax(trials.metric.oriented(means)))]


def _tested(line: Line, trials: Trials, rival: str, extras: Extras) -> Line:
    """The line beside its rival; trials of one meta-trained agent count once in its p."""
    if line.algorithm == rival:
        return replace(line, against=rival)
    ours, theirs = (
        trials.oriented[trials.algorithms.index(name)] for name in (line.algorithm, rival)
    )
    searched = Search(line.problem.space, line.problem.search_task, rival)
    agents = agents_in_common([line.meta, extras.meta.get(searched)])
    return replace(
        line,
        against=rival,
        p_value=signed_rank_p_value(independent(ours - theirs, trials.seeds, agents)),
        improvement=probability_of_improvement(ours, theirs),
    )


def totals(
    problems: Mapping[Problem, Trials], lines: Sequence[Line], published_s: Mapping[Key, Published]
) -> dict[str, Total]:
    """What is known of each algorithm on all tasks; published totals stand under task ``all``."""
    ranks, hours = overall_ranks(problems), _summed_hours(lines)
    regrets = {name: [line.regret for line in lines if line.algorithm == name] for name in hours}
    found: dict[str, Total] = {}
    for name, (search_h, meta_h) in hours.items():
        theirs = published_s.get((name, ALL_TASKS, ALL_TASKS))
        published_h = theirs.mean / HOUR_S if theirs else NAN
        regret = float(np.mean(regrets[name]))
        found[name] = Total(ranks.get(name, NAN), regret, search_h, published_h, meta_h)
    return found


def overall_ranks(problems: Mapping[Problem, Trials]) -> dict[str, float]:
    """Mean rank of each algorithm over all problems, each problem weighing the same."""
    ranks: dict[str, list[float]] = {}
    for trials in problems.values():
        for name, rank in zip(trials.algorithms, mean_ranks(trials.searched_for), strict=True):
            ranks.setdefault(name, []).append(float(rank))
    return {name: float(np.mean(values)) for name, values in ranks.items()}


def _summed_hours(lines: Sequence[Line]) -> dict[str, tuple[float, float]]:
    """Hours of search and of meta-training of each algorithm, every searched task once."""
    searches = {
        (line.algorithm, line.problem.space, line.problem.search_task): line for line in lines
    }
    hours: dict[str, tuple[float, float]] = {}
    for (name, *_), line in searches.items():
        search, meta = hours.get(name, (0.0, 0.0))
        hours[name] = (search + line.hours, meta + (line.meta.agent_h if line.meta else NAN))
    return hours
