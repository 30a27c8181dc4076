"""Searches that measure what a predictor finds promising: Bayesian optimisation and its kin."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from nasrun.algorithms.acquisition import Acquisition, worth
from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.algorithms.candidates import PATIENCE, Drawing, Mutants, Networks, Pool
from nasrun.algorithms.curves import Curves
from nasrun.algorithms.memory import History
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Floats, Inputs, Measured, Phase, Predictor, Problem, Streams


class Candidates(Enum):
    """Where the candidates of a round come from."""

    random = "random"
    mutants = "mutants"  # of the best that were measured
    both = "both"  # ``mutant_share`` of them are mutants


@dataclass
class PredictorBased(SampleBased):
    """Fit a predictor on all that was measured, let it choose among candidates, measure, repeat.

    The frame of White, Neiswanger and Savani, "BANANAS" (AAAI 2021), Algorithm 1, and of the
    tutorial by White and Dey: ``initial`` random architectures; then rounds, in each of which the
    predictor is fitted anew, ``pool`` candidates are made that the search has not measured, and the
    ``batch`` best of them by the acquisition function are measured. The YAML files that name this
    class say whose settings they have, and which predictor (``predictor=...`` takes another).

    - ``bananas``: White et al. (AAAI 2021), settings of naszilla;
    - ``npenas``: Wei et al., "NPENAS" (2020), mutants of the predicted best;
    - ``bonas``: Shi et al. (NeurIPS 2020), random candidates by expected improvement;
    - ``gp_bo``, ``nasbot``, ``nasbowl``, ``dngo``, ``bohamiann``, ``predictor_guided``.

    A predictor of learning curves (``sotl``, ``lcsvr``, ...) chooses among candidates that were
    trained for a while: each is measured, counted and charged at the first epoch from
    ``curve_share`` of the training on, and never again a candidate; the chosen ones are measured
    anew in full, as in ``SuccessiveHalving``. A ``pool`` of two to five batches is what that is
    for.

    Departures: candidates after the first are mutants of the chosen parent, where NASLib's descend
    from each other; where the ``parents`` have too few mutants left, those of the next four bests
    follow, then random architectures. A trial whose space is exhausted measures again.

    Raises:
        ConfigError: a field out of its range, or no predictor.
    """

    name: str = "bananas"
    predictor: Any = field(default=None)  # a Predictor; OmegaConf knows no abstract types
    usual: str = "mlp"
    initial: int = 10
    batch: int = 10
    pool: int = 100
    candidates: Candidates = Candidates.mutants
    mutant_share: float = 0.5
    parents: int = 1
    changes: int | None = None
    acquisition: Acquisition = Acquisition.its
    factor: float = 0.5
    calibration: float = 1.0
    curve_share: float = 0.1

    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.predictor, Predictor):
            raise ConfigError(
                "algorithm.predictor must be a predictor: choose one by predictor=mlp"
            )
        require_at_least(self, "algorithm", 1, "initial", "batch", "pool", "parents", "changes")
        require_within(self, "algorithm", "[0, 1]", "mutant_share")
        require_within(self, "algorithm", "(0, 1)", "curve_share")
        require_not_negative(self, "algorithm", "factor")
        require_positive(self, "algorithm", "calibration")
        if self.acquisition is Acquisition.ts and not self.predictor.has_members:
            raise ConfigError(
                "algorithm.acquisition=ts takes one member of an ensemble, which "
                f"predictor={self.predictor.name} is not: use its, or predictor=mlp"
            )
        if self.pool < self.batch:
            raise ConfigError(
                f"algorithm.pool must be at least algorithm.batch={self.batch}, got {self.pool}"
            )

    @property
    def label(self) -> str:
        """With the predictor, where it is not the one the method is known by."""
        own = self.predictor.label
        if self.predictor.reads:
            own += f"@{self.curve_share:g}"
        return self.name if own == self.usual else f"{self.name}[predictor={own}]"

    @property
    def startup_steps(self) -> int:
        """The random architectures before the first fit."""
        return self.initial

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with nothing measured.

        Raises:
            UnsupportedError: the evaluator lacks the learning curves that the predictor reads.
        """
        super().start(problem, streams, phase)
        self._history = History(problem.trials, len(problem.space.decisions))
        self._curves = None
        if self.predictor.reads:
            self._curves = Curves(problem, self.predictor.reads, self.curve_share)
        self._pool: Pool | None = None  # candidates that are trained for a while
        self._networks = Networks(problem.space)
        self._model = self.predictor.opened(problem.space, streams.fork("predictor"), self._truth)
        self._round = 0
        self._queue: list[Archs] = []

    def _truth(self, archs: Archs) -> Floats:
        """``(T, M)`` rewards of ``archs (T, M, L)``, free of charge: for ``predictor=oracle``."""
        columns = [self.problem.evaluate(archs[:, at]).reward for at in range(archs.shape[1])]
        return ranked_last(np.stack(columns, axis=1))

    def ask(self) -> Archs:
        """``(T, L)`` the next ones of a round, which begins when the last one's are measured."""
        if not self._queue:
            streams = self.streams.fork(f"round {self._round}")
            self._queue = list(self._next(streams).transpose(1, 0, 2))
        return self._queue[0]

    def epochs(self) -> int | None:
        """A share of the training for candidates whose curves are to be read."""
        return self._curves.epochs if self._curves and self._pool else None

    def tell(self, measured: Measured) -> None:
        """Keep what was measured."""
        if self._curves and self._pool:
            self._curves.add_candidates(measured)
        else:
            self._history.add(measured)
            if self._curves:
                self._curves.add(measured)
        self._queue.pop(0)

    def _next(self, streams: Streams) -> Archs:
        """``(T, M, L)`` what is measured next: a round's choice, or candidates before it."""
        if not self._round:
            self._round = 1
            return self._first(streams)
        pool, self._pool = self._pool, None
        if pool is None:
            pool = self._candidates(streams.fork("candidates"))
            if self._curves:
                archs = self._all_filled(pool, streams.fork("spare candidates"))
                self._pool = Pool(archs, pool.found)
                return archs
        self._round += 1
        return self._chosen(pool, streams)

    def _first(self, streams: Streams) -> Archs:
        """``(T, initial, L)`` random architectures."""
        drawing = self._drawing(self.initial)
        drawing.fill(lambda _: self.problem.space.sample(streams), self.initial, self._patience)
        return self._all_filled(drawing.pool, streams)

    def _chosen(self, pool: Pool, streams: Streams) -> Archs:
        """``(T, batch, L)`` the most promising candidates, by the predictor fitted anew."""
        past, known, found = self._history, self._history.known, pool.found
        inputs, asked = Inputs(past.archs), Inputs(pool.archs)
        if self._curves:
            inputs, whole = self._curves.of_measured(past.archs)
            asked, readable = self._curves.of_candidates(pool.archs)
            known, found = known & whole, found & readable
        self._model.fit(inputs, past.rewards, known)
        prediction = self._model.predict(asked)
        value = worth(prediction, self.acquisition, streams, self.factor, self.calibration)
        order = np.argsort(np.where(found, -value, np.inf), axis=1, kind="stable")
        best = order[:, : self.batch]
        archs = np.take_along_axis(pool.archs, best[:, :, None], axis=1)
        kept = np.take_along_axis(found, best, axis=1)
        return self._all_filled(Pool(archs, kept), streams.fork("spare"))

    def _candidates(self, streams: Streams) -> Pool:
        """What the predictor chooses among."""
        drawing, space = self._drawing(self.pool), self.problem.space
        past = self._history
        mutants = Mutants(
            space, past.archs, ranked_last(past.rewards), self.parents, self.changes, streams
        )
        share = {Candidates.random: 0.0, Candidates.mutants: 1.0}
        wanted = round(share.get(self.candidates, self.mutant_share) * self.pool)
        drawing.fill(mutants.of_parents, wanted, self._patience)
        if mutants.others:
            drawing.fill(mutants.of_others, wanted, self._patience)
        strangers = streams.fork("strangers")
        drawing.fill(lambda _: space.sample(strangers), self.pool, self._patience)
        return drawing.pool

    @property
    def _patience(self) -> int:
        return PATIENCE * max(self.pool, self.initial)

    def _drawing(self, size: int) -> Drawing:
        archs = self._history.archs
        if self._curves:
            archs = np.concatenate([archs, self._curves.tried], axis=1)
        seen = self._networks(archs)
        return Drawing(self.problem.space, self._networks, seen, size)

    def _all_filled(self, pool: Pool, streams: Streams) -> Archs:
        """``(T, M, L)`` with random architectures where nothing new was found."""
        archs = pool.archs.copy()
        for at in range(archs.shape[1]):
            spare = self.problem.space.sample(streams)
            archs[:, at] = np.where(pool.found[:, at, None], archs[:, at], spare)
        return archs
