"""Exclusive or: the smallest task that needs a hidden unit."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.spec import Controllers, ControlTask, Floats, Mask

PCT = 100.0


@dataclass
class XOR(ControlTask):
    """The four cases of an exclusive or, shown with a bias of 1.

    Stanley and Miikkulainen (2002), section 4.2 (recalled), as in goNEAT: fitness is (4 - sum of
    the errors)^2, and the task is solved when all four answers are on the right side of 0.5.
    """

    inputs: int = 3
    outputs: int = 1

    # ``(cases, inputs)``: both truth values and the bias.
    _cases: ClassVar[tuple[tuple[float, ...], ...]] = ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1))
    _answers: ClassVar[tuple[float, ...]] = (0, 1, 1, 0)

    def _errors(self, controllers: Controllers) -> Floats:
        """``(cases, n)`` distances of the answers from the right ones."""
        found = list[Floats]()
        for case in self._cases:
            controllers.reset()
            shown = np.repeat(np.array(case)[:, None], len(controllers), axis=1)
            found.append(controllers.act(shown, passes=None)[0])
        return np.abs(np.stack(found) - np.array(self._answers)[:, None])

    def fitness(self, controllers: Controllers) -> Floats:
        """``(n,)`` from 0 to 16."""
        errors = self._errors(controllers)
        return (len(errors) - errors.sum(axis=0)) ** 2

    def solved(self, controllers: Controllers, fitness: Floats) -> Mask:
        """``(n,)`` whether all four answers are right."""
        return np.logical_and.reduce(self._errors(controllers) < 0.5, axis=0)

    def achieved(self, controllers: Controllers) -> tuple[Floats, Floats]:
        """Share of the four cases that are right; there are no others."""
        right = PCT * (self._errors(controllers) < 0.5).mean(axis=0)
        return right, right
