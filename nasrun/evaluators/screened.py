"""An evaluator behind a filter: a cheap one decides which architectures another one measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.evaluators.wrapping import Wrapping, WrappingSession
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Protocol,
    SearchSpace,
    Session,
    Streams,
    Task,
)


@dataclass
class Screened(Wrapping):
    """Measures none of the architectures whose score by ``screen`` is among the lowest ``share``.

    The bar is that quantile over ``sample`` random architectures, drawn by ``seed`` before the
    search and free of charge. An architecture below it scores NaN, as a failed training does, and
    costs the screening; one that passes costs both. Abdelfattah et al., "Zero-Cost Proxies for
    Lightweight NAS" (ICLR 2021), Section 5.1, warm a search up in the same spirit. Where either
    clock is a table's, screening costs nothing: measured and simulated seconds cannot be added.

    Raises:
        ConfigError: no evaluators, a share outside (0, 1), or no sample.
    """

    name: str = "screened"
    screen: Any = field(default=None)  # an Evaluator, as ``then``
    share: float = 0.5
    sample: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.screen, Evaluator) and isinstance(self.then, Evaluator)):
            raise ConfigError(
                "evaluator.screen and evaluator.then must be evaluators: choose them with "
                "evaluator@evaluator.screen=zero_cost evaluator@evaluator.then=training"
            )
        require_within(self, "evaluator", "(0, 1)", "share")
        require_at_least(self, "evaluator", 1, "sample")
        require_not_negative(self, "evaluator", "seed")

    @property
    def at_once(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The fewer of both."""
        limits = [own for own in (self.screen.at_once, self.then.at_once) if own is not None]
        return min(limits, default=None)

    def opened(self, space: SearchSpace, task: Task) -> "ScreenedSession":
        """Both evaluators for this space and task, and the bar.

        Raises:
            DataError: the screen gives no sampled architecture a score.
        """
        return ScreenedSession(self, space, task)


class ScreenedSession(WrappingSession):
    """A filter and an evaluator behind it, opened for a space and a task."""

    def __init__(self, settings: Screened, space: SearchSpace, task: Task) -> None:
        super().__init__(settings.name, settings.then.opened(space, task))
        self._settings = settings
        self._screen: Session = settings.screen.opened(space, task)
        clocks = {settings.screen.clock, settings.then.clock}
        self._adds_cost = clocks == {Clock.MEASURED}
        streams = Streams(range(settings.seed, settings.seed + settings.sample), "screened")
        scores = self._screened(space.sample(streams), streams).score
        if np.isnan(scores).all():
            raise DataError(
                f"evaluator.screen={settings.screen.name} gave none of {settings.sample} sampled "
                "architectures a score, so there is no bar: choose another screen or proxy"
            )
        self._bar = float(np.nanquantile(self._screen.metric.oriented(scores), settings.share))

    def _screened(self, archs: Archs, streams: Streams) -> Measured:
        full = np.full(len(archs), self._screen.fidelities[-1], np.int64)
        return self._screen.evaluate(archs, epochs=full, streams=streams)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Measure those of ``archs (T, L)`` that pass; the others score NaN."""
        screened = self._screened(archs, streams)
        passed = np.flatnonzero(self._screen.metric.oriented(screened.score) >= self._bar)
        found, score, cost_s = archs.copy(), np.full(len(archs), np.nan), np.zeros(len(archs))
        trained = epochs.copy()
        if self._adds_cost:
            cost_s += screened.cost_s
        started = None
        if len(passed):
            own = None if parents is None else parents[passed]
            measured = self._then.evaluate(
                archs[passed], epochs=epochs[passed], streams=_Rows(streams, passed), parents=own
            )
            found[passed], score[passed] = measured.archs, measured.score
            trained[passed] = measured.epochs
            cost_s[passed] += measured.cost_s
            started = None if measured.parents is None else parents
        return replace(Measured.scored(found, trained, score, cost_s), parents=started)

    @property
    def why_nothing(self) -> str:
        """The filter, or what is behind it."""
        share = self._settings.share
        return f"evaluator.screen (share={share:g}) let none pass, or {self._then.why_nothing}"

    @property
    def protocol(self) -> Protocol:
        """That of the evaluator behind the filter, with the filter."""
        own, by = self._then.protocol, self._screen.protocol.fidelity
        bar = f"the {self._settings.share:g} quantile"
        return replace(own, fidelity=f"{own.fidelity}, if {by} is not below {bar}")

    @property
    def files(self) -> Mapping[str, str]:
        """Files of both."""
        return {**self._screen.files, **self._then.files}


class _Rows(Streams):
    """The streams of some trials: nothing is drawn from the others'."""

    def __init__(self, streams: Streams, rows: Ints) -> None:
        super().__init__([streams.seeds[row] for row in rows], streams.purpose)
        self._whole, self._rows = streams, rows

    @property
    def origin(self) -> Streams:
        """Those of all trials."""
        return self._whole.origin

    def uniform(self, size: int = 1, rows: Ints | None = None) -> Floats:
        """``(len(rows), size)`` uniforms, the next ones of these trials."""
        return self._whole.uniform(size, self._rows if rows is None else self._rows[rows])
