"""What sample-based algorithms share: ask, evaluate, tell, and the best one seen."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spec import Algorithm, Archs, Floats, Ints, Measured, Phase, Problem, Streams


class SampleBased(Algorithm):
    """Proposes architectures, learns their rewards, recommends the best one seen.

    ``ask`` must not change what the algorithm knows; only ``tell`` does. Among measurements of
    several training lengths the longest count: an accuracy after 4 epochs never beats one after 12.
    """

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Forget the last problem."""
        self.problem = problem
        self.streams = streams
        self.phase = phase
        self.steps = 0
        trials, decisions = problem.trials, len(problem.space.decisions)
        self._best: Archs = np.zeros((trials, decisions), np.int64)
        self._best_reward: Floats = np.full(trials, -np.inf)
        self._best_epochs: Ints = np.zeros(trials, np.int64)

    @abstractmethod
    def ask(self) -> Archs:
        """``(T, L)`` architectures to measure next."""

    @abstractmethod
    def tell(self, measured: Measured) -> None:
        """Learn what was measured."""

    def epochs(self) -> int | Ints | None:
        """Training length of the next measurement; None: the full one."""
        return None

    def started_from(self) -> Archs | None:
        """``(T, L)`` whose weights the next measurement may begin with; None: from scratch."""
        return None

    def step(self) -> Measured:
        """Ask, evaluate, tell."""
        measured = self.problem.evaluate(self.ask(), self.epochs(), self.started_from())
        self._remember(measured)
        self.tell(measured)
        self.steps += 1
        return measured

    def recommend(self) -> Archs:
        """``(T, L)`` the best architectures measured so far."""
        return self._best.copy()

    def _remember(self, measured: Measured) -> None:
        if self.steps == 0:
            self._best = measured.archs.copy()  # to have one of the space if all measurements fail
        reward = measured.reward
        if measured.solved is not None:  # nothing is better, whatever its reward
            reward = np.where(measured.solved, np.inf, reward)
        longer = measured.epochs > self._best_epochs
        as_long = measured.epochs == self._best_epochs
        known = ~np.isnan(reward)
        better = known & (longer | (as_long & (reward > self._best_reward)))
        self._best[better] = measured.archs[better]
        self._best_reward[better] = reward[better]
        self._best_epochs[better] = measured.epochs[better]


def ranked_last(reward: Floats) -> Floats:
    """Rewards to compare by: a failed measurement (NaN) loses against every other."""
    return np.where(np.isnan(reward), -np.inf, reward)


def require_learnt(algorithm: Algorithm, state: Mapping[str, Any], *keys: str) -> None:
    """Refuse arrays that another method learnt.

    Raises:
        UnsupportedError: ``state`` holds something, but not just ``keys``.
    """
    if state and set(state) != set(keys):
        raise UnsupportedError(
            f"algorithm={algorithm.name} learns {' and '.join(keys)} in meta-training, found "
            f"{', '.join(state)}: meta-train its own agents"
        )
