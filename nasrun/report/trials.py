"""The ``trials.csv`` of one sweep or several, checked and set out as arrays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.report.pareto import volumes
from nasrun.report.schema import SCORES, SHARED, measure
from nasrun.report.sheet import plain
from nasrun.spec import Metric
from nasrun.streams import Floats, Ints

if TYPE_CHECKING:
    from pandas import DataFrame

TRIALS = "trials.csv"
PROBLEM = ["space", "search_task", "task"]
TRIAL = [*PROBLEM, "algorithm", "seed"]
PROTOCOL = ["split", "fidelity", "run", "clock", "meta"]
# That every report reads besides its figure.
NUMBERS = ["rank", "simulated_s", "reward", "latency_ms"]
AIM = ("device", "target_ms", "exponent", "exponent_above", "limit_ms")  # what a reward weighs by
MET, HYPERVOLUME = "met", "hypervolume"  # columns that this package adds
OWN_SPACE = "own_space"  # where trials of several spaces are set out as of one
WHERE = ["file", "line"]  # of a row, in the frames of this module
OLD = "val_acc_pct"  # a column of trials.csv until metric, val_score and test_score came
SHOWN = 5  # offending rows that an error names


class Problem(NamedTuple):
    """Where algorithms compete: one search, scored on one task."""

    space: str
    search_task: str
    task: str

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "Problem":
        """The problem of a row of ``trials.csv``."""
        return cls(row["space"], row["search_task"], row["task"])

    def __str__(self) -> str:
        """``cifar10``, or ``cifar10 -> cifar100`` where the architecture is scored elsewhere."""
        searched = self.search_task
        return plain(self.task if searched == self.task else f"{searched} -> {self.task}")


def names_by_space(named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to call a task of a space, given as (space, name): the name alone where that is one's.

    Where several spaces have it, it is ``cifar10 in nb201``, so that none is taken for another's.
    """
    spaces: dict[str, set[str]] = {}
    for space, name in (known := list(named)):
        spaces.setdefault(name, set()).add(space)
    return {
        (space, name): f"{name} in {plain(space)}" if len(spaces[name]) > 1 else name
        for space, name in known
    }


@dataclass(frozen=True)
class Trials:
    """What ``a`` algorithms found in the same ``n`` trials of one problem.

    ``seeds (n,)``; ``figures (a, n)`` that the report is about, in the unit of their ``metric``;
    ``table_rank (a, n)`` of the found architectures; ``search_s (a, n)`` simulated seconds of the
    search; ``reward (a, n)`` that it maximised; ``latency_ms (a, n)`` of what it found; ``met (a,
    n)`` whether that is within the latency budget, 1 or 0; ``hypervolume (a, n)`` of its front.
    NaN where unknown. ``weighed``: latency was part of the search's aim, which was the same for
    all, so that methods are ranked by the reward.
    """

    algorithms: tuple[str, ...]
    seeds: Ints
    metric: Metric
    figures: Floats
    table_rank: Floats
    search_s: Floats
    reward: Floats
    latency_ms: Floats
    met: Floats
    hypervolume: Floats
    weighed: bool = False

    @property
    def searched_for(self) -> Floats:
        """``(a, n)`` what methods are ranked by, more being better: what the searches were for."""
        return self.reward if self.weighed else self.oriented

    @property
    def oriented(self) -> Floats:
        """``(a, n)`` figures of which more is better: what all comparisons are made of."""
        return self.metric.oriented(self.figures)

    def known(self) -> list[tuple[str, Floats]]:
        """The algorithms that have figures, and these, from the worst to the best."""
        pairs = zip(self.algorithms, self.oriented, strict=True)
        found = ((name, np.sort(own[~np.isnan(own)])) for name, own in pairs)
        return [(name, self.metric.oriented(own)) for name, own in found if len(own)]

    def shown_range(self, hidden: float) -> tuple[float, float]:
        """Lowest and highest figure but for the ``hidden`` share of each algorithm's worst ones.

        NaNs where nothing is known.
        """
        oriented = [self.metric.oriented(own) for _, own in self.known()]
        if not oriented:
            return float("nan"), float("nan")
        worst = min(float(np.quantile(own, hidden)) for own in oriented)
        best = max(float(own.max()) for own in oriented)
        low, high = sorted(self.metric.oriented(np.array([worst, best])).tolist())
        return low, high


def require_sweeps(folders: Iterable[Path]) -> None:
    """Check that folders can be reported on.

    Raises:
        DataError: one is not there, or holds no finished trial.
    """
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder: expected that of a sweep, with its {TRIALS}")
        if not (folder / TRIALS).exists():
            raise DataError(
                f"{folder} holds no {TRIALS}, which a sweep's folder has as soon as one of its "
                "runs is finished: name that folder, or finish the sweep first"
            )


