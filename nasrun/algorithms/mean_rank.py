"""A predictor of an architecture's mean rank over other tasks, which no measurement changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasrun.algorithms.base import SampleBased, require_learnt
from nasrun.algorithms.memory import History, Normalisation, normalised
from nasrun.draws import OneHot
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, SearchSpace, Streams

ARCHS, WEIGHTS = "archs", "weights"  # keys among the learnt arrays


@dataclass
class MeanRank(SampleBased):
    """Measures architectures in the order of the rank that other tasks let expect.

    The other naive way to transfer, beside ``WarmREA``: no paper's own. Meta-training measures
    random architectures on the pool's tasks; their rewards are normalised by rank within a task,
    and a kernel ridge regression over all tasks predicts them, with the square of how many
    decisions agree (plus one) as its kernel, which is linear in all pairs of decisions. A search
    draws ``candidates`` and measures the different ones from the best predicted on. Without
    meta-training it is random search.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "mean_rank"
    learns_to_search: ClassVar[bool] = True
    learns_in_floats: ClassVar[bool] = True
    candidates: int = 1000
    penalty: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "candidates")
        require_positive(self, "algorithm", "penalty")
        self._histories: dict[str, History] = {}  # by meta task, agents first
        self._learnt: Mapping[str, Any] = {}

    def learnt(self) -> dict[str, Any]:
        """``archs (agents, N, L)`` and their ``weights (agents, N)`` in the prediction."""
        if not self._histories:
            return dict(self._learnt)
        parts = self._histories.values()
        archs = np.concatenate([part.archs for part in parts], axis=1)
        scores = [normalised(part.rewards, Normalisation.rank) for part in parts]
        known = np.concatenate([part.known for part in parts], axis=1)
        weights = [
            self._fitted(*agent)
            for agent in zip(archs, np.concatenate(scores, axis=1), known, strict=True)
        ]
        return {ARCHS: archs, WEIGHTS: np.stack(weights)}

    def _fitted(self, archs: Archs, score: Floats, known: np.ndarray) -> Floats:
        """``(N,)`` weights of one agent's measurements; 0 for those that failed."""
        features = OneHot(self.problem.space)(archs[known])
        kernel = _kernel(features, features) + self.penalty * np.eye(len(features))
        weights = np.zeros(len(archs))
        weights[known] = np.linalg.solve(kernel, score[known])
        return weights

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Predict by these in later searches: trial seed s takes agent s mod agents."""
        require_learnt(self, state, ARCHS, WEIGHTS)
        self._learnt, self._histories = dict(state), {}

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin a meta task's history, or put a search's candidates in order."""
        super().start(problem, streams, phase)
        self._queue: list[Archs] = []  # (n, L) of each trial
        if phase is Phase.SEARCH and self._learnt:
            drawn = np.stack(
                [problem.space.sample(streams) for _ in range(self.candidates)], axis=1
            )
            agents = np.array(streams.seeds, np.int64) % len(self._learnt[WEIGHTS])
            self._queue = [
                self._ordered(problem.space, *pair) for pair in zip(drawn, agents, strict=True)
            ]

    def _ordered(self, space: SearchSpace, drawn: Archs, agent: int) -> Archs:
        """``(n, L)`` the different ones of ``drawn (M, L)``, best predicted first."""
        archs = np.unique(drawn, axis=0)
        one_hot = OneHot(space)
        kernel = _kernel(one_hot(archs), one_hot(self._learnt[ARCHS][agent]))
        return archs[np.argsort(-(kernel @ self._learnt[WEIGHTS][agent]), kind="stable")]

    def ask(self) -> Archs:
        """``(T, L)`` the next in order; random ones where there is none."""
        archs = self.problem.space.sample(self.streams)
        for trial, queue in enumerate(self._queue):
            if self.steps < len(queue):
                archs[trial] = queue[self.steps]
        return archs

    def tell(self, measured: Measured) -> None:
        """Nothing to learn in a search; a meta task's measurements are kept."""
        if self.phase is Phase.META_TRAIN:
            new = History(self.problem.trials, measured.archs.shape[1])
            self._histories.setdefault(self.problem.task.name, new).add(measured)


def _kernel(first: Floats, second: Floats) -> Floats:
    """``(n, m)`` of one-hot rows: (1 + agreeing decisions) squared."""
    return (1.0 + first @ second.T) ** 2
