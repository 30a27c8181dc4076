"""BOHB's model: what was measured, by rank, and densities of the best and of the rest."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.kde import CategoricalKDE, CountedKDE, Kernel
from nasrun.algorithms.match_counts import MatchCounts, exactly
from nasrun.spec import Archs, Floats, Ints, Mask

TINY = 1e-32  # densities below it count as equal (HpBandSter)
ROUNDING = 1e-9  # ratios that differ by less may be equal
FIRST_ROOM = 64  # measurements of a rung that there is room for before the first doubling


class Ranking:
    """What each of ``T`` trials measured on one rung, the best first, of equals the earlier."""

    def __init__(self, trials: int, decisions: int) -> None:
        self._count = 0
        self._archs: Archs = np.empty((trials, FIRST_ROOM, decisions), np.int64)
        self._losses = [array("d") for _ in range(trials)]  # negative rewards, ascending
        self._steps = [array("q") for _ in range(trials)]  # when they were measured

    def __len__(self) -> int:
        """Measurements of each trial, N."""
        return self._count

    @property
    def trials(self) -> Ints:
        """``(T,)`` numbers of the trials."""
        return np.arange(len(self._steps), dtype=np.int64)

    def of(self, trials: Ints) -> Archs:
        """``(t, N, L)`` architectures of these trials by rank."""
        steps = np.array([self._steps[trial] for trial in trials.tolist()], np.int64)
        return self._archs[trials[:, None], steps]

    def at(self, ranks: Ints) -> Archs:
        """``(T, m, L)`` architectures of the ``ranks (T, m)``, 0 the best."""
        pairs = zip(self._steps, ranks.tolist(), strict=True)
        steps = np.array([[steps[rank] for rank in own] for steps, own in pairs])
        return self._archs[self.trials[:, None], steps]

    def insert(self, archs: Archs, rewards: Floats) -> Ints:
        """File one measurement of each trial, ``archs (T, L)``, and return its ranks ``(T,)``.

        ``rewards (T,)`` without NaN. What moves in memory is 16 bytes for each worse measurement.
        """
        if self._count == self._archs.shape[1]:
            self._archs = np.concatenate([self._archs, np.empty_like(self._archs)], axis=1)
        self._archs[:, self._count] = archs
        ranks: list[int] = []
        for losses, steps, loss in zip(self._losses, self._steps, (-rewards).tolist(), strict=True):
            rank = bisect_right(losses, loss)
            losses.insert(rank, loss)
            steps.insert(rank, self._count)
            ranks.append(rank)
        self._count += 1
        return np.array(ranks, np.int64)


@dataclass(frozen=True)
class Rule:
    """How a ranking is split, and what the kernels of both parts are."""

    top_percent: float
    enough: int  # fewest of the good
    arity: Ints
    min_bandwidth: float
    kernel: Kernel


class Split:
    """The best ``top_percent`` of a ranking and the rest, with a density of each."""

    def __init__(self, ranking: Ranking, rule: Rule) -> None:
        self.ranking, self.rule = ranking, rule
        self.n_good = self._best()

    def _best(self) -> int:
        return max(self.rule.enough, int(self.rule.top_percent * len(self.ranking) // 100))

    def insert(self, archs: Archs, rewards: Floats) -> Ints:
        """File one more measurement of each trial, and return its ranks ``(T,)``."""
        ranks = self.ranking.insert(archs, rewards)
        self.n_good = self._best()
        return ranks

    def of(self, trials: Ints) -> tuple[Archs, Archs]:
        """The good architectures of these trials and the rest of theirs, both by rank."""
        archs = self.ranking.of(trials)
        return archs[:, : self.n_good], archs[:, self.n_good :]

    def fit(self) -> Floats:
        """Fit both densities; ``(T, L)`` bandwidths of the good one."""
        self._fitted = self._summed(self.ranking.trials)
        return self._fitted[0].bandwidth

    def densities(self, archs: Archs) -> tuple[Floats, Floats]:
        """``(T, m)`` densities of the good and of the rest at ``archs (T, m, L)``, as fitted."""
        good, rest = self._fitted
        return good.density(archs), rest.density(archs)

    def _summed(self, trials: Ints) -> tuple[CategoricalKDE, CategoricalKDE]:
        """Both densities of these trials as sums over their measurements."""
        rule = self.rule
        good, rest = (
            CategoricalKDE.fit(part, rule.arity, rule.min_bandwidth, rule.kernel)
            for part in self.of(trials)
        )
        return good, rest


class CountedSplit(Split):
    """A split that counts both parts as they grow, so that a step need not look at all of them.

    Its densities are the same sums in another order. Where rounding decides which of two
    candidates is the better, as it may while kernels are flat, the sums over the measurements do:
    often in the first 200 steps, hardly ever after 400 (NAS-Bench-201).
    """

    def __init__(self, ranking: Ranking, rule: Rule) -> None:
        super().__init__(ranking, rule)
        trials = ranking.trials
        self._every, self._good = (MatchCounts(len(trials), rule.arity) for _ in range(2))
        for rank, archs in enumerate(np.moveaxis(ranking.of(trials), 1, 0)):
            self._every.add(archs, trials)
            if rank < self.n_good:
                self._good.add(archs, trials)

    def insert(self, archs: Archs, rewards: Floats) -> Ints:
        """File one more measurement of each trial, and move what the border passes."""
        border = self.n_good
        ranks = super().insert(archs, rewards)
        inside = ranks < self.n_good
        self._every.add(archs, self.ranking.trials)
        self._good.add(archs, np.flatnonzero(inside))
        at_border = self.ranking.at(np.full((len(archs), 1), border))[:, 0]
        if self.n_good > border:  # one place more, for the new one or the best of the rest
            self._good.add(at_border, np.flatnonzero(~inside))
        else:  # the new one takes the last one's place
            self._good.remove(at_border, np.flatnonzero(inside))
        return ranks

    def fit(self) -> Floats:
        """Fit both densities; ``(T, L)`` bandwidths of the good one."""
        rule, good = self.rule, self._good.options()
        self._counted = [
            CountedKDE.fit(chosen, rule.arity, rule.min_bandwidth, rule.kernel)
            for chosen in (good, self._every.options() - good)
        ]
        return self._counted[0].bandwidth

    def densities(self, archs: Archs) -> tuple[Floats, Floats]:
        """``(T, m)`` densities of the good and of the rest at ``archs (T, m, L)``, as fitted."""
        cells = self._every.cells(archs)
        best, every = (exactly(counts.at(cells)) for counts in (self._good, self._every))
        matches = (best, every - best)
        good, rest = (kde.density(n) for kde, n in zip(self._counted, matches, strict=True))
        close = np.flatnonzero(close_calls(good, rest, archs))
        if len(close):
            summed = self._summed(close)
            good[close], rest[close] = (kde.density(archs[close]) for kde in summed)
        return good, rest


def split(ranking: Ranking, rule: Rule) -> Split:
    """The split of a ranking that is the quickest where it can be had."""
    return (CountedSplit if MatchCounts.can_hold(rule.arity) else Split)(ranking, rule)


def ratios(good: Floats, bad: Floats) -> Floats:
    """Bad density next to good density, the smaller the better; NaN where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.fmax(bad, TINY) / np.maximum(good, TINY)


def close_calls(good: Floats, bad: Floats, archs: Archs) -> Mask:
    """``(T,)`` whether some candidate is as good as the best but for rounding, and another one.

    ``good``, ``bad``: ``(T, m)`` densities at ``archs (T, m, L)``. Zeros are equal in any order.
    """
    ratio = ratios(good, bad)
    ratio = np.where(np.isfinite(ratio), ratio, np.inf)
    first = ratio.argmin(axis=1)[:, None]
    least = np.take_along_axis(ratio, first, axis=1)
    equal = (least > 0) & (ratio <= least * (1.0 + ROUNDING)) & np.isfinite(ratio)
    same = (archs == np.take_along_axis(archs, first[..., None], axis=1)).all(axis=2)
    return (equal & ~same).any(axis=1)
