"""The stages of a run: meta-train, adapt, search, retrain."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.errors import DataError
from nasrun.experiment import Opened, problem_of
from nasrun.files import csv_rows
from nasrun.fronts import pareto_rows
from nasrun.measurements import PACKED, PLAIN
from nasrun.meta_training import adapt
from nasrun.play import Outcome, Watch, play
from nasrun.record.evaluations import Kept
from nasrun.record.history import History, texts
from nasrun.record.recorder import Part, Recorder
from nasrun.record.rows import TRIAL_COLUMNS, Columns, by_column, cells, policy_table
from nasrun.spec import Archs, Clock, Floats, Ints, Phase, Scored, Streams, Task

log = logging.getLogger("nasrun")
TALLIED = ("seed", "task", "reward", "test_score", "latency_ms", "failed", "evaluations")
MISSING = (None, "")  # in a cell of a row, and on disk
MOSTLY = 0.5  # share of failed measurements from which a run says so


def search(
    opened: Opened, seeds: Ints, watch: Watch | None, folder: Path | None = None
) -> tuple[Outcome, History]:
    """Play the search of the trials with these seeds; checkpoints go to ``folder``."""
    experiment, streams = opened.experiment, Streams(seeds.tolist())
    space, task = experiment.space, experiment.task
    problem = problem_of(
        space, task, opened.measuring, opened.device, streams, folder, opened.metric
    )
    history = History(seeds)
    outcome = play(
        experiment.algorithm, problem, experiment.budget, streams, Phase.SEARCH, history, watch
    )
    return outcome, history


def retrain(opened: Opened, outcome: Outcome, history: History) -> Columns:
    """Score what was found on every final task: columns of ``trials.csv``, by trial, then task."""
    tasks = opened.experiment.final_tasks
    by_task = [_final_columns(opened, outcome, history, task) for task in tasks]
    return {name: _in_turn([own[name] for own in by_task]) for name in TRIAL_COLUMNS}


def _in_turn(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """The first cell of each column, then the second of each, ..."""
    return [cell for row in zip(*columns, strict=True) for cell in row]


def _final_columns(opened: Opened, outcome: Outcome, history: History, task: Task) -> Columns:
    """What was found, scored on one final task."""
    experiment = opened.experiment
    archs, score = _found(opened, outcome.archs, task)
    simulated_s, wall_s = (cells(seconds) for seconds in _seconds(opened, outcome))
    words = {
        "space": experiment.space.name,
        "search_task": experiment.task.name,
        "task": task.name,
        "algorithm": experiment.algorithm.label,
        "metric": opened.judging.final_metric(task).name,
        **vars(opened.device.terms),
        **vars(opened.protocol),
        "meta": opened.meta_label,
        "final": score.final,
    }
    return {
        **{name: [word] * len(archs) for name, word in words.items()},
        "seed": history.seeds.tolist(),
        "arch": texts(experiment.space, archs),
        "reward": cells(outcome.reward),
        "latency_ms": cells(opened.device.latency_ms(archs)),
        "evaluations": outcome.evaluations.tolist(),
        "simulated_s": simulated_s,
        "wall_s": wall_s,
        "failed": outcome.failed.tolist(),
        **_final_figures(score),
    }


def _found(opened: Opened, archs: Archs, task: Task) -> tuple[Archs, Scored]:
    """What the trials found, and its figures on a task; an oracle chooses by them (see below)."""
    shortlist = opened.experiment.algorithm.shortlist()
    if shortlist is None:
        return archs, opened.judging.score(archs, task)
    return _oracle(opened, shortlist, task)


def _oracle(opened: Opened, shortlist: Archs, task: Task) -> tuple[Archs, Scored]:
    """Of ``(T, k, L)`` architectures each trial's best by test score, which ``final`` says."""
    trials, members = shortlist.shape[:2]
    scored = opened.judging.score(shortlist.reshape(trials * members, -1), task)
    metric = opened.judging.final_metric(task)
    tested = metric.oriented(scored.test_score).reshape(trials, members)
    best: Ints = np.where(np.isnan(tested), -np.inf, tested).argmax(axis=1)
    rows: Ints = members * np.arange(trials, dtype=np.int64) + best
    names = ("val_score", "test_score", "params_m", "flops_m", "rank")
    figures = {name: getattr(scored, name)[rows] for name in names}
    final = f"{scored.final}; oracle: best test score of {members}"
    return shortlist[np.arange(trials), best], Scored(**figures, final=final)