def read_trials(folders: Sequence[Path]) -> "DataFrame":
    """The rows of the folders' ``trials.csv`` as texts, with the file and line of each.

    Raises:
        DataError: a file is missing, ragged or of another version; headers differ; a trial stands
            twice; no trial at all.
    """
    import pandas as pd

    tables = {folder / TRIALS: read_csv(folder / TRIALS) for folder in folders}
    headers = {path: tuple(rows[0]) for path, rows in tables.items() if rows}
    if not headers:
        raise DataError(f"{', '.join(map(str, tables))}: no trials in it; run the experiment first")
    first, columns = next(iter(headers.items()))
    for path, other in headers.items():
        _check_columns(path, other)
        if other != columns:
            differing = ", ".join(sorted(set(columns) ^ set(other))) or "the order of its columns"
            raise DataError(
                f"{path} does not go with {first}: they differ in {differing}; were they written "
                "by different versions of nasrun?"
            )
    placed = [
        {**row, "file": str(path), "line": line}
        for path, rows in tables.items()
        for line, row in enumerate(rows, start=2)
    ]
    frame = pd.DataFrame(placed)
    _refuse_doubled(frame)
    return frame


def joined_text(frame: "DataFrame") -> str:
    """The rows as one ``trials.csv``."""
    return frame.drop(columns=WHERE).to_csv(index=False, lineterminator="\n")


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if OLD in columns:
        raise DataError(
            f"{path} is of an earlier nasrun, with {OLD} in place of metric and val_score: play it "
            "again in a new folder, or report on it with the nasrun that wrote it"
        )
    needed = (*TRIAL, "arch", "metric", *SCORES, *PROTOCOL, *NUMBERS)
    if missing := [column for column in needed if column not in columns]:
        raise DataError(f"{path}: no column {', '.join(missing)}; nasrun's {TRIALS} has them")


def as_numbers(
    frame: "DataFrame", figure: str, fronts: Sequence[Mapping[str, str]] = ()
) -> "DataFrame":
    """The rows with numbers in place of texts in the columns that a report on ``figure`` reads.

    ``met`` and ``hypervolume`` join them, the latter from the rows of ``pareto.csv``.

    Raises:
        DataError: a cell of them is neither empty nor a number; there is no such figure.
    """
    files = ", ".join(dict.fromkeys(frame["file"]))
    if figure not in frame.columns:
        raise DataError(f"{files}: no column {figure}; name one that it has as report.figure")
    columns = list(dict.fromkeys((figure, *NUMBERS)))
    figures = frame[columns]
    empty = figures.where(figures != "")  # replace() would warn of downcasting in pandas 2
    try:
        numbers = frame.assign(seed=frame["seed"].astype(np.int64), **empty.astype(np.float64))
        unknown = np.full(len(frame), np.nan)
        covered = volumes(frame.to_dict("records"), fronts) if fronts else unknown  # pyright: ignore[reportCallIssue]
        return numbers.assign(**{MET: _met(numbers), HYPERVOLUME: covered})
    except ValueError as error:
        raise DataError(f"{files}: seed, {', '.join(columns)} must be numbers ({error})") from None


def by_problem(
    frame: "DataFrame",
    figure: str,
    order: Sequence[str],
    may_differ: Sequence[str] = (),
    strict: bool = True,
) -> Mapping[Problem, Trials]:
    """Trials by problem, both in order of appearance; algorithms named in ``order`` come first.

    ``may_differ`` names protocol columns that algorithms need not share. Where the report is not
    ``strict``, trials that only some algorithms have are NaN for the others (see ``lacking``), and
    only the metric must be shared.

    Raises:
        DataError: methods that were measured in different ways; if strict, an algorithm that lacks
            trials others have.
    """
    shared = [name for name in SHARED if strict and name not in may_differ]
    _refuse_mixed(frame, ["metric", *shared])
    found = list(dict.fromkeys(frame["algorithm"]))
    algorithms = [name for name in order if name in found]
    algorithms += [name for name in found if name not in algorithms]
    if strict:
        _refuse_ragged(frame, algorithms)
    problems: dict[Problem, Trials] = {}
    for _, rows in frame.groupby(PROBLEM, sort=False):
        columns = (figure, "rank", "simulated_s", "reward", "latency_ms", MET, HYPERVOLUME)
        tables = [
            rows.pivot(index="seed", columns="algorithm", values=value).reindex(columns=algorithms)
            for value in columns
        ]
        first = rows.iloc[0]
        problems[Problem.of(first)] = Trials(
            tuple(algorithms),
            tables[0].index.to_numpy(),
            measure(figure, first["metric"]),
            *(table.to_numpy(np.float64).T.copy() for table in tables),
            weighed=_weighed(rows, figure),
        )
    return problems


