"""Progressive neural architecture search: cells grow block by block, by a predictor's advice."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.algorithms.memory import History
from nasrun.draws import TRIES
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Floats, Inputs, Measured, Phase, Predictor, Problem, Streams

CHUNK = 4096  # candidates that are predicted at once


@runtime_checkable
class Growing(Protocol):
    """A space whose architectures grow block by block, as ``pnas`` does."""

    def extended(self) -> Archs:
        """``(n, L)`` all of one block."""
        ...

    def extensions(self, archs: Archs) -> Archs:
        """``(m, L)`` all that have one block more than one of ``archs (n, L)``."""
        ...


@dataclass
class PNAS(SampleBased):
    """Measure the smallest cells; then, size by size, the ``beam`` predicted best larger ones.

    Liu et al., "Progressive Neural Architecture Search" (ECCV 2018), section 4, Algorithm 1: all
    cells of one block, in random order; the predictor is fitted to all that was measured; what was
    measured last is extended by every next block, and the ``beam`` best by prediction are measured.
    With the paper's space and beam 136 + 4 * 256 = 1,160 models, from 40,800 candidates at first
    and 300,000 at last. Then the search is over; a larger budget goes on with the next best of the
    largest cells. ``space=pnas`` alone grows: elsewhere ``beam`` random architectures come first,
    and the neighbours of the measured ones stand for their extensions.

    The predictor is the paper's ensemble of perceptrons by default (``predictor=pnas_mlp``);
    ``predictor=...`` takes another. Not here: its LSTM.

    Departures: cells that are the same network as another candidate, or as one that was measured,
    are passed over; the mean of the ensemble decides, as in the paper, whose members see four
    fifths of the data each, while here they differ in their first weights, and are fitted anew to
    each size at one learning rate; a failed measurement teaches nothing, but is extended. Not in
    lock step: a trial ranks 300,000 candidates at once.

    Raises:
        ConfigError: a beam below 1, or no predictor.
    """

    name: str = "pnas"
    predictor: Any = field(default=None)  # a Predictor; OmegaConf knows no abstract types
    usual: str = "pnas_mlp"
    beam: int = 256

    cohort: ClassVar[bool] = False
    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.predictor, Predictor):
            raise ConfigError(
                "algorithm.predictor must be a predictor: choose one by predictor=pnas_mlp"
            )
        require_at_least(self, "algorithm", 1, "beam")

    @property
    def label(self) -> str:
        """With the predictor, where it is not the paper's."""
        own = self.predictor.name
        return self.name if own == self.usual else f"{self.name}[predictor={own}]"

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with the smallest cells."""
        super().start(problem, streams, phase)
        self._history = History(problem.trials, len(problem.space.decisions))
        self._model = self.predictor.opened(problem.space, streams.fork("predictor"), self._truth)
        self._networks: set[str] = set()  # that were measured, or are about to be
        self._pool: Archs = self._first()
        self._level = len(self._pool)  # how many were measured since the last fit
        self._queue: list[Archs] = self._new(self._pool, self._level)

    def ask(self) -> Archs:
        """``(1, L)`` the next one of this size."""
        return self._queue[0][None]

    def tell(self, measured: Measured) -> None:
        """Keep what was measured; after the last one of a size go on to the next."""
        self._history.add(measured)
        self._queue.pop(0)
        if not self._queue:
            self._grow()

    def ranked(self, archs: Archs) -> Archs:
        """``(n, L)`` the same architectures, the predicted best first."""
        chunks = [archs[at : at + CHUNK] for at in range(0, len(archs), CHUNK)]
        means = [self._model.predict(Inputs(chunk[None])).mean[0] for chunk in chunks]
        return archs[np.argsort(-np.concatenate(means), kind="stable")]

    def _truth(self, archs: Archs) -> Floats:
        """``(1, M)`` rewards of ``archs (1, M, L)``, free of charge: for ``predictor=oracle``."""
        columns = [self.problem.evaluate(archs[:, at]).reward for at in range(archs.shape[1])]
        rewards = np.stack(columns, axis=1)
        return np.where(np.isnan(rewards), -np.inf, rewards)

    def _first(self) -> Archs:
        """What is measured without advice."""
        space = self.problem.space
        if not isinstance(space, Growing):
            return np.concatenate([space.sample(self.streams) for _ in range(self.beam)])
        ones = space.extended()
        return ones[np.argsort(self.streams.uniform(len(ones))[0], kind="stable")]

    def _grow(self) -> None:
        """Fit the predictor, and let it choose among the extensions of what was measured last."""
        past, space = self._history, self.problem.space
        last = past.archs[0, -self._level :]
        if isinstance(space, Growing):
            larger = space.extensions(last)
        else:
            larger = np.concatenate([space.neighbours(arch) for arch in last])
        self._pool = np.unique(larger, axis=0) if len(larger) else self._pool
        self._model.fit(Inputs(past.archs), past.rewards, past.known)
        self._queue = self._new(self.ranked(self._pool), self.beam) if len(self._pool) else []
        for _ in range(TRIES):
            if self._queue:
                break
            self._queue = self._new(space.sample(self.streams), 1)
        if not self._queue:  # the space is exhausted
            self._queue = list(space.sample(self.streams))
        self._level = len(self._queue)

    def _new(self, archs: Archs, most: int) -> list[Archs]:
        """The first ones of ``archs (n, L)`` whose networks have not been asked for, ``most``."""
        space, chosen = self.problem.space, list[Archs]()
        for arch in archs:
            key = space.canonical(arch)
            if key not in self._networks:
                self._networks.add(key)
                chosen.append(arch)
            if len(chosen) == most:
                break
        return chosen
