"""The stages of a run: meta-train, adapt, search, retrain."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.play import Outcome, Watch, play
from nasrun.record.artifact import Artifact, Made, code_hash, fetch
from nasrun.record.history import EVALUATION_COLUMNS, History, cells, texts
from nasrun.record.recorder import Recorder
from nasrun.spec import (
    Algorithm,
    Archs,
    Clock,
    Evaluator,
    Floats,
    Hardware,
    Ints,
    Measured,
    MetaPool,
    Phase,
    Problem,
    SearchSpace,
    Streams,
    Task,
)

META_COLUMNS = ("epoch", "task", *EVALUATION_COLUMNS)


@dataclass(frozen=True)
class MetaTraining:
    """What an algorithm learns to search on, and where what it learnt is kept.

    ``recipe`` is the part of the config that decides what is learnt.
    """

    pool: MetaPool
    recipe: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs, built and checked."""

    space: SearchSpace
    task: Task
    algorithm: Algorithm
    evaluator: Evaluator
    hardware: Hardware
    budget: Budget
    final_tasks: Sequence[Task]
    seeds: range
    cohort: int  # trials advanced together: more memory, less time a trial
    meta: MetaTraining | None = None
    scorer: Evaluator | None = None  # gives the final figures; None: the search's own evaluator
    export: Sequence[str] = ()  # file formats in which the finally trained networks are kept

    @property
    def judge(self) -> Evaluator:
        """Who gives the final figures."""
        return self.scorer or self.evaluator

    @property
    def files(self) -> Mapping[str, str]:
        """Data files read so far for search and final figures, and their sha256."""
        images: Mapping[str, str] = self.task.load().files if self.algorithm.trains else {}
        return {
            **self.judge.files(),
            **self.evaluator.files(),
            **self.hardware.files(),
            **images,
        }

    @property
    def images(self) -> Mapping[str, str]:
        """Where the images that were read come from and how they were split, by task."""
        splits = {task.name: task.loaded for task in (self.task, *self.final_tasks)}
        return {name: images.source for name, images in splits.items() if images is not None}

    @property
    def protocol(self) -> Mapping[str, str]:
        """What every row says about how its figures came about."""
        label = self.meta.pool.label if self.meta else "none"
        return {**self.evaluator.protocol, **self.algorithm.protocol, "meta": label}

    @property
    def clock(self) -> Clock:
        """Where the costs of the search come from."""
        return Clock.MEASURED if self.algorithm.trains else self.evaluator.clock


@dataclass(frozen=True)
class Practice:
    """A meta epoch that was played: on which task, and what the agents measured and found."""

    epoch: int
    task: Task
    evaluator: Evaluator
    history: History
    outcome: Outcome


def meta_train(experiment: Experiment, meta: MetaTraining) -> Artifact:
    """Train agents on the pool, or fetch those that were trained on the same before."""
    parts = (experiment.algorithm, meta.pool, experiment.evaluator, experiment.space)
    code = code_hash(*(type(part) for part in parts))
    inputs = {**meta.recipe, "code": code, "data": dict(sorted(_files(experiment).items()))}
    return fetch(meta.folder, inputs, lambda: _made(experiment, meta.pool))


def _made(experiment: Experiment, pool: MetaPool) -> Made:
    """Train the agents side by side, and account for it."""
    began = time.perf_counter()
    algorithm = copy.deepcopy(experiment.algorithm)
    cost_s, rows = 0.0, list[tuple[Any, ...]]()
    for practice in practise(experiment, pool, algorithm):
        cost_s += float(practice.outcome.clock_s.sum())
        lines = practice.history.rows(experiment.space, practice.evaluator.protocol)
        rows.extend((practice.epoch, practice.task.name, *line) for line in lines)
    cost = {
        "agents": pool.agents,
        "evaluations": pool.agents * pool.epochs * pool.networks,
        "cost_s": None if np.isnan(cost_s) else round(cost_s, 3),
        "clock": experiment.clock.value,
        "wall_s": round(time.perf_counter() - began, 3),
    }
    return Made(algorithm.learnt(), cost, META_COLUMNS, rows)