def _weighed(rows: "DataFrame", figure: str) -> bool:
    """Whether all searches of a problem maximised the same reward of score and latency."""
    known = {name: ~np.isnan(column(rows, name)) for name in (figure, "reward", "latency_ms")}
    aims = {aim_of(row) for row in rows.to_dict("records")}  # pyright: ignore[reportCallIssue]
    scored = known[figure]
    alike = len(aims) == 1
    return alike and bool(known["latency_ms"][scored].any() and known["reward"][scored].all())


def aim_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a row's reward weighs by; empty texts for what it does not say."""
    return tuple(str(row.get(name, "")) for name in AIM)


def budget_ms(row: Mapping[str, Any]) -> float:
    """The latency limit of a row's search, or without one its target; NaN without either."""
    found = row.get("limit_ms") or row.get("target_ms") or "nan"
    return float(found)


def column(rows: "DataFrame", name: str) -> Floats:
    """``(n,)`` a column of numbers."""
    return np.asarray(rows[name], np.float64)


def _met(frame: "DataFrame") -> Floats:
    """``(n,)`` whether each row's latency is within its budget: 1, 0 or NaN."""
    if not {"limit_ms", "target_ms"} & set(frame.columns):
        return np.full(len(frame), np.nan)
    budgets = np.array([budget_ms(row) for row in frame.to_dict("records")])  # pyright: ignore[reportCallIssue]
    latency_ms = column(frame, "latency_ms")
    unknown = np.isnan(latency_ms) | np.isnan(budgets)
    return np.where(unknown, np.nan, latency_ms <= budgets)


def _refuse_doubled(frame: "DataFrame") -> None:
    for _, same in frame.loc[frame.duplicated(TRIAL, keep=False)].groupby(TRIAL, sort=False):
        row = same.iloc[0]
        raise DataError(
            f"{_lines(same)}: {row['algorithm']} on {Problem.of(row)} with seed {row['seed']} "
            "stands more than once; a report compares algorithms under one protocol each, so give "
            "one of them another name (algorithm.name=...) or leave it out"
        )


def _refuse_mixed(frame: "DataFrame", columns: Sequence[str]) -> None:
    """All rows of a problem must have one metric and protocol: others are not comparable."""
    for column in [name for name in columns if name in frame.columns]:
        for _, rows in frame.groupby(PROBLEM, sort=False):
            kinds = rows.groupby(column, sort=False)
            if kinds.ngroups < 2:
                continue
            (one, first), (other, second) = list(kinds)[:2]
            allowed = f", or allow it by report.may_differ=[{column}]" if column in SHARED else ""
            raise DataError(
                f"{Problem.of(rows.iloc[0])} mixes protocols: {column} is {one!r} in "
                f"{_lines(first)} ({_names(first)}) and {other!r} in {_lines(second)} "
                f"({_names(second)}); report them apart{allowed}"
            )


def _names(rows: "DataFrame") -> str:
    return ", ".join(dict.fromkeys(rows["algorithm"]))


def _refuse_ragged(frame: "DataFrame", algorithms: Sequence[str]) -> None:
    """Every algorithm must have played every problem with the same seeds."""
    for gap in gaps(frame, algorithms):
        raise DataError(
            f"{', '.join(dict.fromkeys(frame['file']))}: {gap}: run them, or leave that algorithm "
            "out"
        )


def gaps(frame: "DataFrame", algorithms: Sequence[str]) -> Iterator[str]:
    """Which algorithm lacks which trials that others have; of problems alike, in one sentence."""
    problems: dict[tuple[str, tuple[int, ...], int], list[str]] = {}
    several = len(set(frame["space"])) > 1  # which may have tasks of one name
    for _, rows in frame.groupby(PROBLEM, sort=False):
        seeds = set(rows["seed"])
        for name in algorithms:
            lacking = sorted(seeds - set(rows.loc[rows["algorithm"] == name, "seed"]))
            if lacking:
                own = problems.setdefault((name, tuple(lacking), len(seeds)), [])
                problem = Problem.of(rows.iloc[0])
                own.append(f"{problem} in {plain(problem.space)}" if several else str(problem))
    for (name, lacking, count), own in problems.items():
        yield (
            f"{name} on {', '.join(own)} lacks {len(lacking)} of {count} trials that others have "
            f"(seeds {_some(lacking)})"
        )


def protocol(frame: "DataFrame") -> list[str]:
    """What the searches saw and paid, one sentence per field that all or some rows share."""
    return [
        f"{column}: {', '.join(dict.fromkeys(frame[column]))}"
        for column in ("fidelity", "run", "clock", "meta")
    ]


def _lines(rows: "DataFrame") -> str:
    """Which lines of which files these rows are."""
    return " and ".join(
        f"line{'s' if len(own) > 1 else ''} {_some(own['line'].tolist())} of {file}"
        for file, own in rows.groupby("file", sort=False)
    )


def _some(items: Sequence[int]) -> str:
    more = f", ... ({len(items)} in all)" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more
