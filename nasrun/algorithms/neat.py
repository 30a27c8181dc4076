"""NEAT: networks that grow, protected by species."""

import math
from dataclasses import dataclass, field

import numpy as np

from nasrun.algorithms.base import ranked_last
from nasrun.algorithms.generational import Generational
from nasrun.algorithms.species import Species, breeding, divided, shares
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Floats, Mask, Measured, Phase, Problem, Streams

DRAWS = 6  # uniforms that plan a child
UNCHANGED = -1  # in place of a second parent: the child is a copy of the first


@dataclass
class _Trial:
    """What a trial knows of its population."""

    species: list[Species] = field(default_factory=list[Species])
    best: float = -np.inf
    stuck: int = 0  # generations since the best of all has improved


@dataclass
class NEAT(Generational):
    """Evolves weights and wiring together, in species that compete among themselves.

    Stanley and Miikkulainen, "Evolving Neural Networks through Augmenting Topologies"
    (Evolutionary Computation 10(2), 2002), section 3; settings of section 4.1 (recalled). Genomes,
    their markings, mutation and crossover are those of ``space=genome``, which says where they
    depart. Distance is ``unmatched`` E / N + ``weight`` W, with E genes that one genome alone has,
    N genes of the larger one (1 below ``small``), W the mean difference of matching weights.

    Departures: disjoint and excess genes weigh the same, as c1 = c2 in the paper's settings;
    where all species stagnate, the two best breed;
    of equally fit parents the one drawn first counts as the fitter; fitness below zero is shifted
    up to it, because it is shared out. A trial whose task is solved stops evolving.

    Args:
        population: genomes of a generation, N.
        generations: after which a search ends, if the task is not solved before.
        unmatched: c1 = c2.
        weight: c3.
        threshold: distance below which genomes are of one species.
        small: genes below which N counts as 1.
        survivors: share of a species, the best of it, that breeds.
        champion: members from which on a species' best one goes on unchanged.
        unmated: share of children with one parent.
        mutated: share of the others that are mutated, too.
        interspecies: of the others, share with a parent of another species.
        patience: generations without improvement after which a species does not breed.
        stuck: generations without any improvement after which the two best species breed alone.

    Raises:
        ConfigError: a count below 1, or a number out of range.
    """

    name: str = "neat"
    population: int = 150
    generations: int = 200
    unmatched: float = 1.0
    weight: float = 0.4
    threshold: float = 3.0
    small: int = 20
    survivors: float = 0.2
    champion: int = 6
    unmated: float = 0.25
    mutated: float = 0.8
    interspecies: float = 0.001
    patience: int = 50
    stuck: int = 20

    def __post_init__(self) -> None:
        counts = ("population", "generations", "small", "champion", "patience", "stuck")
        require_at_least(self, "algorithm", 1, *counts)
        require_not_negative(self, "algorithm", "unmatched", "weight")
        require_positive(self, "algorithm", "threshold")
        require_within(self, "algorithm", "(0, 1]", "survivors")
        require_within(self, "algorithm", "[0, 1]", "unmated", "mutated", "interspecies")

    @property
    def planned_steps(self) -> int:
        """Generations."""
        return self.generations

    @property
    def evaluations_a_step(self) -> int:
        """A generation."""
        return self.population

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin without a population.

        Raises:
            UnsupportedError: the space has no genes to compare.
        """
        super().start(problem, streams, phase)
        minimal = np.zeros((1, self._best.shape[1]), np.int64)
        problem.space.differences(minimal, minimal[0])
        self._archs: Archs = np.zeros((problem.trials, 0, minimal.shape[1]), np.int64)
        self._fitness: Floats = np.zeros((problem.trials, 0))
        self._solved: Mask = np.zeros(problem.trials, np.bool_)
        self._trials = [_Trial() for _ in range(problem.trials)]

    @property
    def living(self) -> Archs:
        """``(..., L)`` the population, and representatives of its species."""
        species = [one for trial in self._trials for one in trial.species]
        members = self._archs.reshape(-1, self._best.shape[1])
        return np.concatenate([members, *[one.representative[None] for one in species]])

    def ask(self) -> Archs:
        """``(T, N, L)`` random genomes at first, then the offspring of the last generation."""
        space, streams = self.problem.space, self.streams
        if not self.steps:
            return np.stack([space.sample(streams) for _ in range(self.population)], axis=1)
        # A solved trial stands still: all of its members have been tried.
        moving = np.flatnonzero(~self._solved)
        children, streams = self._archs.copy(), streams.part(moving)
        draws = streams.uniform(DRAWS * self.population).reshape(-1, self.population, DRAWS)
        trials = [self._trials[at] for at in moving]
        each = zip(trials, self._fitness[moving], draws, strict=True)
        parents = np.array([self._parents(*one) for one in each]).reshape(-1, self.population, 2)
        for child, (first, second) in enumerate(parents.transpose(1, 2, 0)):
            copied = second == UNCHANGED
            a, b = (self._archs[moving, one] for one in (first, np.where(copied, first, second)))
            crossed = space.crossover(a, b, streams)
            mated = ~copied & (first != second)
            stays = copied | (mated & (draws[:, child, -1] >= self.mutated))
            mutants = space.mutate(crossed, streams)
            children[moving, child] = np.where(stays[:, None], crossed, mutants)
        return children

    def _parents(self, trial: _Trial, fitness: Floats, draws: Floats) -> list[tuple[int, int]]:
        """``(N, 2)`` the parents of each child, the fitter first; ``UNCHANGED`` for a copy."""
        species = breeding(trial.species, self.patience, trial.stuck == self.stuck)
        if trial.stuck == self.stuck:  # they begin anew
            trial.stuck = 0
            for one in species:
                one.stagnant = 0
        pools = [self._pool(one, fitness) for one in species]
        parents = list[tuple[int, int]]()
        for own, count in enumerate(shares(species, _not_negative(fitness), self.population)):
            copies = int(len(species[own].members) >= self.champion and count > 0)
            parents += [(pools[own][0], UNCHANGED)] * copies
            for _ in range(count - copies):
                parents.append(self._pair(pools, own, fitness, draws[len(parents)].tolist()))
        return parents

    def _pool(self, species: Species, fitness: Floats) -> list[int]:
        """The members that breed, the best first."""
        ranked = sorted(species.members, key=lambda member: -fitness[member])
        return ranked[: math.ceil(self.survivors * len(ranked))]

    def _pair(
        self, pools: list[list[int]], own: int, fitness: Floats, draws: list[float]
    ) -> tuple[int, int]:
        """The parents of a child; without mating twice the same."""
        alone, across, which, first, second, _ = draws
        a = pools[own][int(first * len(pools[own]))]
        if alone < self.unmated:
            return a, a
        if across < self.interspecies and len(pools) > 1:
            own = (own + 1 + int(which * (len(pools) - 1))) % len(pools)
        b = pools[own][int(second * len(pools[own]))]
        return (b, a) if fitness[b] > fitness[a] else (a, b)

    def tell(self, measured: Measured) -> None:
        """Divide a generation into species."""
        self._archs, self._fitness = measured.archs, ranked_last(measured.reward)
        if measured.solved is not None:
            self._solved = self._solved | measured.solved.any(axis=1)
        moving = np.flatnonzero(~self._solved)
        draws = self.streams.part(moving).uniform(self.population)
        for at, own in zip(moving, draws, strict=True):
            self._divide(self._trials[at], self._archs[at], self._fitness[at], own)

    def _divide(self, trial: _Trial, archs: Archs, fitness: Floats, draws: Floats) -> None:
        trial.species = divided(archs, trial.species, self._distance, self.threshold)
        for species, draw in zip(trial.species, draws, strict=False):
            species.take(fitness)
            species.representative = archs[species.members[int(draw * len(species.members))]]
        best = float(fitness.max())
        trial.stuck = 0 if best > trial.best else trial.stuck + 1
        trial.best = max(best, trial.best)

    def _distance(self, archs: Archs, other: Archs) -> Floats:
        found = self.problem.space.differences(archs, other)
        genes = np.where(found.genes < self.small, 1, found.genes)
        return self.unmatched * found.unmatched / genes + self.weight * found.weight


def _not_negative(fitness: Floats) -> Floats:
    """What can be shared out: failures have none."""
    known = fitness[np.isfinite(fitness)]
    lowest = min(0.0, float(known.min())) if len(known) else 0.0
    return np.where(np.isfinite(fitness), fitness - lowest, 0.0)
