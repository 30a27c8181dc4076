"""What evaluators share whose figures a model predicts that was fitted to one task before."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spec import Archs, Floats, Scored, SearchSpace, Session, Task


class PredictedSession(Session):
    """A model, opened for its space and its task. It knows validation figures alone.

    A subclass says how many ``epochs`` the trainings had that it learnt from (the one fidelity),
    and what is written beside its ``final`` figures.

    Raises:
        UnsupportedError: another task.
    """

    known_task: ClassVar[str]
    epochs: ClassVar[int]
    final: ClassVar[str]

    def __init__(self, name: str, space: SearchSpace, task: Task) -> None:
        self.name, self.metric, self._space = name, task.metric, space
        self.check_final(task)

    def check_final(self, task: Task) -> None:
        """Refuse another task than that of the model."""
        if task.name != self.known_task:
            raise UnsupportedError(
                f"evaluator={self.name} has models of task={self.known_task} alone, and this run "
                f"has task={task.name}: set task={self.known_task}, or evaluator=training"
            )

    @property
    def fidelities(self) -> tuple[int, ...]:
        """One alone."""
        return (self.epochs,)

    @abstractmethod
    def predicted(self, archs: Archs) -> Floats:
        """``(n,)`` scores of ``archs (n, L)``, NaN where one does not exist."""

    def score(self, archs: Archs, task: Task) -> Scored:
        """The predicted validation score; there is no test score."""
        unknown = np.full(len(archs), np.nan)
        size = self._space.footprint(archs, task)
        return Scored(self.predicted(archs), unknown, *size, unknown, self.final)
