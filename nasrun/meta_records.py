"""Meta-training from records: each learner of an algorithm once, for all targets, and kept."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from nasrun.experiment import Opened
from nasrun.progress import stage
from nasrun.record.artifact import Artifact, Made, code_hash, fetch, shipped
from nasrun.spec import Learner, Library


def learn_from_records(
    opened: Opened, library: Library, names: Sequence[str] = (), *, anew: bool = False
) -> Mapping[str, Artifact]:
    """What each learner learnt from the records, by its name; fetched where it is kept.

    Args:
        opened: whose algorithm has the learners.
        library: the records.
        names: of the learners that are asked for; none: all.
        anew: whether to pass over what comes along with nasrun.
    """
    learners = opened.experiment.algorithm.learners
    return {
        name: _artifact(opened, library, name, learners[name], anew) for name in names or learners
    }


def inputs_of(opened: Opened, library: Library, name: str) -> dict[str, Any]:
    """All that decides what a learner learns, but the code."""
    meta = opened.experiment.meta
    assert meta is not None
    inputs = {
        "learner": name,
        "settings": meta.recipe["algorithm"][name],
        "space": meta.recipe["space"],
        "meta": meta.recipe["meta"],
        "data": dict(sorted(library.files.items())),
    }
    return inputs | ({"evaluator": meta.recipe["evaluator"]} if library.uses_evaluator else {})


def _artifact(
    opened: Opened, library: Library, name: str, learner: Learner, anew: bool
) -> Artifact:
    experiment = opened.experiment
    assert experiment.meta is not None
    inputs = inputs_of(opened, library, name)
    if library.shipped is not None and not anew:
        found = shipped(library.shipped / f"{name}.safetensors", inputs)
        if found is not None:
            return replace(found, cost={**found.cost, "comes_with": "nasrun"})
    parts: list[object] = [learner, experiment.meta.pool, experiment.space]
    if library.uses_evaluator:
        parts.append(experiment.evaluator)
    code = code_hash(*parts)
    make = partial(_made, opened, library, name, learner)
    return fetch(experiment.meta.folder, {**inputs, "code": code}, make)


def _made(opened: Opened, library: Library, name: str, learner: Learner) -> Made:
    """Learn now, and account for it."""
    began = time.perf_counter()
    with stage(f"meta-training the {name}"):
        records = library.records()
        learnt = learner.learn(records, opened.experiment.space)
    cost = {"records": len(records.archs)}
    wall_s = time.perf_counter() - began
    return Made(learnt.arrays, cost, learnt.columns, learnt.rows, wall_s)
