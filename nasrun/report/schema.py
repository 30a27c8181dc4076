"""What a report is: the schema of an experiment's ``report:`` node.

This module holds OmegaConf schemas, which need their annotations evaluated: it must not use
``from __future__ import annotations``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasrun.errors import ConfigError
from nasrun.keys import require_single
from nasrun.spec import Metric, metric_named

AUTO = "auto"
BEST = "best"
# A name becomes file names and a LaTeX label, and must not replace what the runs have written.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
TAKEN = ("trials", "summary", "pareto", "failed", "tuning", "trainings", "evaluations", "policy")
SHARED = ["split", "fidelity", "run", "clock", "final"]  # protocol that methods must share
SCORES = {"val_score": "validation", "test_score": "test"}
FIGURES = {  # of summary.csv, besides the scores and the reward
    metric.name: metric
    for metric in (
        Metric("latency_ms", "latency", "ms", higher_is_better=False),
        Metric("params_m", "parameters", "millions", higher_is_better=False),
        Metric("flops_m", "FLOPs", "millions", higher_is_better=False),
        Metric("evaluations", "evaluations", higher_is_better=False, decimals=1),
        Metric("simulated_s", "simulated time", "s", higher_is_better=False, decimals=0),
        Metric("wall_s", "wall time", "s", higher_is_better=False),
        Metric("rank", "rank in the table", higher_is_better=False, decimals=1),
        Metric("hypervolume", "hypervolume"),
        Metric("failed", "failed measurements", higher_is_better=False, decimals=1),
    )
}


def measure(figure: str, metric: str) -> Metric:
    """What a figure of a trial is, in a row with this ``metric``: label, unit, direction."""
    if figure in FIGURES:
        return FIGURES[figure]
    known = metric_named(metric)
    if figure in SCORES:
        return replace(known, label=f"{SCORES[figure]} {known.label}")
    return Metric("reward", "reward of the search", decimals=known.decimals)


class Column(Enum):
    """A column of the shown table; the CSV file always has all of them."""

    auto = "auto"  # alone: those that the trials have something to say on
    trials = "trials"
    score = "score"  # mean and standard deviation of the figure
    interval = "interval"  # 95% bootstrap interval of the mean
    table_rank = "table_rank"  # median rank of the found architecture in the benchmark table
    regret = (
        "regret"  # normalised: 0 is the best figure of any trial, 1 the mean of the weakest method
    )
    mean_rank = "mean_rank"  # mean rank of the algorithm among the algorithms, trial by trial
    p_value = "p_value"  # Holm-adjusted, against `against`
    improvement = "improvement"  # probability of improvement over `against`
    published = "published"
    difference = "difference"  # ours minus published
    difference_se = "difference_se"  # the same in standard errors of the difference
    within = "within"  # whether the difference is at most `tolerance`
    first = "first"  # the score of the first `first` trials alone, as a paper with few seeds has it
    best = "best"  # share of trials that find the best architecture of the benchmark table
    top3 = "top3"  # share of trials that find one of its three best
    top10 = "top10"
    latency = "latency"  # of the found architecture, mean and standard deviation
    met = "met"  # share of trials whose architecture meets the latency budget
    hypervolume = "hypervolume"  # of a trial's front, mean and standard deviation
    hours = "hours"  # mean simulated GPU hours of a search
    published_hours = "published_hours"
    meta_hours = "meta_hours"  # hours that the meta-training of one agent took


class Figure(Enum):
    """A drawing."""

    auto = "auto"  # alone: those that there is something to draw of
    box = "box"  # the figure, one box per algorithm
    sorted = "sorted"  # the figure of all trials from worst to best, one line per algorithm
    anytime = "anytime"  # best reward so far, against evaluations and against hours
    ranks = "ranks"  # average ranks with the critical difference, over all tasks
    profile = "profile"  # share of trials that reach a score, over all tasks
    tradeoff = "tradeoff"  # the figure against latency, with the fronts
    policy = "policy"  # probabilities of all options where a search ended, from policy.csv


@dataclass
class Claim:
    """A statement to be tested on every task: one algorithm is better than another."""

    better: str
    worse: str


@dataclass
class Report:
    """What to make of the ``trials.csv`` of a sweep.

    Raises:
        ConfigError: a name that is no plain file name, or two fields that do not go together.
    """

    name: str = "report"  # of the files it writes
    title: str | None = None  # None: says what was played
    figure: str = "test_score"  # column of trials.csv; auto: the first score that all tasks have
    columns: list[Column] = field(default_factory=lambda: [Column.trials, Column.score])
    labels: dict[str, str] = field(default_factory=dict)  # shown names by algorithm, in this order
    published: str | None = None  # name in nasrun/report/published, or path of such a CSV file
    published_space: str | None = None  # whose figures these are; None: to compare with any space's
    published_as: dict[str, str] = field(
        default_factory=dict
    )  # what that file calls an algorithm, or a task, by our name of it
    tolerance: float | None = None  # accepted distance from the published mean
    against: str | None = None  # algorithm to test the others against, or best: the task's best
    figures: list[Figure] = field(default_factory=list)  # the first is NAME.png
    claims: list[Claim] = field(default_factory=list)  # tested one-sided, agents as the unit
    published_only: list[str] = field(default_factory=list)  # algorithms to list though not run
    first: int | None = None  # number of seeds of the column first
    strict: bool = True  # refuse methods that lack trials of others or have other protocols
    may_differ: list[str] = field(
        default_factory=list
    )  # protocol columns that methods need not share where the report is strict
    notes: list[str] = field(default_factory=list)  # sentences below the table
    grouped: bool = False  # whether ranks over all tasks are averaged within a space first, too
    across_spaces: bool = False  # whether methods with spaces of their own compete on a task
    published_ranks: str | None = None  # such ranks: a name in nasrun/report/published, or a CSV
    published_names: dict[str, str] = field(default_factory=dict)  # an algorithm's name there
    comparable: dict[str, list[str]] = field(
        default_factory=dict
    )  # spaces that a printed group of benchmarks holds, by its name there

    def __post_init__(self) -> None:
        if not PLAIN_NAME.fullmatch(self.name) or self.name in TAKEN:
            raise ConfigError(
                f"report.name={self.name!r} must be a plain file name of letters, digits, dots, "
                f"hyphens and underscores, and none of {', '.join(TAKEN)}"
            )
        self._require_alone("columns", Column.auto)
        self._require_alone("figures", Figure.auto)
        known = (AUTO, *SCORES, "reward", *FIGURES)
        if self.figure not in known:
            raise ConfigError(f"report.figure={self.figure} is none of {', '.join(known)}")
        compared = {Column.published, Column.difference, Column.difference_se, Column.within}
        if compared & set(self.columns) and not self.published:
            raise ConfigError("report.columns compares with published figures: set published")
        if Column.within in self.columns and self.tolerance is None:
            raise ConfigError(
                "report.columns has within: set report.tolerance, in the figure's unit"
            )
        if Column.published_hours in self.columns and not self.published:
            raise ConfigError("report.columns has published_hours: set report.published")
        if Column.first in self.columns and (self.first is None or self.first < 1):
            raise ConfigError("report.columns has first: set report.first, a number of seeds")
        if len(set(self.figures)) < len(self.figures):
            raise ConfigError("report.figures names a figure twice: name each once")
        if unknown := sorted(set(self.may_differ) - set(SHARED)):
            raise ConfigError(
                f"report.may_differ has {', '.join(unknown)}: choose among {', '.join(SHARED)}"
            )
        if {Column.p_value, Column.improvement} & set(self.columns) and not self.against:
            raise ConfigError("report.columns has p_value or improvement: set report.against")

    def _require_alone(self, key: str, auto: Enum) -> None:
        if auto in (found := getattr(self, key)) and len(found) > 1:
            raise ConfigError(f"report.{key} has auto among others: name auto alone, or the others")


# What a sweep's report is where nobody says anything else; conf/config.yaml says the same.
DEFAULT: Mapping[str, Any] = {
    "figure": AUTO, "columns": [AUTO], "figures": [AUTO], "strict": False,
}  # fmt: skip


def parse_report(node: Mapping[str, Any]) -> Report:
    """The report that a config node or a ``report.json`` describes.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value that the schema rejects.
    """
    try:
        values, schema = dict(node), OmegaConf.structured(Report)
        merged = OmegaConf.merge(schema, values)  # of unknown keys it says so first
        require_single(values, schema, "report")
        return OmegaConf.to_object(merged)  # pyright: ignore[reportReturnType]
    except OmegaConfBaseException as error:
        key = f"report.{error.full_key}" if error.full_key else "report"
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from None
