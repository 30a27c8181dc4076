"""BOHB: Hyperband whose new architectures come from a density model."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.algorithms.base import ranked_last
from nasrun.algorithms.halving import ROUNDING, SuccessiveHalving, survivors
from nasrun.algorithms.kde import Kernel
from nasrun.algorithms.ranked_model import TINY, Ranking, Rule, Split, ratios, split
from nasrun.draws import draw
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Phase, Problem, Streams


@dataclass
class BOHB(SuccessiveHalving):
    """Successive halving of architectures that look like the good ones and unlike the bad.

    Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018),
    Algorithm 2, with the settings and bracket sizes of HpBandSter as the NAS benchmarks call it.
    NATS-Bench's protocol ([A] NATS-algos ``bohb.py``) is the default: budgets of 1 to 12 epochs
    inside the 12-epoch training, that is the rungs 1, 4 and 12 (``evaluator.reward=val@12`` with a
    table that holds every epoch). With a table of one training length, as it comes with pip, there
    is a single rung: what remains is the model.

    The model is fitted to the highest rung that has enough measurements: a density of the best
    ``top_percent`` (at least ``min_points``) and one of the rest. ``candidates`` draws around the
    good points compete by the ratio of the densities.

    NAS-Bench-201's own script (``bohb_nb201``) asks for budgets of 12 to 200 epochs, but reads the
    12-epoch record and charges it whatever the budget: three rungs of the same length, which
    ``merge_rungs: false`` keeps apart. Its published figures come out only with these rungs, with
    the best of the top rung as the answer, and with ``kernel: statsmodels``.

    Departures: ``kernel: capped``, the default, mends what HpBandSter makes of the kernel (see
    ``CategoricalKDE``). The density of the rest is of all of it; HpBandSter rounds both shares
    down, by which it mostly leaves the worst architecture out. The published bandwidth factor of 3
    is no field, because HpBandSter widens continuous decisions only. The architecture reported is
    the best of the highest rung reached; NATS-Bench's script takes the highest accuracy of any
    training length.

    A search is linear in its evaluations where the decisions are few enough to be counted
    (``MatchCounts``: NAS-Bench-201, NATS-Bench's sizes, TransNAS-Bench-101's cells): a step costs
    O(2**L * candidates), whatever N. In larger spaces (DARTS), it is HpBandSter's sum over all N
    measurements, O(N * L * candidates). Ten searches of 1,000, 2,000, 4,000 and 8,000 evaluations
    take 3.4, 4.9, 8.3 and 15.0 CPU seconds as whole commands (``scripts/benchmark.py --only
    growth`` measures the searches alone).
    """

    name: str = "bohb"
    min_epochs: int = 1
    eta: float = 3.0
    candidates: int = 4
    random_fraction: float = 0.0
    min_bandwidth: float = 0.3
    top_percent: float = 15.0
    min_points: int | None = None
    kernel: Kernel = Kernel.capped
    merge_rungs: bool = True

    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_ladder()
        require_at_least(self, "algorithm", 1, "candidates", "min_points")
        require_within(self, "algorithm", "[0, 1]", "random_fraction")
        require_within(self, "algorithm", "(0, 1]", "min_bandwidth")
        require_within(self, "algorithm", "(0, 100)", "top_percent")

    def brackets(self, rungs: int) -> list[list[int]]:
        """``floor(floor(rungs / k) * eta**(k - 1))`` architectures enter the bracket of k rungs."""
        return [
            survivors(int(rungs // k * self.eta ** (k - 1) + ROUNDING), k, self.eta)
            for k in range(rungs, 0, -1)
        ]

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin without a model."""
        super().start(problem, streams, phase)
        self._arity = problem.space.arity
        enough = len(self._arity) + 1 if self.min_points is None else self.min_points
        kernels = (self._arity, self.min_bandwidth, self.kernel)
        self._rule = Rule(self.top_percent, enough, *kernels)
        self._ranked = [Ranking(problem.trials, len(self._arity)) for _ in self._rungs]
        self._modelled = -1  # the rung that the model is of
        self._split: Split | None = None

    def tell(self, measured: Measured) -> None:
        """Keep the measurement for the model, and go on in the bracket."""
        level, rewards = self.level, ranked_last(measured.reward)
        if self._split is not None and level == self._modelled:
            self._split.insert(measured.archs, rewards)
        else:
            self._ranked[level].insert(measured.archs, rewards)
            if level > self._modelled and len(self._ranked[level]) >= 2 * self._rule.enough:
                self._modelled, self._split = level, split(self._ranked[level], self._rule)
        super().tell(measured)

    def propose(self) -> Archs:
        """``(T, L)`` the most promising of each trial's candidates; random ones at first."""
        # Drawn whether needed or not, so that a trial's numbers do not depend on the model.
        randoms = self.problem.space.sample(self.streams)
        if self._split is None:
            return randoms
        archs = self._candidates(self._split)
        good, bad = self._split.densities(archs)
        exists = self.problem.space.exists(archs.reshape(-1, archs.shape[2]))
        chosen, usable = choose(good, bad, exists.reshape(archs.shape[:2]))
        modelled = usable & (self.streams.uniform()[:, 0] >= self.random_fraction)
        promising = archs[np.arange(len(archs)), chosen]
        return np.where(modelled[:, None], promising, randoms)

    def _candidates(self, split: Split) -> Archs:
        """``(T, candidates, L)`` draws around good points.

        Each decision keeps its point's option with probability 1 - bandwidth and is otherwise
        uniform over all options, as in HpBandSter.
        """
        bandwidth = split.fit()
        trials, decisions = bandwidth.shape
        centres = split.ranking.at(self.streams.integers(split.n_good, self.candidates))
        same = centres[..., None] == np.arange(self._arity.max())
        wide = np.minimum(bandwidth, 1.0)[:, None, :, None]
        chances = (1.0 - wide) * same + wide / self._arity[:, None]
        logits = np.log(np.maximum(chances, TINY)).reshape(-1, decisions, self._arity.max())
        uniforms = self.streams.uniform(self.candidates * decisions).reshape(-1, decisions)
        archs, _ = draw(self.problem.space, logits, uniforms)
        return archs.reshape(trials, self.candidates, decisions)


def choose(good: Floats, bad: Floats, exists: Mask) -> tuple[Ints, Mask]:
    """``(T,)`` the candidate to take by ``(T, m)`` densities, and whether there is one at all.

    Only those that ``exists (T, m)`` says are architectures can be taken.

    It is the one whose good density is largest next to its bad one. Where ``Kernel.statsmodels``
    makes densities infinite, HpBandSter's rules hold: the first candidate that no bad point knows
    the option of is taken at once, and candidates without a ratio are passed over.
    """
    unknown_to_bad = exists & np.isposinf(bad) & np.isfinite(good)
    ratio = ratios(good, bad)
    comparable = exists & np.isfinite(ratio)
    usable = unknown_to_bad | comparable
    best = np.argmin(np.where(comparable, ratio, np.inf), axis=1)
    chosen = np.where(unknown_to_bad.any(axis=1), np.argmax(unknown_to_bad, axis=1), best)
    return chosen, np.logical_or.reduce(usable, axis=1)