def practise(experiment: Experiment, pool: MetaPool, algorithm: Algorithm) -> Iterator[Practice]:
    """Play the meta epochs one by one, as they are asked for; ``algorithm`` learns from each."""
    seeds = np.arange(pool.seed, pool.seed + pool.agents)
    budget = Budget(evaluations=pool.networks)
    for epoch in range(pool.epochs):
        task, evaluator = pool.problem(epoch)
        hardware = copy.copy(experiment.hardware)
        hardware.start(experiment.space, task)
        own = replace(experiment, task=task, evaluator=evaluator, hardware=hardware)
        history = History(seeds)
        streams = Streams(seeds.tolist(), f"meta/{epoch}")
        problem = _problem(own, streams)
        outcome = play(algorithm, problem, budget, streams, Phase.META_TRAIN, history)
        yield Practice(epoch, task, evaluator, history, outcome)


def _files(experiment: Experiment) -> Mapping[str, str]:
    """Data files read so far and their sha256."""
    files = {**experiment.evaluator.files(), **experiment.hardware.files()}
    return {**files, **(experiment.meta.pool.files() if experiment.meta else {})}


def adapt(experiment: Experiment) -> Mapping[str, Any]:
    """Give the algorithm what meta-training learnt; returns what the provenance says about it."""
    if experiment.meta is None:
        return {}
    artifact = meta_train(experiment, experiment.meta)
    experiment.algorithm.load_learnt(artifact.arrays)
    cost = {key: value for key, value in artifact.cost.items() if key != "wall_s"}
    return {"pool": experiment.meta.pool.label, "artifact": artifact.key, **cost}


def search(
    experiment: Experiment, seeds: Ints, watch: Watch | None, folder: Path | None = None
) -> tuple[Outcome, History]:
    """Play the search of the trials with these seeds; checkpoints go to ``folder``."""
    streams = Streams(seeds.tolist())
    problem = replace(_problem(experiment, streams), folder=folder)
    history = History(seeds)
    outcome = play(
        experiment.algorithm, problem, experiment.budget, streams, Phase.SEARCH, history, watch
    )
    return outcome, history


def _problem(experiment: Experiment, streams: Streams) -> Problem:
    """The task as an algorithm may see it: measurements come with reward, without test figures."""
    evaluator, hardware = experiment.evaluator, experiment.hardware
    draws = streams.fork("evaluator")  # so that a look-up never shifts the search's own numbers

    def measure(archs: Archs, epochs: Ints) -> Measured:
        measured = evaluator.evaluate(archs, epochs=epochs, streams=draws)
        latency_ms = hardware.latency_ms(archs)
        reward = hardware.reward(measured.val_acc_pct, latency_ms)
        return replace(measured, latency_ms=latency_ms, reward=reward)

    return Problem(
        space=experiment.space,
        task=experiment.task,
        trials=len(streams),
        fidelities=evaluator.fidelities,
        measure=measure,
        latency_ms=hardware.latency_ms,
        reward=hardware.reward,
    )


def retrain(experiment: Experiment, outcome: Outcome, seeds: Ints) -> Iterator[tuple[Any, ...]]:
    """Score what was found on every final task: rows of ``trials.csv``, by trial, then task."""
    space, protocol = experiment.space, experiment.protocol
    latency_ms = experiment.hardware.latency_ms(outcome.archs)
    scores = [experiment.judge.score(outcome.archs, task) for task in experiment.final_tasks]
    by_task = [
        zip(
            *(cells(figure) for figure in (outcome.reward, score.val_acc_pct, score.test_acc_pct)),
            *(cells(figure) for figure in (latency_ms, score.params_m, score.flops_m)),
            outcome.evaluations.tolist(),
            *(cells(figure) for figure in _seconds(experiment, outcome)),
            [None if np.isnan(rank) else int(rank) for rank in score.rank],
            strict=True,
        )
        for score in scores
    ]
    names = texts(space, outcome.archs)
    for seed, name, *figures in zip(seeds.tolist(), names, *by_task, strict=True):
        for task, score, row in zip(experiment.final_tasks, scores, figures, strict=True):
            key = (space.name, experiment.task.name, task.name, experiment.algorithm.name)
            yield (*key, seed, name, *row, *protocol.values(), score.final)


