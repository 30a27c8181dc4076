"""A supernet that is trained once and kept for all that cut their networks out of it."""

import copy
import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.files import unwritable
from nasrun.locks import file_lock
from nasrun.nets.once_for_all import OnceForAll
from nasrun.nets.training_request import images_id
from nasrun.progress import stage
from nasrun.spec import ACCURACY, Algorithm, Phase, Problem, SearchSpace, Streams, Task

FORMAT = "nasrun-supernet-1"  # to be raised whenever the same settings would give other weights
MACHINE = ("device", "name")  # of a method's settings: where it runs, and what it is called
_loaded: dict[str, OnceForAll] = {}  # the one that was asked for last
_sound: set[str] = set()  # those that can be trained


def supernet_key(algorithm: Algorithm, space: SearchSpace, task: Task, seed: int) -> str:
    """Sixteen hex digits of everything that decides the weights."""
    method: Any = algorithm
    settings = {key: value for key, value in asdict(method).items() if key not in MACHINE}
    own: Any = space
    of_space = {field.name: getattr(own, field.name) for field in fields(own)}
    kind = f"{type(algorithm).__module__}.{type(algorithm).__name__}"
    what = [FORMAT, kind, settings, of_space, images_id(task.load()), seed]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def trained_supernet(
    algorithm: Algorithm, space: SearchSpace, task: Task, seed: int, folder: Path
) -> OnceForAll:
    """The supernet, from ``folder`` or trained now; a training that was stopped goes on.

    Of several processes that want the same one, the first trains it and the others wait.

    Raises:
        UnsupportedError: the space has no supernet that hands weights on.
        ConfigError: its weights are not finite any more.
        DataError: the folder cannot be written, or its checkpoint is damaged.
    """
    key = supernet_key(algorithm, space, task, seed)
    if key not in _loaded:
        place = folder / key
        try:
            place.mkdir(parents=True, exist_ok=True)
            with file_lock(place / ".lock"), stage(f"supernet of {task.name}"):
                network = _trained(copy.deepcopy(algorithm), space, task, seed, place)
        except OSError as error:
            raise unwritable(place, error) from error
        _loaded.clear()
        _loaded[key] = network
    return _loaded[key]


def check_supernet(algorithm: Algorithm, space: SearchSpace, task: Task, seed: int) -> None:
    """Begin one and train nothing, so that what cannot be trained is refused at once.

    Raises:
        UnsupportedError: as ``trained_supernet``.
        ConfigError: a device that is not there.
    """
    key = supernet_key(algorithm, space, task, seed)
    if key not in _sound:  # a run opens a session for each of its tasks
        _begun(copy.deepcopy(algorithm), space, task, seed, None)
        _sound.add(key)


def _begun(
    algorithm: Algorithm, space: SearchSpace, task: Task, seed: int, place: Path | None
) -> OnceForAll:
    algorithm.start(_problem(space, task, place), Streams([seed], "supernet"), Phase.META_TRAIN)
    network = algorithm.shared_weights
    if not isinstance(network, OnceForAll):
        raise UnsupportedError(
            f"space={space.name} has no supernet of which its networks are parts: use "
            "space=mobilenet_v3 or mobilenet_v3_32px"
        )
    return network


def _trained(
    algorithm: Algorithm, space: SearchSpace, task: Task, seed: int, place: Path
) -> OnceForAll:
    network = _begun(algorithm, space, task, seed, place)
    for _ in range(algorithm.planned_steps or 0):
        if np.isnan(algorithm.step().score).any():
            raise ConfigError(
                f"the supernet of {task.name} has diverged, so that no network can begin with its "
                "weights: set evaluator.supernet.learning_rate or evaluator.supernet.max_gradient "
                "lower"
            )
    return network.cpu().eval()


def _problem(space: SearchSpace, task: Task, place: Path | None) -> Problem:
    """What a method that shares weights asks of a problem; nothing else can be measured."""

    def nothing(*_: object) -> NoReturn:
        raise UnsupportedError("a supernet is trained without measuring single networks")

    return Problem(
        space=space,
        task=task.described,
        metric=ACCURACY,
        trials=1,
        fidelities=(1,),
        measure=nothing,
        measure_generation=nothing,
        latency_ms=lambda archs: np.full(len(archs), np.nan),
        reward=lambda score, _: score,
        objective_names=("score",),
        objective_values=lambda score, _: score[:, None],
        images=lambda: task.load().search,
        folder=place,
    )
