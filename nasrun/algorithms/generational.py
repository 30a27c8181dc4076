"""Searches whose steps are generations: many evaluations, the best of which is on record."""

from abc import abstractmethod

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.spec import Archs, Measured, Phase, Problem, Streams


class Generational(SampleBased):
    """``ask`` gives ``(T, N, L)`` architectures, and ``tell`` gets ``(T, N, ...)`` measurements.

    A step counts as N evaluations, so a budget in evaluations is overspent by fewer than N. The
    best of each generation is on record; what neither lives nor is on record is forgotten.
    """

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin without members."""
        super().start(problem, streams, phase)
        self._recorded: set[bytes] = set()
        self._kept: dict[bytes, Archs] = {}

    @property
    @abstractmethod
    def living(self) -> Archs:
        """``(..., L)`` members from which others may still descend."""

    def step(self) -> Measured:
        """Ask, evaluate, tell."""
        asked = self.ask()
        generation = self.problem.evaluate_generation(asked)
        best = generation.best_of_generation()
        self._remember(best)
        self._recorded |= {arch.tobytes() for arch in best.archs}
        self.tell(generation)
        self.steps += 1
        self._forget(asked)
        return best

    def _forget(self, asked: Archs) -> None:
        """Let the space drop what came and went, or else a long search fills the memory."""
        width = asked.shape[-1]
        self._kept |= {arch.tobytes(): arch for arch in asked.reshape(-1, width)}
        alive = {arch.tobytes() for arch in self.living.reshape(-1, width)} | self._recorded
        gone = [key for key in self._kept if key not in alive]
        if gone:
            self.problem.space.forget(np.stack([self._kept.pop(key) for key in gone]))
