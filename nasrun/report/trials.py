"""The ``trials.csv`` of a sweep, checked and set out as arrays."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasrun.errors import DataError
from nasrun.streams import Floats, Ints

if TYPE_CHECKING:
    from pandas import DataFrame

TRIALS = "trials.csv"
PROBLEM = ["space", "search_task", "task"]
PROTOCOL = ["split", "fidelity", "run", "clock", "meta"]
FIGURES = ["rank", "simulated_s"]  # that every report reads besides its metric
# Fields that all methods of a problem must share; meta is theirs to differ in, and older files lack
# final.
SHARED = ["split", "fidelity", "run", "clock", "final"]
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
        """``cifar10``, or ``cifar10 -> cifar100`` where the cell is scored elsewhere."""
        searched = self.search_task
        return self.task if searched == self.task else f"{searched} -> {self.task}"


@dataclass(frozen=True)
class Trials:
    """What ``a`` algorithms found in the same ``n`` trials of one problem.

    ``seeds (n,)``, ``figures (a, n)`` of the report's metric, ``table_rank (a, n)`` of the found
    architectures, ``search_s (a, n)`` simulated seconds of the search; NaN where unknown.
    """

    algorithms: tuple[str, ...]
    seeds: Ints
    figures: Floats
    table_rank: Floats
    search_s: Floats


@dataclass(frozen=True)
class Joined:
    """The ``trials.csv`` of several sweeps as one, which is on no disk yet.

    ``content`` is its text, ``rows`` how many of its rows each of the files has, in order.
    """

    content: str
    rows: Mapping[Path, int]

    def __str__(self) -> str:
        return ", ".join(map(str, self.rows))

    @property
    def folders(self) -> list[Path]:
        """The sweeps' folders."""
        return [path.parent for path in self.rows]

    def lines(self, index: Iterable[int]) -> str:
        """Which lines of which files the rows with these numbers are."""
        places, first, numbers = list[str](), 0, set(index)
        for path, count in self.rows.items():
            own = sorted(number - first for number in numbers if 0 <= number - first < count)
            places += [f"{_line_numbers(own)} of {path}"] if own else []
            first += count
        return " and ".join(places)


