"""What a person sees while a run works: a live line on a terminal, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasrun.experiment import Experiment, Opened
from nasrun.jobs import Job
from nasrun.play import Watch
from nasrun.progress import Stage, heard_by
from nasrun.spec import ACCURACY, Metric

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
MINUTE_S, HOUR_S = 60, 3600
HEAR_EVERY_S = 0.2  # between two looks at what is under way: some of it has to be waited for
BAR = 20  # columns
QUIET = ("training", "supernet")  # stages that are the search, and begin too often to be logged
NOTHING = float("-inf")  # the best reward before the first one


@dataclass
class Pace:
    """How far a group of trials is, and how fast it gets on.

    Args:
        trials: how many there are, ``kept`` of them done before.
        each: measurements that a trial may make; None if its budget is not counted in them.
        late: whether something else comes first: the pace then counts from the first measurement.
        clock: seconds, from anywhere.
        metric: of the best reward.
        trained_after: whether what is found is trained after its search.
    """

    trials: int
    kept: int = 0
    each: int | None = None
    late: bool = False
    clock: Callable[[], float] = time.perf_counter
    metric: Metric = ACCURACY
    trained_after: bool = False
    finished: int = field(init=False)
    evaluations: int = field(init=False, default=0)
    best: float = field(init=False, default=NOTHING)

    def __post_init__(self) -> None:
        self.finished, self._opened = self.kept, self.clock()
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
    def total_s(self) -> float:
        """Seconds since the run began, with whatever came first."""
        return self.clock() - self._opened

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
        """Such as ``120 of 500 trials``; ``searched`` where a final training is still to come."""
        trials = "trial" if self.trials == 1 else "trials"
        return f"{self.finished} of {self.trials} {trials}" + " searched" * self.trained_after

    def figures_text(self) -> str:
        """Such as ``best 73.49, 12,345 evaluations, 8,100/s``."""
        best = "" if self.best == NOTHING else f"best {self.metric.text(self.best)}, "
        return f"{best}{self.evaluations:,} evaluations, {_rate_text(self.rate)}"

    def left_text(self) -> str:
        """Such as ``2 min left``; empty while that is unknown, and at the end."""
        return f"{duration_text(self.left_s)} left" if self.left_s else ""


def count_text(trials: int) -> str:
    """``1 trial`` or ``5 trials``."""
    return "1 trial" if trials == 1 else f"{trials} trials"


def duration_text(seconds: float) -> str:
    """A duration in the largest fitting unit: ``0.2 s``, ``35 s``, ``12 min``, ``3.5 h``."""
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE_S)
    return f"{minutes} min" if minutes < MINUTE_S else f"{seconds / HOUR_S:.1f} h"


def _rate_text(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


@contextmanager
def reading(experiment: Experiment, job: Job | None) -> Generator[None]:
    """Say on a terminal that data is read while the block does so."""
    console = Console(stderr=True)
    if not console.is_terminal or not (job is None or job.alone):
        yield
        return
    with console.status(f"reading the data of {experiment.task.name}"):
        yield


def announce(opened: Opened, job: Job | None) -> None:
    """Say before the search what comes after it and may take longer."""
    experiment = opened.experiment
    plan = opened.judging.final_training
    if not plan or job is not None:
        return
    pairs = len(experiment.seeds) * len(experiment.final_tasks)
    each = "" if pairs == 1 else f" for each of {pairs} results (trials x tasks)"
    log.info("after the search comes the final training: %s%s", plan, each)


@contextmanager
def live(
    experiment: Experiment,
    kept: int,
    *,
    job: Job | None = None,
    metric: Metric | None = None,
    trained_after: bool = False,
    console: Console | None = None,
) -> Generator[Watch]:
    """Shows how far a run is while the block plays it; yields what the pipeline is to call.

    A terminal gets a few lines that are rewritten. Elsewhere, and in jobs that run side by side,
    the log gets a line a minute, and for a single run one at its start, its end, and when a stage
    such as the final training begins.

    Args:
        experiment: what is played.
        kept: trials that were done before.
        job: of which sweep the run is a job; None: of none.
        metric: of the search's scores; None: the task's.
        trained_after: whether a final training follows the search.
        console: where to show it; None: the process's standard error.
    """
    console = console or Console(stderr=True)
    each = experiment.budget.within(experiment.algorithm.planned_steps).evaluations
    metric = metric or experiment.task.metric
    pace = Pace(
        len(experiment.seeds), kept, each, experiment.meta is not None, metric=metric,
        trained_after=trained_after,
    )  # fmt: skip
    label = f"{experiment.algorithm.name} on {experiment.task.name}"
    if job is not None:
        label = f"{job.text}: {label}"
    if console.is_terminal and (job is None or job.alone):
        with Screen(pace, label).shown(console, transient=job is not None) as watch:
            yield watch
        return
    yield from _logged(pace, label, logging.INFO if job is None else logging.DEBUG)


class StagePace:
    """How long what is under way besides the search will take; see ``nasrun.progress``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._name, self._share = clock, "", 0.0
        self._began, self._before = clock(), 0.0

    def left_s(self, stages: Sequence[Stage]) -> float | None:
        """Seconds until the outermost stage ends; None while nobody can tell."""
        name, share = stages[0].name, stages[0].share
        moves = stages[0].late and self._share == 0.0 < share
        if name != self._name or share < self._share or moves:  # another one, or begun anew
            self._began, self._before = self._clock(), share
        self._name, self._share = name, share
        done = share - self._before
        return (self._clock() - self._began) * (1 - share) / done if done > 0 else None

    def texts(self, stages: Sequence[Stage]) -> tuple[str, str]:
        """What is under way, and how long it will be (empty: unknown)."""
        left_s = self.left_s(stages)
        left = f"{duration_text(left_s)} left" if left_s else ""
        return ", ".join(stage.text for stage in stages), left


