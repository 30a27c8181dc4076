"""An evaluator behind a filter: a cheap one decides whom the dear one judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Scored,
    SearchSpace,
    Streams,
    Task,
)


@dataclass
class Screened(Evaluator):
    """Architectures whose score by ``screen`` is among the lowest ``share`` are not judged at all.

    The bar is that quantile over ``sample`` random architectures, drawn by ``seed`` before the
    search and free of charge. Who is under it scores NaN, as a failed training does, and costs the
    screening; who passes costs both. Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS"
    (ICLR 2021), Section 5.1, warm a search up in the same spirit. Where the dear evaluator's clock
    is a table's, screening costs nothing: the two clocks cannot be added.

    Raises:
        ConfigError: no evaluators, a share outside (0, 1), or no sample.
    """

    name: str = "screened"
    screen: Any = field(default=None)  # an Evaluator; OmegaConf knows no abstract types
    then: Any = field(default=None)
    share: float = 0.5
    sample: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.screen, Evaluator) and isinstance(self.then, Evaluator)):
            raise ConfigError(
                "evaluator.screen and evaluator.then must be evaluators: choose them with "
                "evaluator@evaluator.screen=zero_cost evaluator@evaluator.then=training"
            )
        if not 0 < self.share < 1 or self.sample < 1 or self.seed < 0:
            raise ConfigError(
                "evaluator.share must be in (0, 1), evaluator.sample at least 1 and "
                f"evaluator.seed at least 0, got {self.share}, {self.sample} and {self.seed}"
            )

    def start(self, space: SearchSpace, task: Task) -> None:
        """Start both, and measure the bar.

        Raises:
            DataError: the screen gives no sampled architecture a score.
        """
        self.screen.start(space, task)
        self.then.start(space, task)
        streams = Streams(range(self.seed, self.seed + self.sample), "screened")
        scores = self._screened(space.sample(streams), streams).val_acc_pct
        if np.isnan(scores).all():
            raise DataError(
                f"evaluator.screen={self.screen.name} gave none of {self.sample} sampled "
                "architectures a score, so there is no bar: choose another screen or proxy"
            )
        self._bar = float(np.nanquantile(scores, self.share))

    @property
    def clock(self) -> Clock:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The dear evaluator's."""
        return self.then.clock

    @property
    def gives_accuracy(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the dear evaluator's final figures are accuracies."""
        return self.then.gives_accuracy

    def _screened(self, archs: Archs, streams: Streams) -> Measured:
        full = np.full(len(archs), self.screen.fidelities[-1], np.int64)
        return self.screen.evaluate(archs, epochs=full, streams=streams)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Those of the dear evaluator."""
        return self.then.fidelities

    def evaluate(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Judge those of ``archs (T, L)`` that pass; the others score NaN."""
        screened = self._screened(archs, streams)
        passed = np.flatnonzero(screened.val_acc_pct >= self._bar)
        unknown = np.full(len(archs), np.nan)
        accuracy, cost_s = unknown.copy(), np.zeros(len(archs))
        if self.clock is Clock.MEASURED:
            cost_s += screened.cost_s
        if len(passed):
            judged = self.then.evaluate(
                archs[passed], epochs=epochs[passed], streams=_Rows(streams, passed)
            )
            accuracy[passed] = judged.val_acc_pct
            cost_s[passed] += judged.cost_s
        return Measured(archs, epochs, accuracy, cost_s, unknown, unknown)

    def check_final(self, task: Task) -> None:
        """Ask the dear evaluator."""
        self.then.check_final(task)

    def score(self, archs: Archs, task: Task) -> Scored:
        """The dear evaluator's final figures."""
        return self.then.score(archs, task)

    @property
    def protocol(self) -> Mapping[str, str]:
        """The dear evaluator's, with the filter."""
        own = dict(self.then.protocol)
        by = self.screen.protocol["fidelity"]
        bar = f"the {self.share:g} quantile"
        return {**own, "fidelity": f"{own['fidelity']}, if {by} is not below {bar}"}

    def files(self) -> Mapping[str, str]:
        """Files of both."""
        return {**self.screen.files(), **self.then.files()}


class _Rows(Streams):
    """The streams of some trials: nothing is drawn from the others'."""

    def __init__(self, streams: Streams, rows: Ints) -> None:
        super().__init__([streams.seeds[row] for row in rows], streams.purpose)
        self._whole, self._rows = streams, rows

    def uniform(self, size: int = 1, rows: Ints | None = None) -> Floats:
        """``(len(rows), size)`` uniforms, the next ones of these trials."""
        return self._whole.uniform(size, self._rows if rows is None else self._rows[rows])
