"""An evaluator that stops trainings whose curves promise less than the best so far."""

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.stopping_rule import Rule, Trainings, looks
from nasrun.evaluators.wrapping import Wrapping, WrappingSession
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import (
    Archs,
    Evaluator,
    Floats,
    Ints,
    Mask,
    Measured,
    Predictor,
    Protocol,
    SearchSpace,
    Streams,
    Task,
)

FIGURE = "val_score"  # of the curves


@dataclass
class CurveStopped(Wrapping):
    """Measures by ``then``, and stops trainings that will hardly end above the best so far.

    Baker, Gupta, Raskar and Naik, "Accelerating Neural Architecture Search using Performance
    Prediction" (ICLR workshop 2018): the ``first`` networks of a trial are trained in full;
    from these ``predictor`` learns, for each of ``looks`` (shares of the training), to tell the
    final score from the validation scores so far. Later trainings are stopped at the first look at
    which the final score is below the best of the trial with probability ``confidence``, under a
    normal distribution around the prediction with the root mean square error of a cross-validation
    as its standard deviation. A stopped one scores what was predicted, as in the paper, with the
    epochs it was trained for, which are all that it costs; so a search recommends one of those that
    were trained in full.

    Departures: the paper looks after every epoch and searches settings of the regression; here
    looks are few, so that hundreds of trials learn in seconds. Networks that a search asks for at
    fewer epochs than the full training are trained as long as it says, and nothing is learnt from
    them.

    Raises:
        ConfigError: no evaluator, no predictor of final scores, or a field out of its range.
    """

    name: str = "curve_stopped"
    predictor: Any = field(default=None)  # a Predictor; OmegaConf knows no abstract types
    first: int = 100
    confidence: float = 0.95
    looks: list[float] = field(default_factory=lambda: [0.1, 0.25, 0.5])
    folds: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.then, Evaluator):
            raise ConfigError(
                "evaluator.then must be an evaluator: choose it with "
                "evaluator@evaluator.then=training or tabular"
            )
        own = self.predictor
        if not (isinstance(own, Predictor) and own.reads == FIGURE and own.in_figures):
            raise ConfigError(
                f"evaluator.predictor must predict final scores from curves of {FIGURE}: choose it "
                "with predictor@evaluator.predictor=lcsvr_wide, lcsvr, lce or early_stop"
            )
        require_at_least(self, "evaluator", 2, "folds")
        require_at_least(self, "evaluator", self.folds, "first")
        require_within(self, "evaluator", "(0, 1)", "confidence", "looks")

    def opened(self, space: SearchSpace, task: Task) -> "CurveStoppedSession":
        """The evaluator behind, for this space and task.

        Raises:
            UnsupportedError: it has no learning curves of validation scores.
            ConfigError: none of its training lengths is a look.
        """
        return CurveStoppedSession(self, space, task)


class CurveStoppedSession(WrappingSession):
    """An evaluator whose trainings may be stopped, opened for a space and a task.

    What a trial has trained is remembered for as long as the streams of its search live, because a
    session serves several searches.
    """

    def __init__(self, settings: CurveStopped, space: SearchSpace, task: Task) -> None:
        super().__init__(settings.name, settings.then.opened(space, task))
        self._settings, self._space = settings, space
        self._rule = Rule(settings.predictor, settings.first, settings.confidence, settings.folds)
        if FIGURE not in self.curves:
            raise UnsupportedError(
                f"evaluator={self.name} reads learning curves of {FIGURE}, which "
                f"evaluator.then={settings.then.name} has not: use a table with a figure for every "
                "epoch (nasrun/benchmarks/README.md), or evaluator@evaluator.then=training"
            )
        self._looks = looks(self.fidelities, settings.looks)
        self._searches: WeakKeyDictionary[Streams, dict[int, Trainings]] = WeakKeyDictionary()

    def _trials(self, streams: Streams) -> list[Trainings]:
        """What each trial of these streams remembers."""
        known = self._searches.setdefault(streams.origin, {})
        return [
            known.setdefault(seed, Trainings(self._rule, self._space, seed))
            for seed in streams.seeds
        ]

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Measure ``archs (T, L)`` after ``epochs (T,)``, or fewer of those that are stopped."""
        trials, full = self._trials(streams), epochs == self.fidelities[-1]
        used, predicted = self._stopped(archs, trials, full, epochs)
        found = self._then.evaluate(archs, epochs=used, streams=streams, parents=parents)
        stopped = ~np.isnan(predicted)
        for row in np.flatnonzero(full & ~stopped & ~np.isnan(found.score)):
            curve = self._curve(archs[row][None], self.fidelities[-1])[0]
            final = float(self.metric.oriented(found.score[row : row + 1])[0])
            trials[row].add(archs[row], curve, final)
        score = np.where(stopped, self.metric.oriented(predicted), found.score)
        return replace(found, score=np.where(np.isnan(found.score), np.nan, score), epochs=used)

    def _stopped(
        self, archs: Archs, trials: list[Trainings], full: Mask, epochs: Ints
    ) -> tuple[Ints, Floats]:
        """Epochs ``(T,)`` to train for, and predictions ``(T,)`` of those that are stopped."""
        used, predicted = epochs.copy(), np.full(len(archs), np.nan)
        going = [row for row in np.flatnonzero(full).tolist() if trials[row].enough]
        for look in self._looks:
            if not going:
                break
            for row, curve in zip(going, self._curve(archs[going], look), strict=True):
                if (final := trials[row].verdict(archs[row], curve)) is not None:
                    used[row], predicted[row] = look, final
            going = [row for row in going if np.isnan(predicted[row])]
        return used, predicted

    def _curve(self, archs: Archs, epochs: int) -> Floats:
        """``(n, epochs)`` validation scores of ``archs (n, L)``; higher is better."""
        lengths = np.full(len(archs), epochs, np.int64)
        return self.metric.oriented(self._then.curve(archs, epochs=lengths, figure=FIGURE))

    @property
    def protocol(self) -> Protocol:
        """That of the evaluator behind, with the rule."""
        own, settings = self._then.protocol, self._settings
        rule = (
            f"from training {settings.first + 1} on stopped after "
            f"{' or '.join(map(str, self._looks))} epochs if {settings.predictor.name} predicts "
            f"less than the best with probability {settings.confidence:g}"
        )
        return replace(own, fidelity=f"{own.fidelity}, {rule}")
