"""Successive halving in brackets: what Hyperband and BOHB share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, Streams

ROUNDING = 1e-9  # what a logarithm or power may be off by, next to a whole number


def ladder(fidelities: Sequence[int], min_epochs: int, eta: float, merge: bool) -> list[int]:
    """Training lengths of the rungs in epochs, ascending; the last is the full training.

    The geometric ladder ``full / eta**k`` down to ``min_epochs``, each rung snapped down to a
    length that can be measured (NATS-Bench's scripts truncate to whole epochs). With ``merge``,
    rungs that fall on the same length are one rung, so a single fidelity gives a single rung.

    Raises:
        ConfigError: there is no training, or the full one is shorter than ``min_epochs``.
    """
    full = fidelities[-1]
    if full < 1:
        raise ConfigError(
            "successive halving, Hyperband and BOHB compare trainings of several lengths, but this "
            "evaluator trains nothing: use evaluator=tabular or training, or another algorithm"
        )
    if full < min_epochs:
        raise ConfigError(
            f"algorithm.min_epochs={min_epochs} is more than the full training of {full} epochs: "
            "lower it, or choose another evaluator.reward"
        )
    able = np.array([epochs for epochs in fidelities if epochs >= min_epochs])
    rungs = int(np.floor(np.log(full / min_epochs) / np.log(eta) + ROUNDING)) + 1
    lengths = full / eta ** np.arange(rungs)
    at = np.searchsorted(able, lengths + ROUNDING, side="right") - 1
    snapped = able[np.maximum(at, 0)].tolist()
    return sorted(set(snapped) if merge else snapped)


class SuccessiveHalving(SampleBased):
    """Brackets of rungs: many architectures trained briefly, the best of them for longer.

    All trials climb the same rungs in lock step; which architectures are promoted differs. Training
    is not resumed: each rung charges its full length, as the table queries of NATS-Bench do.
    """

    min_epochs: int
    eta: float
    merge_rungs: bool

    def _check_ladder(self) -> None:
        """Refuse fields that give no ladder.

        Raises:
            ConfigError: ``eta`` at most 1 or ``min_epochs`` below 1.
        """
        require_within(self, "algorithm", "(1, inf)", "eta")
        require_at_least(self, "algorithm", 1, "min_epochs")

    @abstractmethod
    def brackets(self, rungs: int) -> list[list[int]]:
        """Architectures per rung of each bracket, in the order they are run.

        A bracket of k counts climbs the last k of the ``rungs``.
        """

    @abstractmethod
    def propose(self) -> Archs:
        """``(T, L)`` new architectures for a bracket's first rung."""

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with the first bracket."""
        super().start(problem, streams, phase)
        self._rungs = ladder(problem.fidelities, self.min_epochs, self.eta, self.merge_rungs)
        self._brackets = self.brackets(len(self._rungs))
        self._bracket = 0
        self._enter(0, None)

    def _enter(self, rung: int, promoted: Archs | None) -> None:
        """Start a rung of the current bracket, with the architectures ``(T, n, L)`` promoted."""
        counts = self._brackets[self._bracket]
        self._rung, self._promoted, self._slot = rung, promoted, 0
        trials, decisions = self._best.shape
        self._archs: Archs = np.zeros((trials, counts[rung], decisions), np.int64)
        self._rewards: Floats = np.zeros((trials, counts[rung]))

    @property
    def level(self) -> int:
        """Number of the current rung on the whole ladder, 0 the lowest."""
        return len(self._rungs) - len(self._brackets[self._bracket]) + self._rung

    def epochs(self) -> int:
        """Training length of the current rung."""
        return self._rungs[self.level]

    def ask(self) -> Archs:
        """``(T, L)`` new architectures on a first rung, promoted ones above it."""
        return self.propose() if self._promoted is None else self._promoted[:, self._slot]

    def tell(self, measured: Measured) -> None:
        """Fill the rung; when it is full, promote its best or begin the next bracket."""
        self._archs[:, self._slot] = measured.archs
        self._rewards[:, self._slot] = ranked_last(measured.reward)
        self._slot += 1
        if self._slot < self._archs.shape[1]:
            return
        counts = self._brackets[self._bracket]
        if self._rung + 1 < len(counts):
            self._enter(self._rung + 1, self._best_of_rung(counts[self._rung + 1]))
        else:
            self._bracket = (self._bracket + 1) % len(self._brackets)
            self._enter(0, None)

    def _remember(self, measured: Measured) -> None:
        """Let the best of the highest rung count, also where rungs are equally long."""
        levels = np.full(len(measured.archs), self.level + 1)
        super()._remember(replace(measured, epochs=levels))

    def _best_of_rung(self, n: int) -> Archs:
        """``(T, n, L)`` the rung's best, best first; equals keep the order they came in."""
        order = np.argsort(-self._rewards, axis=1, kind="stable")[:, :n]
        return np.take_along_axis(self._archs, order[:, :, None], axis=1)


def survivors(first: int, rungs: int, eta: float) -> list[int]:
    """Architectures on each rung of a bracket: ``first / eta**rung`` rounded down, at least 1."""
    return [max(int(first / eta**rung + ROUNDING), 1) for rung in range(rungs)]
