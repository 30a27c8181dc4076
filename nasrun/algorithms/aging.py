"""The evolution that REA and its variants share: a ring of members, of which the oldest dies."""

from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, Streams


@dataclass
class AgingEvolution(SampleBased):
    """Tournament selection, one mutation, and the oldest member dies.

    Args:
        population: members of the ring.
        sample: drawn for a tournament, with replacement.
        identity: probability of a child that is its parent.

    Raises:
        ConfigError: a population or sample below 1, or a probability outside [0, 1].
    """

    population: int = 10
    sample: int = 3
    identity: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "population", "sample")
        require_within(self, "algorithm", "[0, 1]", "identity")

    @property
    def startup_steps(self) -> int:
        """The random initial population."""
        return self.population

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with an empty population."""
        super().start(problem, streams, phase)
        # A ring: the oldest member stands where the next child goes.
        self._archs: Archs = np.zeros((problem.trials, self.population, self._best.shape[1]), int)
        self._rewards: Floats = np.zeros((problem.trials, self.population))

    def ask(self) -> Archs:
        """``(T, L)`` random architectures at first, then a mutated tournament winner."""
        if self.steps < self.startup_steps:
            return self.problem.space.sample(self.streams)
        rivals = self.streams.integers(self.population, self.sample)
        trials = np.arange(len(rivals))
        winner = np.argmax(self._rewards[trials[:, None], rivals], axis=1)
        parents = self._archs[trials, rivals[trials, winner]]
        children = self.problem.space.mutate(parents, self.streams)
        if self.identity:
            same = self.streams.uniform(1) < self.identity
            children = np.where(same, parents, children)
        return children

    def tell(self, measured: Measured) -> None:
        """Replace the oldest member."""
        self.replace(self.steps % self.population, measured.archs, measured.reward)

    def replace(self, place: int, archs: Archs, rewards: Floats) -> None:
        """Put ``archs (T, L)`` where the ring's oldest members stand."""
        self._archs[:, place] = archs
        self._rewards[:, place] = ranked_last(rewards)
