"""Regularised evolution that begins with the best architectures of other tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasrun.algorithms.aging import AgingEvolution
from nasrun.algorithms.base import ranked_last, require_learnt
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, Streams

CELLS = "cells"  # key among the learnt arrays


@dataclass
class WarmREA(AgingEvolution):
    """REA whose first members are what REA found on each of the meta-training tasks.

    The naive way to transfer, for comparison with methods that learn to search: no paper's own.
    Meta-training is ``REA`` on the pool's tasks, as many measurements as any other method has
    there; an agent keeps the best architecture of each task, in the order of their first meta
    epochs. A search measures these first, those that are equal once, then random ones until the
    population is full. Without meta-training it is REA, step by step.
    """

    name: str = "rea_warm"
    learns_to_search: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._found: dict[str, tuple[Archs, Floats]] = {}  # best of each task, agents first
        self._learnt: Mapping[str, Any] = {}

    def learnt(self) -> dict[str, Any]:
        """``cells (agents, tasks, L)``; those loaded, if no meta-training was here."""
        if not self._found:
            return dict(self._learnt)
        return {CELLS: np.stack([archs for archs, _ in self._found.values()], axis=1)}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Begin later searches with these: trial seed s takes agent s mod agents."""
        require_learnt(self, state, CELLS)
        self._learnt, self._found = dict(state), {}

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with an empty population."""
        super().start(problem, streams, phase)
        self._cells: Archs = np.zeros((problem.trials, 0, self._best.shape[1]), np.int64)
        if phase is Phase.SEARCH and self._learnt:
            cells = self._learnt[CELLS][:, : self.population]
            self._cells = cells[np.array(streams.seeds, np.int64) % len(cells)]

    def ask(self) -> Archs:
        """``(T, L)`` the other tasks' best, each once, then as REA."""
        archs = super().ask()
        if self.steps >= self._cells.shape[1]:
            return archs
        own, earlier = self._cells[:, self.steps], self._cells[:, : self.steps]
        known = (earlier == own[:, None]).all(axis=2).any(axis=1)
        return np.where(known[:, None], archs, own)

    def tell(self, measured: Measured) -> None:
        """Replace the oldest member; a meta task's best one is kept for later."""
        super().tell(measured)
        if self.phase is not Phase.META_TRAIN:
            return
        task, reward = self.problem.task.name, ranked_last(measured.reward)
        archs, best = self._found.get(task, (measured.archs, reward))
        better = reward > best
        self._found[task] = (
            np.where(better[:, None], measured.archs, archs), np.where(better, reward, best)
        )  # fmt: skip