def read_trials(path: Path | Joined, metric: str) -> "DataFrame":
    """The rows of a ``trials.csv``.

    Raises:
        DataError: missing, not such a file, without the metric, or with cells too few or too many.
    """
    import pandas as pd

    figures = list(dict.fromkeys((metric, *FIGURES, "reward")))
    needed = [*PROBLEM, "algorithm", "seed", *PROTOCOL, *figures]
    try:
        # Texts first: a metric that is empty everywhere must not decide a column's type.
        source = io.StringIO(path.content) if isinstance(path, Joined) else path
        frame = pd.read_csv(source, dtype=str, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; nasrun's trials.csv has them")
    ragged = frame.index[frame[[*PROBLEM, "algorithm", "seed", *PROTOCOL]].isna().any(axis=1)]
    if len(ragged) or not isinstance(frame.index, pd.RangeIndex):
        where = _lines(path, ragged) if len(ragged) else "every line"
        raise DataError(f"{path}, {where}: not as many cells as the header has columns")
    try:
        return frame.astype({"seed": np.int64, **dict.fromkeys(figures, np.float64)})
    except ValueError as error:
        raise DataError(f"{path}: seed, {', '.join(figures)} must be numbers ({error})") from None


def by_problem(
    frame: "DataFrame",
    metric: str,
    order: Sequence[str],
    where: Path | Joined,
    may_differ: Sequence[str] = (),
) -> Mapping[Problem, Trials]:
    """Trials by problem, both in order of appearance; algorithms named in ``order`` come first.

    ``may_differ`` names protocol columns that algorithms need not share.

    Raises:
        DataError: a trial that stands twice, an algorithm that lacks trials others have, or
            methods that were measured in different ways.
    """
    _refuse_duplicates(frame, where)
    _refuse_mixed(frame, [name for name in SHARED if name not in may_differ], where)
    found = list(dict.fromkeys(frame["algorithm"]))
    algorithms = [name for name in order if name in found]
    algorithms += [name for name in found if name not in algorithms]
    _refuse_ragged(frame, algorithms, where)
    problems: dict[Problem, Trials] = {}
    for _, rows in frame.groupby(PROBLEM, sort=False):
        tables = [
            rows.pivot(index="seed", columns="algorithm", values=value)[algorithms]
            for value in (metric, *FIGURES)
        ]
        problems[Problem.of(rows.iloc[0])] = Trials(
            tuple(algorithms),
            tables[0].index.to_numpy(),
            *(table.to_numpy().T.copy() for table in tables),
        )
    return problems


def _refuse_duplicates(frame: "DataFrame", where: Path | Joined) -> None:
    key = [*PROBLEM, "algorithm", "seed"]
    twice = frame[frame.duplicated(key, keep=False)]
    if len(twice):
        row = twice.iloc[0]
        same = twice.index[(twice[key] == row[key]).all(axis=1)]
        raise DataError(
            f"{where}, {_lines(where, same)}: {row['algorithm']} on {Problem.of(row)} with seed "
            f"{row['seed']} stands more than once; a report compares algorithms under one protocol "
            "each, so give one of them another name (algorithm.name=...) or leave it out"
        )


def _refuse_mixed(frame: "DataFrame", columns: Sequence[str], where: Path | Joined) -> None:
    """All rows of a problem must come from one protocol: other figures are not comparable."""
    for column in [name for name in columns if name in frame.columns]:
        for _, rows in frame.groupby(PROBLEM, sort=False):
            kinds = rows.groupby(column, sort=False, dropna=False)
            if kinds.ngroups < 2:
                continue
            (one, first), (other, second) = list(kinds)[:2]
            here, there = (_lines(where, rows.index) for rows in (first, second))
            raise DataError(
                f"{where}: {Problem.of(rows.iloc[0])} mixes protocols: {column} is {one!r} in "
                f"{here} ({_names(first)}) and {other!r} in {there} ({_names(second)}); report "
                f"them apart, or allow it by report.may_differ=[{column}]"
            )


def _names(rows: "DataFrame") -> str:
    return ", ".join(dict.fromkeys(rows["algorithm"]))


def _refuse_ragged(frame: "DataFrame", algorithms: Sequence[str], where: Path | Joined) -> None:
    """Every algorithm must have played every problem with the same seeds."""
    for _, rows in frame.groupby(PROBLEM, sort=False):
        seeds = set(rows["seed"])
        for name in algorithms:
            lacking = sorted(seeds - set(rows.loc[rows["algorithm"] == name, "seed"]))
            if lacking:
                raise DataError(
                    f"{where}: {name} on {Problem.of(rows.iloc[0])} lacks {len(lacking)} of "
                    f"{len(seeds)} trials that others have (seeds {_some(lacking)}): run them, or "
                    "leave that algorithm out"
                )


def protocol(frame: "DataFrame") -> list[str]:
    """What the searches saw and paid, one sentence per field that all or some rows share."""
    return [
        f"{column}: {', '.join(dict.fromkeys(frame[column].astype(str)))}"
        for column in ("fidelity", "run", "clock", "meta")
    ]


def _lines(where: Path | Joined, index: Iterable[Any]) -> str:
    numbers = [int(row) for row in index]
    return where.lines(numbers) if isinstance(where, Joined) else _line_numbers(numbers)


def _line_numbers(rows: Sequence[int]) -> str:
    """Line numbers in a file, whose first line is the header."""
    return f"line{'s' if len(rows) > 1 else ''} {_some([row + 2 for row in rows])}"


def _some(items: Sequence[int]) -> str:
    more = f", ... ({len(items)} in all)" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more
