"""BOHB: Hyperband whose new architectures come from a density model."""

from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.base import ranked_last
from nasrun.algorithms.decisions import draw
from nasrun.algorithms.halving import SuccessiveHalving, survivors
from nasrun.algorithms.kde import CategoricalKDE
from nasrun.errors import ConfigError
from nasrun.spec import Archs, Floats, Ints, Measured, Phase, Problem, Streams

TINY = 1e-32  # densities below it count as equal (HpBandSter)


@dataclass
class BOHB(SuccessiveHalving):
    """Successive halving of architectures that look like the good ones and unlike the bad.

    Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018),
    Algorithm 2, with the settings and bracket sizes of HpBandSter as NATS-Bench's script calls it
    ([A] NATS-algos ``bohb.py``): budgets of 1 to 12 epochs inside the 12-epoch training, that is
    the rungs 1, 4 and 12 (``evaluator.reward=val@12`` with a table that holds every epoch). With a
    table of one training length, as it comes with pip, there is a single rung: what remains is the
    model.

    The model is fitted to the longest training length that has enough measurements: a density of
    the best ``top_percent`` (at least ``min_points``) and one of the rest. ``candidates`` draws
    around the good points compete by the ratio of the densities.

    Departures: the densities are those of ``CategoricalKDE``, with bandwidths capped where the
    kernel becomes flat, and with the space's number of options where statsmodels counts the ones
    it has seen (and fails if that is one). The published bandwidth factor of 3 is no field,
    because HpBandSter widens continuous decisions only. The architecture reported is the best of
    the longest training length measured; the script takes the highest accuracy of any length.
    """

    name: str = "bohb"
    min_epochs: int = 1
    eta: float = 3.0
    candidates: int = 4
    random_fraction: float = 0.0
    min_bandwidth: float = 0.3
    top_percent: float = 15.0
    min_points: int | None = None

    def __post_init__(self) -> None:
        self._check_ladder()
        if self.candidates < 1:
            raise ConfigError(f"algorithm.candidates must be at least 1, got {self.candidates}")
        if not 0 <= self.random_fraction <= 1:
            raise ConfigError(
                f"algorithm.random_fraction must be in [0, 1], got {self.random_fraction}"
            )
        if not 0 < self.min_bandwidth <= 1:
            raise ConfigError(
                f"algorithm.min_bandwidth must be in (0, 1], got {self.min_bandwidth}"
            )
        if not 0 < self.top_percent < 100:
            raise ConfigError(f"algorithm.top_percent must be in (0, 100), got {self.top_percent}")
        if self.min_points is not None and self.min_points < 1:
            raise ConfigError(f"algorithm.min_points must be at least 1, got {self.min_points}")

    def brackets(self, rungs: int) -> list[list[int]]:
        """``floor(rungs / k) * eta**(k - 1)`` architectures enter the bracket of k rungs."""
        return [
            survivors(int(np.ceil(rungs // k * self.eta ** (k - 1))), k, self.eta)
            for k in range(rungs, 0, -1)
        ]

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin without a model."""
        super().start(problem, streams, phase)
        self._arity: Ints = np.array([len(options) for options in problem.space.decisions])
        self._enough = len(self._arity) + 1 if self.min_points is None else self.min_points
        self._measured: dict[int, list[tuple[Archs, Floats]]] = {e: [] for e in self._rungs}

    def tell(self, measured: Measured) -> None:
        """Keep the measurement for the model, and go on in the bracket."""
        known = self._measured[self.epochs()]
        known.append((measured.archs, ranked_last(measured.reward)))
        super().tell(measured)

    def propose(self) -> Archs:
        """``(T, L)`` the most promising of each trial's candidates; random ones at first."""
        # Drawn whether needed or not, so that a trial's numbers do not depend on the model.
        randoms = self.problem.space.sample(self.streams)
        model = self._fit()
        if model is None:
            return randoms
        good, bad = model
        archs = self._candidates(good)
        ratio = np.maximum(good.density(archs), TINY) / np.maximum(bad.density(archs), TINY)
        chosen = archs[np.arange(len(archs)), np.argmax(ratio, axis=1)]
        return np.where(self.streams.uniform() < self.random_fraction, randoms, chosen)

    def _fit(self) -> tuple[CategoricalKDE, CategoricalKDE] | None:
        """Densities of the good and of the bad, at the longest training that has enough of both."""
        for epochs in reversed(self._rungs):
            known = self._measured[epochs]
            if len(known) >= 2 * self._enough:
                archs = np.stack([archs for archs, _ in known], axis=1)
                rewards = np.stack([reward for _, reward in known], axis=1)
                return self._split(archs, rewards)
        return None

    def _split(self, archs: Archs, rewards: Floats) -> tuple[CategoricalKDE, CategoricalKDE]:
        n_good = max(self._enough, int(self.top_percent * archs.shape[1] // 100))
        order = np.argsort(-rewards, axis=1, kind="stable")[:, :, None]
        ranked = np.take_along_axis(archs, order, axis=1)
        good, bad = ranked[:, :n_good], ranked[:, n_good:]
        return (
            CategoricalKDE.fit(good, self._arity, self.min_bandwidth),
            CategoricalKDE.fit(bad, self._arity, self.min_bandwidth),
        )

    def _candidates(self, good: CategoricalKDE) -> Archs:
        """``(T, candidates, L)`` draws around good points.

        Each decision keeps its point's option with probability 1 - bandwidth and is otherwise
        uniform over all options, as in HpBandSter.
        """
        trials, n, decisions = good.points.shape
        at = self.streams.integers(n, self.candidates)
        centres = np.take_along_axis(good.points, at[:, :, None], axis=1)
        same = centres[..., None] == np.arange(self._arity.max())
        wide = good.bandwidth[:, None, :, None]
        chances = (1.0 - wide) * same + wide / self._arity[:, None]
        logits = np.log(np.maximum(chances, TINY)).reshape(-1, decisions, self._arity.max())
        uniforms = self.streams.uniform(self.candidates * decisions).reshape(-1, decisions)
        archs, _ = draw(self.problem.space, logits, uniforms)
        return archs.reshape(trials, self.candidates, decisions)
