"""Evaluators that decide what another one measures, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Metric,
    Protocol,
    Scored,
    Session,
    Task,
)


@dataclass
class Wrapping(Evaluator):
    """Stands before another evaluator, ``then``, whose clock and final figures are its own."""

    then: Any = field(default=None)  # an Evaluator; OmegaConf knows no abstract types

    @property
    def clock(self) -> Clock:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the evaluator behind."""
        return self.then.clock

    @property
    def at_once(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the evaluator behind."""
        return self.then.at_once

    def check_scorer(self) -> None:
        """Ask the evaluator behind."""
        self.then.check_scorer()


def behind(evaluator: Evaluator) -> Evaluator:
    """What measures in the end: the evaluator itself, or the last one behind it."""
    while isinstance(evaluator, Wrapping):
        evaluator = evaluator.then
    return evaluator


class WrappingSession(Session):
    """An evaluator before another one, opened for a space and a task."""

    def __init__(self, name: str, then: Session) -> None:
        self.name, self.metric, self._then = name, then.metric, then

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Those of the evaluator behind."""
        return self._then.fidelities

    @property
    def curves(self) -> tuple[str, ...]:
        """Those of the evaluator behind."""
        return self._then.curves

    def curve(self, archs: Archs, *, epochs: Ints, figure: str = "val_score") -> Floats:
        """``(n, max(epochs))`` of the evaluator behind, for all that is asked for."""
        return self._then.curve(archs, epochs=epochs, figure=figure)

    def final_metric(self, task: Task) -> Metric:
        """That of the evaluator behind."""
        return self._then.final_metric(task)

    def check_final(self, task: Task) -> None:
        """Ask the evaluator behind."""
        self._then.check_final(task)

    @property
    def final_training(self) -> str:
        """That of the evaluator behind."""
        return self._then.final_training

    def score(self, archs: Archs, task: Task) -> Scored:
        """Final figures of the evaluator behind."""
        return self._then.score(archs, task)

    def check_export(self, formats: list[str]) -> None:
        """Ask the evaluator behind."""
        self._then.check_export(formats)

    def export(self, arch: Archs, task: Task, stem: Path, formats: list[str]) -> None:
        """Leave it to the evaluator behind."""
        self._then.export(arch, task, stem, formats)

    @property
    def why_nothing(self) -> str:
        """That of the evaluator behind."""
        return self._then.why_nothing

    @property
    def protocol(self) -> Protocol:
        """That of the evaluator behind."""
        return self._then.protocol

    @property
    def files(self) -> Mapping[str, str]:
        """Those of the evaluator behind."""
        return self._then.files