def _final_figures(score: Scored) -> dict[str, list[Any]]:
    names = ("val_score", "test_score", "params_m", "flops_m")
    figures: dict[str, list[Any]] = {name: cells(getattr(score, name)) for name in names}
    return {**figures, "rank": [None if np.isnan(rank) else int(rank) for rank in score.rank]}


def export(opened: Opened, trials: Columns, folder: Path) -> None:
    """Write the finally trained networks, those of a final task in a folder of its own."""
    formats = list(opened.experiment.export)
    if not formats:
        return
    tasks = {task.name: task for task in opened.experiment.final_tasks}
    for text, task, seed in by_column(trials, ("arch", "task", "seed")):
        arch, stem = opened.experiment.space.parse(text), folder / task / f"seed-{seed}"
        opened.judging.export(arch, tasks[task], stem, formats)


def _seconds(opened: Opened, outcome: Outcome) -> tuple[Floats, Floats]:
    """``simulated_s`` and ``wall_s`` of each trial, where they belong to the trial.

    How long this machine took to look figures up says nothing about a trial and differs between
    two equal runs; it is kept only where it decided when to stop. A run's own duration stands in
    ``status.json``.
    """
    unknown = np.full(len(outcome.clock_s), np.nan)
    if opened.experiment.clock is Clock.MEASURED:
        return unknown, outcome.clock_s
    timed = opened.experiment.budget.wall_s is not None
    return outcome.clock_s, outcome.wall_s if timed else unknown


def run(
    opened: Opened,
    recorder: Recorder,
    provenance: Callable[[], dict[str, Any]],
    watch: Watch | None = None,
) -> None:
    """Play the stages for the trials that the recorder does not have yet, and write the results."""
    if recorder.complete:
        return
    began, experiment = time.perf_counter(), opened.experiment
    learnt = adapt(opened)
    kept = recorder.finished()
    missing = np.array([seed for seed in experiment.seeds if seed not in kept], np.int64)
    size = min(experiment.cohort, experiment.evaluator.at_once or experiment.cohort)
    size = size if experiment.algorithm.cohort else 1
    tally = Tally()
    limit_ms = opened.device.terms.limit_ms
    tally.add_trials(map(itemgetter(*TALLIED), recorder.trials_on_record()), limit_ms)
    for first in range(0, len(missing), size):
        seeds = missing[first : first + size]
        onward = _onward(watch, len(kept) + first, tally)
        work = recorder.work_folder(int(seeds[0]))
        outcome, history = search(opened, seeds, onward, work)
        tally.add(outcome, history)
        trials = retrain(opened, outcome, history)
        tally.add_trials(by_column(trials, TALLIED), limit_ms)
        front = list(pareto_rows(opened, outcome, history))
        export(opened, trials, recorder.folder / "networks")
        form = experiment.kept_evaluations
        measured: Columns = {}
        if form is not Kept.none:
            measured = history.columns(experiment.space, opened.metric, opened.protocol)
        policy = outcome.policy and policy_table(outcome.policy, seeds)
        recorder.keep(Part(int(seeds.min()), trials, measured, front, policy, form))
    tally.tell(
        f"{experiment.algorithm.name} on {experiment.task.name}",
        trained=bool(opened.judging.final_training),
    )
    about = {
        "meta": learnt or None,
        "images": opened.images or None,
        "inputs": opened.inputs or None,
    }
    recorder.finish(experiment.seeds, {**provenance(), **about}, time.perf_counter() - began)
    _require_findings(opened, recorder.folder, tally)


def _require_findings(opened: Opened, folder: Path, tally: "Tally") -> None:
    """Refuse to call a run done that has found nothing, though it may have measured much.

    A method that measures nothing has no reward, and its final scores are what it is for.
    """
    trials = folder / "trials.csv"
    if any(row["reward"] for row in csv_rows(trials)):
        return
    scored = any(row["val_score"] or row["test_score"] for row in csv_rows(trials))
    if scored and not tally.measured:
        return
    (folder / "best.json").unlink(missing_ok=True)
    kept = [folder / name for name in (PLAIN, PACKED) if (folder / name).exists()]
    where = f"; {kept[0]} has every measurement" if kept else ""
    raise DataError(
        f"no trial found an architecture with a reward: {_why_nothing(opened, trials)}{where}"
    )


