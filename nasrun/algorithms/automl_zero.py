"""AutoML-Zero: regularised evolution of programs."""

import math
from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.aging import AgingEvolution
from nasrun.algorithms.generational import Generational
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Measured, Phase, Problem, Streams


@dataclass
class AutoMLZero(Generational, AgingEvolution):
    """Tournaments in a ring of age, whose children come in batches.

    Real et al., "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch" (ICML 2020),
    section 3, and google-research ``automl_zero`` (``regularized_evolution.cc``): a tournament
    draws with replacement, the winner has a child, which is a mutant with probability
    1 - ``identity``, and takes the place of the oldest. What programs are and how they mutate is
    said by ``space=program``, how they are judged by ``evaluator=programs``.

    Departure: ``children`` are made of one population and measured together, as by so many workers
    that begin at once; with 1 it is the sequential algorithm. No trial migrates to another.

    Args:
        children: of a step.

    Raises:
        ConfigError: more children than the ring has room for.
    """

    name: str = "automl_zero"
    population: int = 100
    sample: int = 10
    identity: float = 0.1
    children: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "children")

    @property
    def startup_steps(self) -> int:
        """Random programs, until the ring is full."""
        return math.ceil(self.population / self.children)

    @property
    def evaluations_a_step(self) -> int:
        """A batch of children."""
        return self.children

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with an empty ring.

        Raises:
            UnsupportedError: the space has no programs.
        """
        problem.space.programs(np.zeros((1, len(problem.space.decisions)), np.int64))
        super().start(problem, streams, phase)

    @property
    def living(self) -> Archs:
        """``(T, P, L)`` the ring."""
        return self._archs

    def ask(self) -> Archs:
        """``(T, N, L)`` random programs at first, then children of one population."""
        return np.stack([super(Generational, self).ask() for _ in range(self.children)], axis=1)

    def tell(self, measured: Measured) -> None:
        """Put the children into the ring, one after the other."""
        first = self.steps * self.children
        for child in range(self.children):
            self.replace((first + child) % self.population, measured.archs[:, child],
                         measured.reward[:, child])  # fmt: skip
