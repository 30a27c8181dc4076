"""Runs many programs on many tasks side by side, example by example."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasrun.programs.instructions import INSTRUCTIONS, Instruction
from nasrun.programs.program import FUNCTIONS, Line, Program
from nasrun.streams import Floats, Ints

MOST_ERROR = 100.0  # of a prediction, beyond which a program has failed; automl_zero/executor.h
Failed = NDArray[np.bool_]
LABEL, ANSWER, SHOWN = 0, 1, 0  # addresses: s0, s1 and v0


class Examples(NamedTuple):
    """Of ``D`` tasks: ``x (D, n, F)`` and ``y (D, n)``, to learn from and to be judged on."""

    train_x: Floats
    train_y: Floats
    valid_x: Floats
    valid_y: Floats

    def first(self, count: int) -> "Examples":
        """The first of both parts."""
        return Examples(*(part[:, :count] for part in self))


class Ran(NamedTuple):
    """``train (P, D, n)`` and ``valid (P, D, m)`` answers, and which ones went astray.

    A program fails by an error above ``MOST_ERROR`` or that is no number, on each task for itself:
    ``failed (P, D)``, ``failed_learning (P, D)`` of the training part alone. Its answers count to
    ``lasted (P, D)``, the first that went astray of both parts; n + m if none.
    """

    train: Floats
    valid: Floats
    failed: Failed
    failed_learning: Failed
    lasted: Ints


@dataclass(frozen=True)
class Memory:
    """How many scalars, vectors and matrices a program has."""

    scalars: int = 5
    vectors: int = 9
    matrices: int = 2


class _Call(NamedTuple):
    """One instruction of all programs that have it at one place; addresses are of all memories."""

    kind: Instruction
    inputs: tuple[Ints, ...]
    output: Ints
    constants: Floats  # (k, constants)
    place: int  # of the function and in it, for random numbers


class Interpreter:
    """The memories of ``P`` programs, all zeros at first.

    Programs stay apart and share random numbers by place, so each does the same among any others.

    Args:
        programs: P of them.
        memory: of each.
        tasks: D.
        features: F, length of a vector.
        seed: of the random numbers.
    """

    def __init__(
        self, programs: Sequence[Program], memory: Memory, tasks: int, features: int, seed: int
    ) -> None:
        self._tasks, self._features, self._seed = tasks, features, seed
        sizes = {"s": memory.scalars, "v": memory.vectors, "m": memory.matrices}
        shapes = {"s": (), "v": (features,), "m": (features, features)}
        count = len(programs)
        self._parts = {
            kind: np.zeros((count * size, tasks, *shapes[kind])) for kind, size in sizes.items()
        }
        self._scalars = self._parts["s"].reshape(count, memory.scalars, tasks)
        self._vectors = self._parts["v"].reshape(count, memory.vectors, tasks, features)
        self._calls = {
            name: _compiled([program[at] for program in programs], sizes, 1000 * at)
            for at, name in enumerate(FUNCTIONS)
        }

    def run(self, examples: Examples, squash: bool) -> Ran:
        """Set up, learn example by example, then answer the others.

        Args:
            examples: of all tasks.
            squash: whether an answer goes through a sigmoid before it is judged and learnt from.
        """
        with np.errstate(all="ignore"):
            self._do("setup", 0)
            train = self._pass(examples.train_x, examples.train_y, squash, learn=True)
            valid = self._pass(examples.valid_x, examples.valid_y, squash, learn=False)
            sound = np.abs(train - examples.train_y) <= MOST_ERROR  # False where it is no number
            right = np.abs(valid - examples.valid_y) <= MOST_ERROR
        both = np.concatenate([sound, right], axis=2)
        failed, failed_learning = (~np.logical_and.reduce(one, axis=2) for one in (both, sound))
        lasted = np.where(failed, np.argmin(both, axis=2), both.shape[2])
        return Ran(train, valid, failed, failed_learning, lasted)

    def _pass(self, x: Floats, y: Floats, squash: bool, *, learn: bool) -> Floats:
        answers = np.empty((len(self._scalars), self._tasks, x.shape[1]))
        for at in range(x.shape[1]):
            self._vectors[:, SHOWN] = x[:, at]
            self._scalars[:, LABEL] = 0.0
            self._do("predict", at)
            if squash:
                self._scalars[:, ANSWER] = 1.0 / (1.0 + np.exp(-self._scalars[:, ANSWER]))
            answers[:, :, at] = self._scalars[:, ANSWER]
            if learn:
                self._scalars[:, LABEL] = y[:, at]
                self._do("learn", at)
        return answers

    def _do(self, function: str, example: int) -> None:
        parts = self._parts
        for kind, inputs, output, constants, place in self._calls[function]:
            memory = parts[kind.output]
            if kind.run is None:
                self._set(kind, memory, output, constants, place + 100_000 * example)
            else:
                given = zip(kind.inputs, inputs, strict=True)
                memory[output] = kind.run(*[parts[one].take(at, 0) for one, at in given])

    def _set(
        self, kind: Instruction, memory: Floats, output: Ints, constants: Floats, place: int
    ) -> None:
        shape = memory.shape[1:]
        axes = (slice(None), *[None] * len(shape))
        if kind.name == "const_s":
            memory[output] = constants
            return
        if kind.name.startswith("const"):
            spots = (constants[:, :-1] * self._features).astype(np.int64)
            cells = [spots[:, at, None] for at in range(spots.shape[1])]
            memory[output[:, None], np.arange(self._tasks), *cells] = constants[:, -1:]
            return
        first, second = (constants[:, at][axes] for at in (0, 1))
        draws = np.random.default_rng([self._seed, place])
        if kind.name.startswith("gauss"):
            memory[output] = first + second * draws.standard_normal(shape)
        else:
            low, high = np.minimum(first, second), np.maximum(first, second)
            memory[output] = low + (high - low) * draws.random(shape)


def _compiled(
    functions: Sequence[tuple[Line, ...]], sizes: dict[str, int], first: int
) -> list[_Call]:
    """Instructions at each place, those of one name together."""
    calls = list[_Call]()
    for at in range(max(map(len, functions), default=0)):
        by_name: dict[str, list[tuple[int, Line]]] = {}
        for row, lines in enumerate(functions):
            if at < len(lines) and lines[at].name != "nothing":
                by_name.setdefault(lines[at].name, []).append((row, lines[at]))
        for name, own in by_name.items():
            kind = INSTRUCTIONS[name]
            rows = np.array([row for row, _ in own])
            inputs = tuple(
                rows * sizes[one] + np.array([line.inputs[number] for _, line in own])
                for number, one in enumerate(kind.inputs)
            )
            output = rows * sizes[kind.output] + np.array([line.output for _, line in own])
            constants = np.array([line.constants for _, line in own], np.float64)
            calls.append(_Call(kind, inputs, output, constants, first + at))
    return calls
