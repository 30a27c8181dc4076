"""Compare two runs or sweeps, trial by trial: figures, differences, and whether they are chance."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nasrun.errors import ConfigError
from nasrun.record.collect import require_whole_below
from nasrun.report.jobs import MetaCost, Search, agents_in_common, find_jobs, meta_costs
from nasrun.report.labels import told_apart
from nasrun.report.schema import measure
from nasrun.report.stats import (
    bootstrap_ci,
    independent,
    probability_of_improvement,
    signed_rank_p_value,
    signed_ranks,
)
from nasrun.report.trials import Problem, read_trials, require_sweeps
from nasrun.resume import refuse_study
from nasrun.spec import Floats, Metric

if TYPE_CHECKING:
    from rich.table import Table

FIGURES = ("reward", "val_score", "test_score", "latency_ms", "rank", "simulated_s")
PROTOCOL = ("metric", "split", "fidelity", "run", "clock", "meta", "final")
LEVEL = 0.05
Row = Mapping[str, str]


def add_arguments(parser: ArgumentParser) -> None:
    """Two folders."""
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, metavar="DIR", help="of a finished run or sweep")


def run(options: Namespace) -> int:
    """Print a table for each pair of searches on each task."""
    from rich.console import Console

    folders = (options.first, options.second)
    for folder in folders:
        refuse_study(folder)
        require_whole_below(folder)
    require_sweeps(folders)
    if options.first.resolve() == options.second.resolve():
        raise ConfigError(f"both folders are {options.first}: name two")
    console, first, second = Console(), _searches(options.first), _searches(options.second)
    for pair in _pairs(first, second, _names(folders)):
        console.print(pair.table())
        for sentence in pair.sentences():
            print(sentence)
    for sentence in _not_compared(folders, (first, second)):
        print(sentence)
    return 0


class Scored(NamedTuple):
    """One algorithm on one problem."""

    problem: Problem
    algorithm: str


@dataclass(frozen=True)
class Found:
    """The ``rows`` of a search in ``trials.csv`` by seed, and what its meta-training was."""

    rows: Mapping[int, Row]
    meta: MetaCost | None


Searches = Mapping[Scored, Found]


def _searches(folder: Path) -> Searches:
    """The trials of a folder.

    Raises:
        DataError: its ``trials.csv`` is not nasrun's, or has a trial twice.
    """
    found: dict[Scored, dict[int, Row]] = {}
    for row in read_trials([folder]).to_dict("records"):
        texts: Row = {str(key): str(value) for key, value in row.items()}
        search = Scored(Problem.of(texts), texts["algorithm"])
        found.setdefault(search, {})[int(texts["seed"])] = texts
    meta = meta_costs(find_jobs(folder))
    return {each: Found(rows, meta.get(_search(each))) for each, rows in found.items()}


def _search(scored: Scored) -> Search:
    return Search(scored.problem.space, scored.problem.search_task, scored.algorithm)


def _names(folders: Sequence[Path]) -> tuple[str, str]:
    """What tells two searches of one algorithm apart: settings of runs, else the folders."""
    settings = told_apart({folder: read_trials([folder]).to_dict("records") for folder in folders})
    first, second = (settings.suffixes[folder] for folder in folders)
    if first != second:
        return first, second
    return f" in {folders[0]}", f" in {folders[1]}"


def _pairs(first: Searches, second: Searches, names: tuple[str, str]) -> "Iterator[Pair]":
    """Each algorithm beside itself where both folders have it, else each beside each other.

    Raises:
        ConfigError: no problem that both have; or no common trial.
    """
    shared = [problem for problem in _problems(first) if problem in _problems(second)]
    if not shared:
        raise ConfigError(
            f"nothing to compare: one searched {_listed(first)}, the other {_listed(second)}"
        )
    for problem in shared:
        ours, theirs = (
            [search.algorithm for search in found if search.problem == problem]
            for found in (first, second)
        )
        both = [name for name in ours if name in theirs]
        chosen = [(name, name) for name in both] or [(a, b) for a in ours for b in theirs]
        for a, b in chosen:
            labels = (a + names[0], b + names[1]) if a == b else (a, b)
            yield Pair.of(
                problem, labels, first[Scored(problem, a)], second[Scored(problem, b)]
            )  # fmt: skip


def _not_compared(folders: Sequence[Path], found: Sequence[Searches]) -> Iterator[str]:
    """What one folder alone has, beside what both have."""
    problems = [set(_problems(own)) for own in found]
    for folder, own, theirs in zip(folders, found, reversed(found), strict=True):
        lacking = [
            f"{each.algorithm} on {each.problem} in {each.problem.space}"
            for each in own
            if each.problem not in problems[0] & problems[1]
            or (each not in theirs and _both_have_one(each.problem, found))
        ]
        if lacking:
            yield f"not compared, as {folder} alone has it: {', '.join(lacking)}"


def _both_have_one(problem: Problem, found: Sequence[Searches]) -> bool:
    """Whether both folders have an algorithm of the same name on a problem."""
    first, second = ({each for each in own if each.problem == problem} for own in found)
    return bool(first & second)


def _problems(found: Searches) -> list[Problem]:
    return list(dict.fromkeys(search.problem for search in found))


def _listed(found: Searches) -> str:
    return ", ".join(f"{problem} in {problem.space}" for problem in _problems(found))


@dataclass(frozen=True)
class Pair:
    """Two searches on one problem, in the trials that both have.

    ``rows``: of each, in the order of their seeds; ``left_out``: trials that only one of them has;
    ``agents``: meta-trained ones that the seeds share out, see ``agents_in_common``.
    """

    problem: Problem
    labels: tuple[str, str]
    rows: tuple[Sequence[Row], Sequence[Row]]
    left_out: int
    agents: int

    @classmethod
    def of(cls, problem: Problem, labels: tuple[str, str], one: Found, other: Found) -> "Pair":
        """The pair of two searches' trials by seed."""
        first, second = one.rows, other.rows
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            raise ConfigError(
                f"{labels[0]} and {labels[1]} on {problem} have no seed in common: play both with "
                "the same seed=... and trials=..."
            )
        rows = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
        agents = agents_in_common([one.meta, other.meta])
        return cls(problem, labels, rows, len(first.keys() ^ second.keys()), agents)

    def figures(self, name: str) -> tuple[Floats, Floats]:
        """``(n,)`` of each search; NaN where a cell is empty."""
        first, second = (
            np.array([float(row[name] or "nan") for row in rows]) for rows in self.rows
        )
        return first, second

    def differences(self, name: str) -> Floats:
        """``(u,)`` of the second search from the first, each independent of the others."""
        first, second = self.figures(name)
        seeds = np.array([int(row["seed"]) for row in self.rows[0]])
        return independent(second - first, seeds, self.agents)

    @property
    def same(self) -> int:
        """Trials in which both found the same architecture."""
        return sum(a["arch"] == b["arch"] for a, b in zip(*self.rows, strict=True))

    def table(self) -> "Table":
        """A line per figure that both have: means, their difference, its interval, its p."""
        from rich.markup import escape
        from rich.table import Table

        n = len(self.rows[0])
        table = Table(title=escape(f"{self.problem}: {n} trials of each, mean ± std"))
        table.add_column("")
        for label in self.labels:
            table.add_column(escape(label), justify="right", overflow="fold")
        table.add_column("difference\n[95% CI]", justify="right")
        table.add_column("p", justify="right")
        for name in FIGURES:
            first, second = self.figures(name)
            if np.isnan(first).all() or np.isnan(second).all():
                continue
            shown = measure(name, self.rows[0][0]["metric"])
            table.add_row(
                shown.title, _spread(first, shown), _spread(second, shown),
                _difference(self.differences(name), shown),
                _p(signed_rank_p_value(self.differences(name))),
            )  # fmt: skip
        return table

    def sentences(self) -> Iterator[str]:
        """What the table does not say."""
        yield f"{self.same} of {len(self.rows[0])} trials found the same architecture"
        yield from self._verdict()
        yield from self._failed()
        if self.agents:
            yield (
                "differences, their intervals and p: trials of one meta-trained agent count once, "
                "as their mean"
            )
        if self.left_out:
            yield f"left out: {self.left_out} trials whose seeds only one of them has"
        ranges = [_range(figures) for figures in self.figures("evaluations")]
        if ranges[0] != ranges[1]:
            yield f"not alike: {ranges[0]} and {ranges[1]} evaluations a trial"
        for column in PROTOCOL:
            first, second = (sorted({row[column] for row in rows}) for rows in self.rows)
            if first != second:
                yield f"not alike: {column} is {', '.join(first)!r} and {', '.join(second)!r}"

    def _failed(self) -> Iterator[str]:
        """How many trials have no reward, which counts in no mean and in no test."""
        for label, rewards in zip(self.labels, self.figures("reward"), strict=True):
            failed = int(np.isnan(rewards).sum())
            if 0 < failed < len(rewards):  # where no trial has one, the method knows no reward
                yield f"left out: {failed} trials of {label} that ended without a reward"

    def _verdict(self) -> Iterator[str]:
        """Which one is better in what was searched for, if that is not chance."""
        first, second = self.figures("reward")
        p = signed_rank_p_value(self.differences("reward"))
        if np.isnan(p):
            return
        if np.array_equal(first, second, equal_nan=True):
            yield "the rewards are the same, trial by trial"
            return
        if p > LEVEL:
            yield f"no difference in reward that chance would not make (p = {_p(p)})"
            return
        unit = "agents" if self.agents else "trials"
        better = probability_of_improvement(second, first)
        # By the test's own statistic: in skewed samples means and unpaired chances may disagree.
        second_wins = signed_ranks(self.differences("reward")) > 0
        label, chance = (self.labels[1], better) if second_wins else (self.labels[0], 1 - better)
        yield (
            f"{label} is better in reward (p = {_p(p)}, Wilcoxon, {unit} paired by seed; "
            f"probability of improvement {chance:.2f})"
        )


def _range(counts: Floats) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _spread(figures: Floats, shown: Metric) -> str:
    known = figures[~np.isnan(figures)]
    spread = f" ± {shown.text(known.std(ddof=1))}" if len(known) > 1 else ""
    return f"{shown.text(known.mean())}{spread}"


def _difference(figures: Floats, shown: Metric) -> str:
    known = figures[~np.isnan(figures)]
    if not len(known):
        return "-"
    mean = shown.text(known.mean(), "+")
    low, high = (float(end[0]) for end in bootstrap_ci(known[:, None]))
    if np.isnan(low):
        return mean
    return f"{mean}\n[{shown.text(low, '+')}, {shown.text(high, '+')}]"


def _p(p: float) -> str:
    if np.isnan(p):
        return "-"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"