def export(experiment: Experiment, outcome: Outcome, seeds: Ints, folder: Path) -> None:
    """Write the finally trained networks, those of a final task in a folder of its own."""
    if not experiment.export:
        return
    for task in experiment.final_tasks:
        for seed, arch in zip(seeds.tolist(), outcome.archs, strict=True):
            stem = folder / task.name / f"seed-{seed}"
            experiment.judge.export(arch, task, stem, list(experiment.export))


def _seconds(experiment: Experiment, outcome: Outcome) -> tuple[Floats, Floats]:
    """``simulated_s`` and ``wall_s`` of each trial, as far as they mean anything.

    How long this machine took to look figures up says nothing about a trial and differs between
    two equal runs; it is kept only where it decided when to stop. A run's own duration stands in
    ``status.json``.
    """
    unknown = np.full(len(outcome.clock_s), np.nan)
    if experiment.clock is Clock.MEASURED:
        return unknown, outcome.clock_s
    timed = experiment.budget.wall_s is not None
    return outcome.clock_s, outcome.wall_s if timed else unknown


def prepare(experiment: Experiment) -> None:
    """Load what judging needs; a request that the data cannot serve is refused here."""
    experiment.evaluator.start(experiment.space, experiment.task)
    if experiment.scorer is not None:
        if not experiment.scorer.gives_accuracy:
            raise ConfigError(
                f"scorer={experiment.scorer.name} gives no final accuracy: use one that does, such "
                "as +evaluator@scorer=tabular or training"
            )
        experiment.scorer.start(experiment.space, experiment.task)
    for task in experiment.final_tasks:
        experiment.judge.check_final(task)
    if experiment.export:
        experiment.judge.check_export(list(experiment.export))
    experiment.hardware.start(experiment.space, experiment.task)
    if experiment.meta is not None:
        experiment.meta.pool.start(experiment.space, experiment.task, experiment.evaluator)


def run(
    experiment: Experiment,
    recorder: Recorder,
    provenance: Callable[[], dict[str, Any]],
    watch: Watch | None = None,
) -> None:
    """Play the stages for the trials that the recorder does not have yet, and write the results.

    The experiment must be prepared.
    """
    if recorder.complete:
        return
    began = time.perf_counter()
    learnt = adapt(experiment)
    kept = recorder.finished()
    missing = np.array([seed for seed in experiment.seeds if seed not in kept], np.int64)
    size = experiment.cohort if experiment.algorithm.cohort else 1
    evaluations, best = 0, -np.inf
    for first in range(0, len(missing), size):
        seeds = missing[first : first + size]
        onward = _onward(watch, len(kept) + first, evaluations, best)
        work = recorder.work_folder(int(seeds[0]))
        outcome, history = search(experiment, seeds, onward, work)
        evaluations += int(outcome.evaluations.sum())
        best = float(np.fmax.reduce(np.append(outcome.reward, best)))
        rows = list(retrain(experiment, outcome, seeds))
        export(experiment, outcome, seeds, recorder.folder / "networks")
        pareto = not np.isnan(experiment.hardware.latency_ms(outcome.archs)).all()
        recorder.keep(rows, history, experiment.space, experiment.protocol, pareto)
    about = {"meta": learnt or None, "images": experiment.images or None}
    recorder.finish({**provenance(), **about}, time.perf_counter() - began)


def _onward(watch: Watch | None, trials: int, measured: int, best: float) -> Watch | None:
    """A watch that goes on from what earlier cohorts have finished, measured and found."""
    if watch is None:
        return None
    return lambda finished, evaluations, reward: watch(
        trials + finished, measured + evaluations, max(best, reward)
    )
