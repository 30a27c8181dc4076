"""Meta-training: agents learn to search on a pool of tasks, once, and are kept."""

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasrun.budget import Budget
from nasrun.experiment import Opened, problem_of
from nasrun.meta_records import learn_from_records
from nasrun.play import Outcome, Watch, play
from nasrun.progress import stage, tell
from nasrun.record.artifact import Artifact, Made, code_hash, fetch
from nasrun.record.history import History
from nasrun.record.rows import EVALUATION_COLUMNS, by_column
from nasrun.spec import (
    Algorithm,
    Device,
    Library,
    Measuring,
    MetaPool,
    MetaSession,
    Phase,
    Streams,
    Task,
)

META_COLUMNS = ("epoch", "task", *EVALUATION_COLUMNS)


@dataclass(frozen=True)
class MetaEpoch:
    """A meta epoch that was played: on which task, and what the agents measured and found."""

    epoch: int
    task: Task
    measuring: Measuring
    history: History
    outcome: Outcome


def adapt(opened: Opened) -> Mapping[str, Any]:
    """Give the algorithm what meta-training learnt; returns what the provenance says about it."""
    if opened.pool is None:
        return {}
    if isinstance(opened.pool, Library):
        return _adapt_to_records(opened, opened.pool)
    artifact = meta_train(opened)
    opened.experiment.algorithm.load_learnt(artifact.arrays)
    cost = {key: value for key, value in artifact.cost.items() if key != "wall_s"}
    return {"pool": opened.pool.label, "artifact": artifact.key, **cost}


def _adapt_to_records(opened: Opened, library: Library) -> Mapping[str, Any]:
    """Give the algorithm what its learners learnt; their arrays bear the learners' names."""
    artifacts = learn_from_records(opened, library)
    opened.experiment.algorithm.load_learnt(
        {f"{name}/{key}": a for name, made in artifacts.items() for key, a in made.arrays.items()}
    )
    return {
        "pool": library.label,
        **{name: {"artifact": made.key, **made.cost} for name, made in artifacts.items()},
    }


def meta_train(opened: Opened) -> Artifact:
    """Train agents on the pool, or fetch those that were trained on the same before."""
    experiment, session = opened.experiment, opened.pool
    assert experiment.meta is not None
    assert isinstance(session, MetaSession)
    meta, pool = experiment.meta, experiment.meta.pool
    assert isinstance(pool, MetaPool)
    parts: list[object] = [experiment.algorithm, pool, experiment.space]
    files = {**opened.device.files, **session.files}
    if experiment.algorithm.reads_images:
        files |= _image_files(session, pool.epochs)
    inputs = dict(meta.recipe)
    if session.uses_target:
        files = {**opened.measuring.files, **files}
    else:  # the same for all targets, so that none of them trains anew
        inputs["task"] = None
    if session.uses_evaluator:
        parts.append(experiment.evaluator)
    else:
        inputs["evaluator"] = None
    inputs["code"] = code_hash(*parts)
    inputs["data"] = dict(sorted(files.items()))
    return fetch(meta.folder, inputs, lambda: _made(opened))


def _image_files(session: MetaSession, epochs: int) -> dict[str, str]:
    """Files of the images of a pool's tasks and their sha256; the config has their places alone."""
    tasks = {task.name: task for task, _ in map(session.problem, range(epochs))}
    return {
        f"{name}/{file}": digest
        for name, task in tasks.items()
        for file, digest in task.files.items()
    }


def _made(opened: Opened) -> Made:
    """Train the agents side by side, and account for it."""
    began = time.perf_counter()
    experiment = opened.experiment
    assert experiment.meta is not None
    pool, space = experiment.meta.pool, experiment.space
    assert isinstance(pool, MetaPool)
    algorithm = copy.deepcopy(experiment.algorithm)
    cost_s, evaluations, rows = 0.0, 0, list[tuple[Any, ...]]()
    with stage("meta-training"):
        for played in meta_epochs(opened, algorithm):
            cost_s += float(played.outcome.clock_s.sum())
            evaluations += int(played.outcome.evaluations.sum())
            measuring = played.measuring
            columns = played.history.columns(space, measuring.metric, measuring.protocol)
            lines = by_column(columns, EVALUATION_COLUMNS)
            rows.extend((played.epoch, played.task.name, *line) for line in lines)
        algorithm.end_meta_training()
    cost = {
        "agents": pool.agents,
        "evaluations": evaluations,
        "cost_s": None if np.isnan(cost_s) else round(cost_s, 3),
        "clock": experiment.clock.value,
    }
    return Made(algorithm.learnt(), cost, META_COLUMNS, rows, time.perf_counter() - began)


def meta_epochs(opened: Opened, algorithm: Algorithm) -> Iterator[MetaEpoch]:
    """Play the meta epochs one by one, as they are asked for; ``algorithm`` learns from each."""
    experiment, session = opened.experiment, opened.pool
    assert experiment.meta is not None
    assert isinstance(session, MetaSession)
    pool, space = experiment.meta.pool, experiment.space
    assert isinstance(pool, MetaPool)
    seeds = np.arange(pool.seed, pool.seed + pool.agents)
    budget = Budget(evaluations=pool.networks)
    devices: dict[str, Device] = {}  # by task: the tasks of a pool take turns
    for epoch in range(pool.epochs):
        task, measuring = session.problem(epoch)
        if task.name not in devices:
            devices[task.name] = experiment.hardware.opened(space, task)
        device = devices[task.name]
        history = History(seeds)
        streams = Streams(seeds.tolist(), f"meta/{epoch}")
        problem = problem_of(space, task, measuring, device, streams)
        watch = _told(epoch, pool, task)
        outcome = play(algorithm, problem, budget, streams, Phase.META_TRAIN, history, watch)
        yield MetaEpoch(epoch, task, measuring, history, outcome)


def _told(epoch: int, pool: MetaPool, task: Task) -> Watch:
    """A watch that says how far a meta epoch is."""
    whole = pool.agents * pool.networks

    def watch(finished: int, evaluations: int, best: float) -> None:
        where = f"epoch {epoch + 1} of {pool.epochs} on {task.name}"
        tell(
            (epoch + evaluations / whole) / pool.epochs,
            lambda: f"{where}, {evaluations} of {whole} evaluations",
        )

    return watch
