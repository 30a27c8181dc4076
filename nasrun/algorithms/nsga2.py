"""NSGA-II: evolution towards the best compromises between several objectives."""

import logging
from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.archive import Archive
from nasrun.algorithms.base import SampleBased
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Phase, Problem, Streams

log = logging.getLogger(__name__)


@dataclass
class NSGA2(SampleBased):
    """Non-dominated sorting, crowding distance, binary tournaments, parents against children.

    Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (IEEE Transactions on
    Evolutionary Computation 6(2), 2002), section III. The objectives are the problem's own. Where
    it departs:

    - Crossover and mutation are the space's own: each decision from either parent at even odds, and
      one decision changed. The paper has single-point crossover of bits, and changes each of ``L``
      with probability ``1/L``. Hence legal parents have legal children in every space.
    - A generation's children are bred one by one, as they are measured. Parents do not change
      within a generation, so this is the same algorithm; only a budget may end within one.
    - A measurement that failed in an objective ranks behind all others.

    With one objective (``hardware=none``) fronts are levels of the score, and what remains is a
    (mu + lambda) genetic algorithm with binary tournaments. A front is then a single architecture,
    the recommended one. What is recommended is always the best reward that was measured.

    It is our own, and not ``pymoo``'s: all trials of a cohort advance together and trial by trial
    each draws from its own stream, which ``pymoo``, one population and one generator at a time,
    cannot do. Sorting and crowding are computed for all trials at once.
    """

    name: str = "nsga2"
    population: int = 20
    crossover_share: float = 0.9
    mutation_share: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "population")
        require_within(self, "algorithm", "[0, 1]", "crossover_share", "mutation_share")
        self._told = False

    @property
    def startup_steps(self) -> int:
        """The random initial population."""
        return self.population

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with an empty population."""
        super().start(problem, streams, phase)
        trials, decisions = self._best.shape
        objectives = len(problem.objective_names)
        if objectives == 1 and not self._told:
            log.info(
                "algorithm=%s has one objective, %s: it is a (mu + lambda) genetic algorithm; "
                "hardware=latency_table would add latency",
                self.name, problem.objective_names[0],
            )  # fmt: skip
            self._told = True
        # The parents, and behind them their children as far as they have been measured.
        self._archs: Archs = np.zeros((trials, 2 * self.population, decisions), np.int64)
        self._values: Floats = np.zeros((trials, 2 * self.population, objectives))
        self._standing: Ints = np.zeros((trials, self.population), np.int64)
        self._archive = Archive(trials, decisions, objectives)

    def ask(self) -> Archs:
        """``(T, L)`` random architectures at first, then children of tournament winners."""
        space, streams = self.problem.space, self.streams
        if self.steps < self.population:
            return space.sample(streams)
        mother, father = self._winner(), self._winner()
        crossed = space.crossover(mother, father, streams)
        child = np.where(self._chance(self.crossover_share), crossed, mother)
        mutated = space.mutate(child, streams)
        return np.where(self._chance(self.mutation_share), mutated, child)

    def _winner(self) -> Archs:
        """``(T, L)`` the better of two parents drawn with replacement; the first if none is."""
        first, second = self.streams.integers(self.population, 2).T
        trials = np.arange(len(first))
        better = self._standing[trials, second] < self._standing[trials, first]
        return self._archs[trials, np.where(better, second, first)]

    def _chance(self, share: float) -> Mask:
        """``(T, 1)`` True in this share of the cases."""
        return self.streams.uniform() < share

    def tell(self, measured: Measured) -> None:
        """Take in a child; the last one of a generation is followed by the survival."""
        values = self.problem.objectives(measured)
        self._archive.add(measured.archs, values)
        child = self.population + self.steps % self.population
        self._archs[:, child] = measured.archs
        failed = np.isnan(values).any(axis=1, keepdims=True)
        self._values[:, child] = np.where(failed, -np.inf, values)
        if child == 2 * self.population - 1:
            self._survive(self.population if self.steps < self.population else 0)

    def _survive(self, first: int) -> None:
        """Keep the best of parents and children, from member ``first`` on, as parents."""
        archs, values = self._archs[:, first:], self._values[:, first:]
        rank = non_dominated_rank(values)
        crowding = crowding_distance(values, rank)
        best = np.lexsort((-crowding, rank))[:, : self.population]
        self._archs[:, : self.population] = np.take_along_axis(archs, best[..., None], axis=1)
        self._values[:, : self.population] = np.take_along_axis(values, best[..., None], axis=1)
        rank = np.take_along_axis(rank, best, axis=1)
        crowding = np.take_along_axis(crowding, best, axis=1)
        worse = (rank[:, 1:] != rank[:, :-1]) | (crowding[:, 1:] != crowding[:, :-1])
        self._standing[:, 1:] = np.cumsum(worse, axis=1)

    def front(self) -> list[Archs] | None:
        """``T`` arrays ``(k, L)``: what no other measurement of the trial equals or beats."""
        return self._archive.fronts() if len(self.problem.objective_names) > 1 else None


def non_dominated_rank(values: Floats) -> Ints:
    """``(T, n)`` front of each of ``n`` members, 0 for those that none dominates.

    ``values (T, n, K)`` are to be maximised. Section III-A; fronts are peeled off one by one, in
    all trials at once.
    """
    as_good = np.asarray((values[:, :, None] >= values[:, None]).all(axis=-1))
    dominates = as_good & ~as_good.swapaxes(1, 2)
    rank: Ints = np.zeros(values.shape[:2], np.int64)
    left: Mask = np.ones(values.shape[:2], np.bool_)
    while left.any():
        left &= (dominates & left[:, :, None]).any(axis=1)
        rank += left
    return rank


def crowding_distance(values: Floats, rank: Ints) -> Floats:
    """``(T, n)`` how far apart the neighbours of each member are within its front.

    Section III-B: the sum over the objectives of the distance between the next worse and the next
    better member, by the range of the front; infinite for the best and the worst in an objective.
    ``values (T, n, K)``; ``rank (T, n)`` is that of ``non_dominated_rank``.
    """
    distance: Floats = np.zeros(rank.shape)
    # All that failed (-inf) share the last front, in which nobody is far from anybody.
    values = np.where(np.isneginf(values), 0.0, values)
    member = np.arange(rank.shape[1])
    for value in np.moveaxis(values, -1, 0):
        order = np.lexsort((value, rank))
        value, front = (np.take_along_axis(figure, order, axis=1) for figure in (value, rank))
        edge = np.diff(front, axis=1, prepend=-1, append=-1) != 0
        begins, ends = edge[:, :-1], edge[:, 1:]
        low = np.maximum.accumulate(np.where(begins, member, 0), axis=1)
        high = np.minimum.accumulate(np.where(ends, member, len(member))[:, ::-1], axis=1)[:, ::-1]
        span = np.take_along_axis(value, high, axis=1) - np.take_along_axis(value, low, axis=1)
        padded = np.pad(value, ((0, 0), (1, 1)))
        gap = (padded[:, 2:] - padded[:, :-2]) / np.where(span > 0, span, 1.0)
        own = np.where(begins | ends, np.inf, gap)
        rows = np.arange(len(rank))[:, None]
        distance[rows, order] += own
    return distance
