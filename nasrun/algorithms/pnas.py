"""Progressive neural architecture search: cells grow block by block, by a predictor's advice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.algorithms.memory import History
from nasrun.draws import TRIES
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least
from nasrun.spec import (
    Archs,
    Floats,
    Inputs,
    Ints,
    Measured,
    Model,
    Phase,
    Predictor,
    Problem,
    Streams,
)

TOGETHER = 128  # trials whose predictors stand in memory together
CHUNK = 512  # candidates of a trial that are predicted at once


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
    each size at one learning rate; a failed measurement teaches nothing, but is extended.

    Raises:
        ConfigError: a beam below 1, or no predictor.
    """

    name: str = "pnas"
    predictor: Any = field(default=None)  # a Predictor; OmegaConf knows no abstract types
    usual: str = "pnas_mlp"
    beam: int = 256

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
        own = self.predictor.label
        return self.name if own == self.usual else f"{self.name}[predictor={own}]"

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with the smallest cells."""
        super().start(problem, streams, phase)
        self._history = History(problem.trials, len(problem.space.decisions))
        self._draws = streams.fork("predictor")
        # Of each trial: the networks that were measured or are about to be, what is to be measured,
        # how many were since the last fit, and what was extended last.
        self._networks: list[set[str]] = [set() for _ in range(problem.trials)]
        self._queues = [self._new(row, own, len(own)) for row, own in enumerate(self._first())]
        self._levels = [len(queue) for queue in self._queues]
        self._extended: list[Archs | None] = [None] * problem.trials

    def ask(self) -> Archs:
        """``(T, L)`` the next one of each trial's size."""
        done = [row for row, queue in enumerate(self._queues) if not queue]
        # Where cells grow, a trial has 300,000 candidates.
        at_once = 1 if isinstance(self.problem.space, Growing) else TOGETHER
        for at in range(0, len(done), at_once):
            self._grow(np.array(done[at : at + at_once]))
        return np.stack([queue[0] for queue in self._queues])

    def tell(self, measured: Measured) -> None:
        """Keep what was measured."""
        self._history.add(measured)
        for queue in self._queues:
            queue.pop(0)

    def _truth(self, rows: Ints, archs: Archs) -> Floats:
        """``(n, M)`` rewards of ``archs (n, M, L)`` of trials ``rows (n,)``, for an oracle."""
        everyone = np.repeat(archs[:1], self.problem.trials, axis=0)
        everyone[rows] = archs
        columns = [self.problem.evaluate(each).reward[rows] for each in everyone.swapaxes(0, 1)]
        return ranked_last(np.stack(columns, axis=1))

    def _first(self) -> Archs:
        """``(T, n, L)`` what is measured without advice."""
        space = self.problem.space
        if not isinstance(space, Growing):
            return np.stack([space.sample(self.streams) for _ in range(self.beam)], axis=1)
        ones = space.extended()
        return ones[np.argsort(self.streams.uniform(len(ones)), axis=1, kind="stable")]

    def _grow(self, rows: Ints) -> None:
        """Fit predictors, and let them choose among extensions of what trials measured last."""
        past, space = self._history, self.problem.space
        streams = self._draws.part(rows)
        model = self.predictor.opened(space, streams, partial(self._truth, rows))
        model.fit(Inputs(past.archs[rows]), past.rewards[rows], past.known[rows])
        pools = [self._pool(row) for row in rows.tolist()]
        for row, pool in zip(rows.tolist(), ranked(model, pools), strict=True):
            queue = self._new(row, pool, self.beam)
            for _ in range(TRIES):
                if queue:
                    break
                queue = self._new(row, self._stranger(row), 1)
            self._queues[row] = queue or list(self._stranger(row))  # the space is exhausted
            self._levels[row] = len(self._queues[row])

    def _pool(self, row: int) -> Archs:
        """``(n, L)`` extensions of what a trial measured last; of what it extended last if none."""
        last = self._history.archs[row, -self._levels[row] :]
        larger = self._larger(last)
        if len(larger):
            self._extended[row] = last
            return larger
        before = self._extended[row]
        return larger if before is None else self._larger(before)

    def _larger(self, archs: Archs) -> Archs:
        """``(n, L)`` different extensions of ``archs (m, L)``; else their neighbours."""
        space = self.problem.space
        if isinstance(space, Growing):
            return np.unique(space.extensions(archs), axis=0)
        return np.unique(np.concatenate([space.neighbours(arch) for arch in archs]), axis=0)

    def _stranger(self, row: int) -> Archs:
        """``(1, L)`` a random architecture of a trial."""
        return self.problem.space.sample(self.streams.part(np.array([row])))

    def _new(self, row: int, archs: Archs, most: int) -> list[Archs]:
        """The first ``most`` of ``archs (n, L)`` whose networks a trial has not asked for."""
        space, known, chosen = self.problem.space, self._networks[row], list[Archs]()
        for arch in archs:
            key = space.canonical(arch)
            if key not in known:
                known.add(key)
                chosen.append(arch)
            if len(chosen) == most:
                break
        return chosen


def ranked(model: Model, pools: Sequence[Archs]) -> list[Archs]:
    """The architectures ``(n, L)`` of each trial, the predicted best first."""
    # As many at a time in every cohort: the last bits of a product depend on its size.
    count = -(-max(map(len, pools)) // CHUNK)
    filled = np.stack([np.resize(pool, (count * CHUNK, pool.shape[1])) for pool in pools])
    chunks = [filled[:, at * CHUNK : (at + 1) * CHUNK] for at in range(count)]
    means = [np.zeros((len(pools), 0)), *(model.predict(Inputs(each)).mean for each in chunks)]
    orders = [
        np.argsort(-mean[: len(pool)], kind="stable")
        for mean, pool in zip(np.concatenate(means, axis=1), pools, strict=True)
    ]
    return [pool[order] for pool, order in zip(pools, orders, strict=True)]
