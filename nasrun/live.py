"""What a person sees while a run works: a live line on a terminal, log lines elsewhere."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from nasrun.experiment import Experiment
from nasrun.play import Watch
from nasrun.spec import ACCURACY

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
MINUTE_S, HOUR_S = 60, 3600
FIRST = "meta-training"  # before the first measurement of a search, unless its agents are kept
NOTHING = float("-inf")  # the best reward before the first one


@dataclass
class Pace:
    """How far a group of trials is, and how fast it gets on.

    Args:
        trials: how many there are, ``kept`` of them done before.
        each: measurements that a trial may make; None if its budget is not counted in them.
        late: whether something else comes first: the pace then counts from the first measurement.
        clock: seconds, from anywhere.
        decimals: of the best reward.
    """

    trials: int
    kept: int = 0
    each: int | None = None
    late: bool = False
    clock: Callable[[], float] = time.perf_counter
    decimals: int = ACCURACY.decimals
    finished: int = field(init=False)
    evaluations: int = field(init=False, default=0)
    best: float = field(init=False, default=NOTHING)

    def __post_init__(self) -> None:
        self.finished = self.kept
        self._settle(self.late)

    def _settle(self, late: bool) -> None:
        """Count the pace from here."""
        self._late = late
        self._began, self._before = self.clock(), (self.evaluations, self.share)

    def watch(self, finished: int, evaluations: int, best: float) -> None:
        """Take note of trials finished, measurements made, and the best reward of all."""
        self.finished, self.evaluations, self.best = finished, evaluations, best
        if self._late:
            self._settle(late=False)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the pace counts."""
        return self.clock() - self._began

    @property
    def share(self) -> float:
        """How much is done, 0 to 1: by measurements where they are the budget, else by trials."""
        by_trials = self.finished / self.trials
        if self.each is None:
            return by_trials
        return min(1.0, max(by_trials, self.kept / self.trials + self._played()))

    def _played(self) -> float:
        """The share of all trials that the measurements of this run amount to."""
        return self.evaluations / (self.trials * (self.each or 1))

    @property
    def rate(self) -> float:
        """Measurements per second."""
        return (self.evaluations - self._before[0]) / max(self.elapsed_s, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take at this pace; None before anything is done."""
        done = self.share - self._before[1]
        return self.elapsed_s * (1 - self.share) / done if done > 0 else None

    def trials_text(self) -> str:
        """Such as ``120 of 500 trials``."""
        return f"{self.finished} of {self.trials} trials"

    def figures_text(self) -> str:
        """Such as ``best 73.49, 12,345 evaluations, 8,100/s``."""
        best = "" if self.best == NOTHING else f"best {self.best:.{self.decimals}f}, "
        return f"{best}{self.evaluations:,} evaluations, {_rate_text(self.rate)}"

    def left_text(self) -> str:
        """Such as ``2 min left``; empty while that is unknown, and at the end."""
        return f"{duration_text(self.left_s)} left" if self.left_s else ""


def duration_text(seconds: float) -> str:
    """A duration in the largest fitting unit: ``0.2 s``, ``35 s``, ``12 min``, ``3.5 h``."""
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE_S)
    return f"{minutes} min" if minutes < MINUTE_S else f"{seconds / HOUR_S:.1f} h"


def _rate_text(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


@contextmanager
def live(
    experiment: Experiment, kept: int, *, sweep: bool, console: Console | None = None
) -> Generator[Watch]:
    """Shows how far a run is while the block plays it; yields what the pipeline is to call.

    A terminal gets one line that is rewritten. Elsewhere, and in a sweep, whose jobs may run side
    by side, the log gets a line a minute, and for a single run one at its start and its end.

    Args:
        experiment: what is played.
        kept: trials that were done before.
        sweep: whether the run is a job of a sweep.
        console: where to show it; None: the process's standard error.
    """
    console = console or Console(stderr=True)
    each = experiment.budget.within(experiment.algorithm.planned_steps).evaluations
    decimals = experiment.task.metric.decimals
    late = experiment.meta is not None
    pace = Pace(len(experiment.seeds), kept, each, late, decimals=decimals)
    label = f"{experiment.algorithm.name} on {experiment.task.name}"
    if console.is_terminal and not sweep:
        with _bar(pace, label, console, FIRST if experiment.meta else "") as watch:
            yield watch
        return
    edge = logging.DEBUG if sweep else logging.INFO
    before = f", {kept} of them done before" if kept else ""
    first = f", {FIRST} first" if experiment.meta else ""
    log.log(edge, "%s: %d trials%s%s", label, pace.trials, before, first)
    yield _logged(pace, label)
    took = duration_text(pace.elapsed_s)
    log.log(edge, "%s: %s, %s, %s", label, pace.trials_text(), pace.figures_text(), took)


@contextmanager
def _bar(pace: Pace, label: str, console: Console, first: str) -> Generator[Watch]:
    columns = (
        TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[trials]},"),
        TextColumn("{task.fields[figures]}"), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        line = bar.add_task(label, total=1.0, trials=pace.trials_text(), figures=first, left="")

        def watch(finished: int, evaluations: int, best: float) -> None:
            pace.watch(finished, evaluations, best)
            bar.update(
                line, completed=pace.share, trials=pace.trials_text(), figures=pace.figures_text(),
                left=pace.left_text(),
            )  # fmt: skip

        yield watch


def _logged(pace: Pace, label: str) -> Watch:
    """A watch that logs now and then."""
    due_s = LOG_EVERY_S

    def watch(finished: int, evaluations: int, best: float) -> None:
        nonlocal due_s
        pace.watch(finished, evaluations, best)
        if pace.elapsed_s >= due_s:
            due_s = pace.elapsed_s + LOG_EVERY_S
            parts = (pace.trials_text(), pace.figures_text(), pace.left_text())
            log.info("%s: %s", label, ", ".join(filter(None, parts)))

    return watch