class Screen:
    """The lines of a terminal: a bar, the search's figures, and what else is under way."""

    def __init__(self, pace: Pace, label: str) -> None:
        self._pace, self._label, self._stage = pace, label, ("", "")
        self._stages, self._due, self._name = StagePace(pace.clock), 0.0, ""
        self._trials, self._figures, self._left = pace.trials_text(), "", ""

    @contextmanager
    def shown(self, console: Console, transient: bool) -> Generator[Watch]:
        """Show the lines while the block works."""
        lines = Live(
            console=console,
            get_renderable=lambda: self,
            transient=transient,
            redirect_stdout=sys.stdout.isatty(),  # else it is a file's, which the log is for
            refresh_per_second=8,
        )
        with lines, heard_by(self.hear):
            yield self.watch
            self._left, self._stage = f"took {duration_text(self._pace.total_s)}", ("", "")

    def watch(self, finished: int, evaluations: int, best: float) -> None:
        """Take note of how far the search is."""
        self._pace.watch(finished, evaluations, best)
        self._trials, self._figures = self._pace.trials_text(), self._pace.figures_text()
        self._left = self._pace.left_text()

    def hear(self, stages: Sequence[Stage]) -> None:
        """Take note of what is under way, now and then."""
        now, name = self._pace.clock(), stages[0].name if stages else ""
        if name == self._name and now < self._due:
            return
        self._name, self._due = name, now + HEAR_EVERY_S
        self._stage = self._stages.texts(stages) if stages else ("", "")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What stands there now; where a line is too long, its name or its words give way."""
        width = options.max_width
        reached = ", ".join(filter(None, (self._trials, self._left)))
        head = Table.grid(padding=(0, 1, 0, 0))
        label = min(len(self._label), max(1, width - BAR - len(reached) - 2))
        for column in (label, BAR, len(reached)):
            head.add_column(no_wrap=True, overflow="ellipsis", width=column)
        bar = ProgressBar(1.0, self._pace.share, width=BAR)
        head.add_row(Text(self._label), bar, reached)
        yield head
        for text, left in ((self._figures, ""), self._stage):
            end = f", {left}" if left else ""
            line = Text(f"  {text}", no_wrap=True)
            line.truncate(max(1, width - len(end)), overflow="ellipsis")
            if text:
                yield line.append(end)


def _logged(pace: Pace, label: str, edge: int) -> Generator[Watch]:
    """Log lines now and then; those at the ``edge`` of stages with that level."""
    stages, due_s, name = StagePace(pace.clock), LOG_EVERY_S, ""

    def watch(finished: int, evaluations: int, best: float) -> None:
        nonlocal due_s
        pace.watch(finished, evaluations, best)
        if pace.total_s >= due_s:
            due_s = pace.total_s + LOG_EVERY_S
            parts = (pace.trials_text(), pace.figures_text(), pace.left_text())
            log.info("%s: %s", label, ", ".join(filter(None, parts)))

    def hear(under_way: Sequence[Stage]) -> None:
        nonlocal due_s, name
        before, name = name, under_way[0].name if under_way else name
        if name not in (before, *QUIET):
            log.log(edge, "%s: %s begins", label, name)
        if under_way:
            stages.left_s(under_way)  # timed from its beginning
        if under_way and pace.total_s >= due_s:
            due_s = pace.total_s + LOG_EVERY_S
            parts = (pace.trials_text(), *stages.texts(under_way))
            log.info("%s: %s", label, ", ".join(filter(None, parts)))

    before = f", {pace.kept} of them done before" if pace.kept else ""
    log.log(edge, "%s: %s%s", label, count_text(pace.trials), before)
    with heard_by(hear):
        yield watch
    took = duration_text(pace.total_s)
    log.log(edge, "%s: %s, %s, %s", label, pace.trials_text(), pace.figures_text(), took)
