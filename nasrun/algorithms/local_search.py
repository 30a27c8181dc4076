"""Local search: hill climbing over neighbourhoods, with restarts."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Phase, Problem, Streams


class QueryUntil(Enum):
    """When a climb moves on."""

    all = "all"  # the whole neighbourhood is measured; move to its best
    improvement = "improvement"  # the first better neighbour is moved to


@dataclass
class LocalSearch(SampleBased):
    """Climb from a random architecture to a local optimum, then start again elsewhere.

    White et al., "Exploring the Loss Landscape in Neural Architecture Search" (UAI 2021; arXiv
    title "Local Search is State of the Art for NAS Benchmarks"), Section 3; ``query_until`` is
    naszilla's ``query_full_nbhd``. As in naszilla, architectures that the trial has measured before
    are not measured again.

    Departures from naszilla: a climb starts from one random architecture, as in the paper, not
    from the best of ten; neighbours come in random order, because otherwise the order of the
    decisions would decide which ones a short budget tries; repeats are told apart as encodings.
    """

    name: str = "local_search"
    query_until: QueryUntil = QueryUntil.all

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin nowhere: the first architecture is random."""
        super().start(problem, streams, phase)
        # What is left to measure around each trial's centre; the next one stands last.
        self._queues: list[Archs] = [self._best[:0]] * problem.trials
        self._left: Ints = np.zeros(problem.trials, np.int64)
        self._top: Archs = self._best.copy()  # best of the climb so far, the centre included
        self._top_reward: Floats = np.full(problem.trials, -np.inf)
        self._improved: Mask = np.zeros(problem.trials, np.bool_)
        self._seen: list[set[bytes]] = [set() for _ in range(problem.trials)]

    def ask(self) -> Archs:
        """``(T, L)`` the next neighbours, or random architectures where a climb begins."""
        # All trials draw, needed or not: one's restart must not shift another's numbers.
        archs = self.problem.space.sample(self.streams)
        for trial in np.flatnonzero(self._left):
            archs[trial] = self._queues[trial][self._left[trial] - 1]
        return archs

    def tell(self, measured: Measured) -> None:
        """Go on around the same centre, move the centre, or end the climb."""
        for seen, arch in zip(self._seen, measured.archs, strict=True):
            seen.add(arch.tobytes())
        reward = ranked_last(measured.reward)
        starts = self._left == 0
        better = starts | (reward > self._top_reward)
        self._top[better] = measured.archs[better]
        self._top_reward[better] = reward[better]
        self._improved |= better
        self._left = np.maximum(self._left - 1, 0)
        moves = self._improved & (starts | (self._left == 0))
        if self.query_until is QueryUntil.improvement:
            moves = self._improved
        for trial in np.flatnonzero(moves).tolist():
            self._queues[trial] = self._neighbourhood(trial)
            self._left[trial] = len(self._queues[trial])
        self._improved &= ~moves

    def _neighbourhood(self, trial: int) -> Archs:
        """``(n, L)`` neighbours of a trial's best that it has not measured, in random order."""
        space, seen = self.problem.space, self._seen[trial]
        around = space.neighbours(self._top[trial])
        fresh = [arch.tobytes() not in seen for arch in around]
        unseen = around[np.array(fresh, np.bool_)]
        order = self.streams.uniform(len(unseen), rows=np.array([trial]))[0]
        return unseen[np.argsort(order, kind="stable")]
