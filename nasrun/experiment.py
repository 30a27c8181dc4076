"""A run as its config describes it, and the same run with its data opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.budget import Budget
from nasrun.record.evaluations import Kept
from nasrun.record.rows import PROTOCOL
from nasrun.spec import (
    Algorithm,
    Archs,
    Clock,
    Database,
    Device,
    Evaluator,
    Floats,
    Hardware,
    Ints,
    Library,
    Measured,
    Measuring,
    MetaPool,
    MetaSession,
    Metric,
    Problem,
    Protocol,
    SearchImages,
    SearchSpace,
    Session,
    Streams,
    Task,
    require_readable,
)


@dataclass(frozen=True)
class MetaTraining:
    """What an algorithm learns to search on, and where what it learnt is kept.

    ``recipe`` is the part of the config that decides what is learnt.
    """

    pool: MetaPool | Database
    recipe: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs, built and checked; nothing is opened yet."""

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
    kept_evaluations: Kept = Kept.csv
    export: Sequence[str] = ()  # file formats in which the finally trained networks are kept

    def opened(self) -> "Opened":
        """Load what measuring and judging need; what the data cannot serve is refused here."""
        measuring = self.evaluator.opened(self.space, self.task)
        require_readable(measuring.metric)
        judging = measuring
        if self.scorer is not None:
            self.scorer.check_scorer()
            judging = self.scorer.opened(self.space, self.task)
        for task in self.final_tasks:
            judging.check_final(task)
            require_readable(judging.final_metric(task))
        if self.export:
            judging.check_export(list(self.export))
        device = self.hardware.opened(self.space, self.task)
        pool = None
        if self.meta is not None:
            pool = self.meta.pool.opened(self.space, self.task, self.evaluator)
        return Opened(self, measuring, judging, device, pool)

    @property
    def clock(self) -> Clock:
        """Where the costs of the search come from."""
        return Clock.MEASURED if self.algorithm.own_costs else self.evaluator.clock


@dataclass(frozen=True)
class Opened:
    """An experiment with its data at hand: what measures, what judges, the device, the pool.

    ``judging`` gives the final figures.
    """

    experiment: Experiment
    measuring: Session
    judging: Session
    device: Device
    pool: MetaSession | Library | None = None

    @property
    def files(self) -> Mapping[str, str]:
        """Data files read so far for search and final figures, and their sha256."""
        algorithm = self.experiment.algorithm
        reads = algorithm.trains or algorithm.reads_images
        images: Mapping[str, str] = self.experiment.task.load().files if reads else {}
        measured = {**self.judging.files, **self.measuring.files, **self.device.files}
        return {**measured, **algorithm.files, **images}

    @property
    def metric(self) -> Metric:
        """Of the search's scores: a method that trains by itself has the task's."""
        experiment = self.experiment
        return experiment.task.metric if experiment.algorithm.trains else self.measuring.metric

    @property
    def images(self) -> Mapping[str, str]:
        """Where the images that were read come from and how they were split, by task."""
        tasks = (self.experiment.task, *self.experiment.final_tasks)
        splits = {task.name: task.loaded for task in tasks}
        return {name: images.source for name, images in splits.items() if images is not None}

    @property
    def inputs(self) -> Mapping[str, Mapping[str, Any]]:
        """What networks trained on the images that were read take and give, by task."""
        tasks = (self.experiment.task, *self.experiment.final_tasks)
        splits = {task.name: task.loaded for task in tasks}
        return {
            name: images.pictures.described for name, images in splits.items() if images is not None
        }

    @property
    def protocol(self) -> Protocol:
        """How the search's figures come about."""
        algorithm, limit = self.experiment.algorithm, self.experiment.budget.evaluations
        own = {key: text for key in PROTOCOL if (text := algorithm.protocol.get(key)) is not None}
        planned = algorithm.planned_steps
        if "fidelity" in own and planned and limit is not None and limit < planned:
            own["fidelity"] += f"; ended after {limit} by budget.evaluations"
        return replace(self.measuring.protocol, **own)

    @property
    def meta_label(self) -> str:
        """What was meta-trained on, in a few words."""
        return self.pool.label if self.pool else "none"


def problem_of(
    space: SearchSpace,
    task: Task,
    measuring: Measuring,
    device: Device,
    streams: Streams,
    folder: Path | None = None,
    metric: Metric | None = None,
) -> Problem:
    """The task as an algorithm may see it: measurements come with reward, without test figures.

    ``metric`` is that of what ``measuring`` returns, unless the algorithm measures by itself.
    """
    draws = streams.fork("evaluator")  # so that a look-up never shifts the search's own numbers
    metric = metric or measuring.metric

    def reward(score: Floats, latency_ms: Floats) -> Floats:
        return device.reward(score, latency_ms, metric)

    def measure(archs: Archs, epochs: Ints, parents: Archs | None) -> Measured:
        measured = measuring.evaluate(archs, epochs=epochs, streams=draws, parents=parents)
        latency_ms = device.latency_ms(measured.archs)
        rewards = reward(measured.score, latency_ms)
        return replace(measured, latency_ms=latency_ms, reward=rewards)

    def measure_generation(archs: Archs, epochs: Ints) -> Measured:
        measured = measuring.evaluate_generation(archs, epochs=epochs, streams=draws)
        flat = device.latency_ms(measured.archs.reshape(-1, archs.shape[-1]))
        rewards = reward(measured.score.reshape(-1), flat)
        shape = measured.score.shape
        return replace(measured, latency_ms=flat.reshape(shape), reward=rewards.reshape(shape))

    def images() -> SearchImages:
        return task.load().search

    return Problem(
        space=space,
        task=task.described,
        metric=metric,
        trials=len(streams),
        fidelities=measuring.fidelities,
        measure=measure,
        measure_generation=measure_generation,
        latency_ms=device.latency_ms,
        reward=reward,
        objective_names=device.objectives,
        objective_values=lambda score, ms: np.asarray(device.objective_values(score, ms, metric)),
        images=images,
        folder=folder,
        curves=measuring.curves,
        read_curve=lambda archs, epochs, figure: measuring.curve(
            archs, epochs=epochs, figure=figure
        ),
    )
