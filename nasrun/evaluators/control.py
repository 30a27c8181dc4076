"""Controllers that are tried out on what they should control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spec import (
    Archs,
    Clock,
    ControlTask,
    Evaluator,
    Floats,
    Ints,
    Mask,
    Measured,
    Metric,
    Protocol,
    Scored,
    SearchSpace,
    Session,
    Streams,
    Task,
)


@dataclass
class Control(Evaluator):
    """Tries networks out on a ``ControlTask``; nothing is trained, and a try has no cost.

    Final figures are the percentage of what was asked for, where the search tried the networks
    (``val_score``) and from other starts (``test_score``).
    """

    name: str = "control"

    clock: ClassVar[Clock] = Clock.SIMULATED

    def opened(self, space: SearchSpace, task: Task) -> "ControlSession":
        """Nothing to load.

        Raises:
            UnsupportedError: the task controls nothing, or the space has no controllers.
            ConfigError: networks of the space do not fit the task.
        """
        return ControlSession(self.name, space, task)


class ControlSession(Session):
    """Tries of a task's controllers."""

    def __init__(self, name: str, space: SearchSpace, task: Task) -> None:
        self.name, self._space = name, space
        self._task = self._require(task)
        self.metric = self._task.metric
        first = space.controllers(np.zeros((1, len(space.decisions)), np.int64))
        for what, owns, needs in (
            ("inputs", first.inputs, self._task.inputs),
            ("outputs", first.outputs, self._task.outputs),
        ):
            if owns != needs:
                raise ConfigError(
                    f"task={task.name} needs networks with {needs} {what}, and those of "
                    f"space={space.name} have {owns}: set space.{what}={needs}"
                )
        # Of the last generation: members that stay are not tried again.
        self._fitness: dict[bytes, float] = {}
        self._solved: dict[bytes, bool] = {}
        # By a trial's seed, whoever else is in the cohort: members that were asked if they solve.
        self._tested: dict[int, set[bytes]] = {}

    def _require(self, task: Task) -> ControlTask:
        if not isinstance(task, ControlTask):
            raise UnsupportedError(
                f"evaluator={self.name} tries controllers out, and task={task.name} has nothing to "
                "control: use task=xor, double_pole or double_pole_positions"
            )
        return task

    @property
    def fidelities(self) -> tuple[int, ...]:
        """No epoch at all."""
        return (0,)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Fitness of ``archs (T, L)``."""
        alone = self.evaluate_generation(archs[:, None], epochs=epochs, streams=streams)
        return alone.best_of_generation()

    def evaluate_generation(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Fitness of ``archs (T, N, L)``; equal ones of a generation are tried once."""
        trials, members = archs.shape[:2]
        flat = archs.reshape(trials * members, -1)
        keys = [arch.tobytes() for arch in flat]
        new = _first(keys, self._fitness)
        if len(new):
            found = self._task.fitness(self._space.controllers(flat[new]))
            self._fitness |= zip([keys[at] for at in new], found.tolist(), strict=True)
        self._fitness = {key: self._fitness[key] for key in keys}
        score = np.array([self._fitness[key] for key in keys]).reshape(trials, members)
        solved = self._solve(flat, keys, score, streams.seeds)
        lengths = np.repeat(epochs[:, None], members, axis=1)
        return Measured.scored(archs, lengths, score, np.full(score.shape, np.nan), solved=solved)

    def _solve(self, flat: Archs, keys: list[bytes], score: Floats, seeds: Sequence[int]) -> Mask:
        """``(T, N)`` which of ``flat (T * N, L)`` solve the task, as far as the task asks it."""
        rows = list(range(len(keys)))
        if self._task.champions:
            rows = self._champions(keys, score, seeds)
        at = np.array(rows, np.int64)[_first([keys[row] for row in rows], self._solved)]
        if len(at):
            found = self._task.solved(self._space.controllers(flat[at]), score.ravel()[at])
            self._solved |= zip([keys[one] for one in at], found.tolist(), strict=True)
        self._solved = {key: self._solved[key] for key in keys if key in self._solved}
        return np.array([self._solved.get(key, False) for key in keys]).reshape(score.shape)

    def _champions(self, keys: list[bytes], score: Floats, seeds: Sequence[int]) -> list[int]:
        """Of each trial the row of the best member that it has not put to the test, if any.

        The best member stays the best for many generations. Stanley's C++ does not ask it again
        either: it takes the best of a species that was not asked since it became better.
        """
        rows = list[int]()
        for trial, (seed, own) in enumerate(zip(seeds, score, strict=True)):
            tested, first = self._tested.setdefault(seed, set()), trial * len(own)
            mine = keys[first : first + len(own)]
            if any(self._solved.get(key, False) for key in mine):
                continue
            ranked = np.argsort(-own, kind="stable").tolist()  # NaN stands last
            new = next((at for at in ranked if mine[at] not in tested), None)
            if new is not None:
                tested.add(mine[new])
                rows.append(first + new)
        return rows

    def final_metric(self, task: Task) -> Metric:
        """Success in percent."""
        return self._require(task).final_metric

    def check_final(self, task: Task) -> None:
        """Refuse a final task that shows networks something else."""
        other = self._require(task)
        if (other.inputs, other.outputs) != (self._task.inputs, self._task.outputs):
            raise ConfigError(
                f"retrain.tasks names {task.name}, whose networks have other inputs or outputs "
                f"than those of task={self._task.name}: leave it out"
            )

    def score(self, archs: Archs, task: Task) -> Scored:
        """Success of ``archs (n, L)`` in percent; ``params_m`` counts enabled links."""
        found = self._require(task).achieved(self._space.controllers(archs))
        unknown = np.full(len(archs), np.nan)
        params_m, flops_m = self._space.footprint(archs, task)
        return Scored(*found, params_m, flops_m, unknown, "not trained")

    @property
    def protocol(self) -> Protocol:
        """What is tried."""
        task = self._task
        return Protocol(task.search_split, "one try", "-", "none: tries are not timed")


def _first(keys: list[bytes], known: Mapping[bytes, object]) -> Ints:
    """Where the keys that are not known stand first."""
    places = {key: at for at, key in reversed(list(enumerate(keys))) if key not in known}
    return np.array(sorted(places.values()), np.int64)
