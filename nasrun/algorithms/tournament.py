"""Evolution by tournaments in which nobody dies, as HNAS has it."""

import math
from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, Streams


@dataclass
class Tournament(SampleBased):
    """The best of a share of all members so far has a mutant, which joins them for good.

    Liu et al., "Hierarchical Representations for Efficient Architecture Search" (ICLR 2018; arXiv
    2017), section 3.2. Rivals are drawn without replacement. What a mutation changes is the space's
    own rule.

    Departures: the first members are random architectures of the space, where the paper has
    identity chains after a thousand mutations each, which is the same in its own space.
    """

    name: str = "hnas"
    initial: int = 20
    share: float = 0.05

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "initial")
        require_within(self, "algorithm", "(0, 1]", "share")

    @property
    def startup_steps(self) -> int:
        """The random first members."""
        return self.initial

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin without members."""
        super().start(problem, streams, phase)
        room = (problem.trials, self.initial)
        self._archs: Archs = np.zeros((*room, self._best.shape[1]), np.int64)
        self._rewards: Floats = np.zeros(room)

    def ask(self) -> Archs:
        """``(T, L)`` random architectures at first, then a mutated tournament winner."""
        if self.steps < self.initial:
            return self.problem.space.sample(self.streams)
        rivals = self.streams.subsets(self.steps, math.ceil(self.share * self.steps))
        trials = np.arange(len(rivals))
        winner = np.argmax(self._rewards[trials[:, None], rivals], axis=1)
        return self.problem.space.mutate(self._archs[trials, rivals[trials, winner]], self.streams)

    def tell(self, measured: Measured) -> None:
        """Add a member."""
        if self.steps == self._rewards.shape[1]:  # twice the room
            self._archs = np.concatenate([self._archs, np.zeros_like(self._archs)], axis=1)
            self._rewards = np.concatenate([self._rewards, np.zeros_like(self._rewards)], axis=1)
        self._archs[:, self.steps] = measured.archs
        self._rewards[:, self.steps] = ranked_last(measured.reward)