def _why_nothing(opened: Opened, trials: Path) -> str:
    """What may be the matter when no reward is known, in a few words."""
    experiment = opened.experiment
    if any(row["failed"] != row["evaluations"] for row in csv_rows(trials)):
        return (
            f"hardware={experiment.hardware.name} knows no latency of what was measured, or its "
            "file covers too little of the space"
        )
    if experiment.algorithm.trains:
        return "the shared weights gave no finite score"
    return opened.measuring.why_nothing


class Tally:
    """What the trials of a run have come to: those on record, and those that it has played itself.

    ``evaluations`` and ``best`` are of the latter alone.
    """

    def __init__(self) -> None:
        self.evaluations, self.best = 0, -np.inf
        self._scored = self._without_cost = 0
        self._trials = self._in_vain = self._too_slow = 0
        self._failed = self._measured = 0
        self._judged, self._unjudged = Counter[str](), Counter[str]()

    def add(self, outcome: Outcome, history: History) -> None:
        """Take in a cohort."""
        self.evaluations += int(outcome.evaluations.sum())
        self.best = float(np.fmax.reduce(np.append(outcome.reward, self.best)))
        self._scored += int(history.scored.sum())
        self._without_cost += int(history.without_cost.sum())

    def add_trials(self, rows: Iterable[Sequence[Any]], limit_ms: float | None) -> None:
        """Take in the cells ``TALLIED`` of trials, each trial's together, and the limit."""
        last = None
        for seed, task, reward, test_score, latency_ms, failed, evaluations in rows:
            found = reward not in MISSING
            if found:
                (self._unjudged if test_score in MISSING else self._judged)[task] += 1
            if seed == last:
                continue  # scored on another task
            last = seed
            self._trials += 1
            self._failed += int(failed)
            self._measured += int(evaluations)
            self._in_vain += not found and int(failed) > 0
            if limit_ms is not None and latency_ms not in MISSING:
                self._too_slow += float(latency_ms) > limit_ms

    @property
    def measured(self) -> int:
        """Measurements that count; a step may measure nothing."""
        return self._measured

    def tell(self, label: str, trained: bool = False) -> None:
        """Say what the figures alone would not: failures, and costs that are not known.

        ``trained``: whether the test scores are those of trainings, of which none should be
        missing; a table may have none at all.
        """
        if self._failed > MOSTLY * self._measured:
            log.warning(
                "%s: %.1f %% of %d measurements failed, so little was learnt: see val_score in "
                "evaluations.csv", label, 100 * self._failed / self._measured, self._measured,
            )  # fmt: skip
        if self._too_slow:
            log.warning(
                "%s: %d of %d trials found nothing within hardware.limit_ms: see latency_ms in "
                "trials.csv", label, self._too_slow, self._trials,
            )  # fmt: skip
        if 0 < self._in_vain < self._trials:
            log.warning(
                "%s: %d of %d trials found no architecture with a reward; means are over the rest",
                label, self._in_vain, self._trials,
            )  # fmt: skip
        if 0 < self._without_cost < self._scored:
            log.warning(
                "%s: %d of %d measurements have no known cost, so simulated_s is too low",
                label, self._without_cost, self._scored,
            )  # fmt: skip
        why = "the final training failed, see failure in cache_dir/trainings/trainings.csv"
        for task, lost in self._unjudged.items():
            if trained or self._judged[task]:
                log.warning(
                    "%s: %d of %d trials have no test score on %s%s", label, lost,
                    lost + self._judged[task], task,
                    f" ({why})" if trained else "; means are over the rest",
                )  # fmt: skip


def _onward(watch: Watch | None, trials: int, tally: Tally) -> Watch | None:
    """A watch that goes on from what earlier cohorts have finished, measured and found."""
    if watch is None:
        return None
    evaluations, best = tally.evaluations, tally.best
    return lambda finished, measured, reward: watch(
        trials + finished, evaluations + measured, max(best, reward)
    )
