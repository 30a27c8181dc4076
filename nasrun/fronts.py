"""The best compromises that each trial found between several objectives: ``pareto.csv``."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from nasrun.experiment import Opened
from nasrun.play import Outcome
from nasrun.record.history import History, longest, texts
from nasrun.record.rows import ParetoRow, cells
from nasrun.report.pareto import hypervolume, pareto_front
from nasrun.spec import Archs, Floats, Ints, Measured, Task


def pareto_rows(opened: Opened, outcome: Outcome, history: History) -> Iterator[ParetoRow]:
    """Each trial's best compromises between the device's objectives: by trial, then by task.

    Those that the algorithm names, scored on every final task; else all of its measurements that
    no other beats, as they were measured.
    """
    if outcome.fronts is None and len(opened.device.objectives) < 2:
        return
    named = outcome.fronts or [None] * len(history.seeds)
    fronts = [_front(opened, history, trial, members) for trial, members in enumerate(named)]
    ends = np.cumsum([0, *(len(front.archs) for front in fronts)]).tolist()
    if not ends[-1]:
        return
    judged = outcome.fronts is not None
    tasks = opened.experiment.final_tasks if judged else [opened.experiment.task]
    columns = [_columns(opened, fronts, task, judged) for task in tasks]
    terms = vars(opened.device.terms)
    protocol = {**terms, **vars(opened.protocol), "meta": opened.meta_label}
    for trial, (first, after) in enumerate(pairwise(ends)):
        for task, column in zip(tasks, columns, strict=True):
            for member in range(first, after):
                yield ParetoRow(
                    space=opened.experiment.space.name,
                    search_task=opened.experiment.task.name,
                    task=task.name,
                    algorithm=opened.experiment.algorithm.label,
                    seed=int(history.seeds[trial]),
                    metric=opened.metric.name,
                    **{name: figures[member] for name, figures in column.items()},
                    **protocol,
                )


def _front(opened: Opened, history: History, trial: int, named: Archs | None) -> Measured:
    """A trial's ``k`` best compromises, among all that it measured or those that are named."""
    found = history.of_trial(trial)
    if named is not None:
        same = (found.archs[:, None] == named).all(axis=-1)
        rows = longest(same, found.epochs[:, None], found.reward[:, None])
        found = _taken(found, rows[rows >= 0])
    values = _values(opened, found)
    known = ~np.isnan(values).any(axis=1)
    # A score after a short training does not compare with one after a long one.
    known = np.flatnonzero(known & (found.epochs == found.epochs[known].max(initial=0)))
    return _taken(found, known[pareto_front(values[known])])


def _taken(found: Measured, rows: Ints) -> Measured:
    """Some of the measurements."""
    fields = {name: figures[rows] for name, figures in vars(found).items() if figures is not None}
    return replace(found, **fields)


def _values(opened: Opened, found: Measured) -> Floats:
    """``(n, K)`` the objectives, each to be maximised."""
    metric = opened.metric
    return opened.device.objective_values(found.score, found.latency_ms, metric)


def _columns(
    opened: Opened, fronts: list[Measured], task: Task, judged: bool
) -> dict[str, list[Any]]:
    """Columns of the members of all trials, one after the other."""

    def joined(name: str) -> Any:
        return np.concatenate([getattr(front, name) for front in fronts])

    archs: Archs = joined("archs")
    sizes = [len(front.archs) for front in fronts]
    covered = [hypervolume(_values(opened, front), _reference(opened)) for front in fronts]
    if judged:
        score = opened.judging.score(archs, task)
        test, params_m, flops_m = score.test_score, score.params_m, score.flops_m
        final, test_metric = score.final, opened.judging.final_metric(task).name
    else:
        test, final, test_metric = np.full(len(archs), np.nan), None, None
        params_m, flops_m = opened.experiment.space.footprint(archs, task)
    return {
        "arch": texts(opened.experiment.space, archs),
        "epochs": joined("epochs").tolist(),
        "val_score": cells(joined("score")),
        "test_metric": [test_metric] * len(archs),
        "test_score": cells(test),
        "latency_ms": cells(joined("latency_ms")),
        "reward": cells(joined("reward")),
        "params_m": cells(params_m),
        "flops_m": cells(flops_m),
        "hypervolume": cells(np.repeat(covered, sizes)),
        "final": [final] * len(archs),
    }


def _reference(opened: Opened) -> Floats:
    """``(K,)`` the worst value of each objective; NaN where there is none."""
    metric, device = opened.metric, opened.device
    worst = np.array([np.nan if metric.worst is None else metric.worst])
    [reference] = device.objective_values(worst, np.array([device.reference_ms]), metric)
    return reference
