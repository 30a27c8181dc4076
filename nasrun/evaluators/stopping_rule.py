"""Whether a training goes on, by how earlier ones went: Baker et al. (ICLR workshop 2018)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.spec import Archs, Floats, Inputs, Model, Predictor, SearchSpace, Streams

LEAST_SD = 1e-12  # so that what is predicted without an error has a distribution, too


@dataclass(frozen=True)
class Rule:
    """Stop what ends below the best so far with probability ``confidence``, by ``predictor``.

    ``first`` trainings are finished before; ``folds`` of a cross-validation over them say how wrong
    the predictor is.
    """

    predictor: Predictor
    first: int
    confidence: float
    folds: int


class Trainings:
    """What one search has trained in full, and what was learnt from it.

    Scores are higher for what is better.

    Args:
        rule: by which trainings are stopped.
        space: of the architectures.
        seed: of the trial.
    """

    def __init__(self, rule: Rule, space: SearchSpace, seed: int) -> None:
        self._rule, self._space, self._seed = rule, space, seed
        self._known: dict[str, tuple[Archs, Floats, float]] = {}
        self._best = -np.inf
        self._learnt: dict[int, Foresight] = {}

    @property
    def enough(self) -> bool:
        """Whether so many were finished that others may be stopped."""
        return len(self._known) >= self._rule.first

    def add(self, arch: Archs, curve: Floats, final: float) -> None:
        """Remember a finished training of ``arch (L,)`` with its ``curve (epochs,)``.

        The same network again has nothing to teach, nor have those that come after the first.
        """
        self._best = max(self._best, final)
        if not self.enough:
            self._known.setdefault(self._space.canonical(arch), (arch, curve, final))

    def verdict(self, arch: Archs, curve: Floats) -> float | None:
        """The predicted final score of a training that is to be stopped; None: it goes on.

        Args:
            arch: ``(L,)`` what is trained.
            curve: ``(epochs,)`` scores so far; one with gaps goes on.

        Raises:
            DataError: the finished trainings have no scores so far.
        """
        if (epochs := len(curve)) not in self._learnt:
            archs, curves, finals = (
                np.stack(part) for part in zip(*self._known.values(), strict=True)
            )
            streams = Streams([self._seed], f"curve_stopped/{epochs}")
            model = self._rule.predictor.opened(self._space, streams)
            full, folds = curves.shape[1], self._rule.folds
            self._learnt[epochs] = Foresight(model, archs, curves[:, :epochs], finals, folds, full)
        mean, sd = self._learnt[epochs](arch, curve)
        return mean if chance_below(self._best, mean, sd) >= self._rule.confidence else None


class Foresight:
    """A predictor of final scores from curves up to an epoch, and how wrong it is.

    Args:
        model: of one trial.
        archs: ``(N, L)`` finished trainings.
        curves: ``(N, epochs)`` of them; epochs at which one has no score are left out.
        finals: ``(N,)`` their final scores.
        folds: of the cross-validation, the record n in fold n % folds.
        full: epochs of a whole training.

    Raises:
        DataError: there is no epoch at which all have a score.
    """

    def __init__(
        self, model: Model, archs: Archs, curves: Floats, finals: Floats, folds: int, full: int
    ) -> None:
        self._model, self._full = model, full
        self._there = ~np.isnan(curves).any(axis=0)
        if not self._there.any():
            raise DataError(
                f"expected validation scores of every training up to epoch {curves.shape[1]}, "
                "found gaps at each epoch: set larger evaluator.looks, or take another table"
            )
        inputs = Inputs(archs[None], curve=curves[None][:, :, self._there], full=full)
        y, fold = finals[None], np.arange(len(finals)) % folds
        errors = np.zeros(len(finals))
        for held in range(folds):
            model.fit(inputs, y, (fold != held)[None])
            errors[fold == held] = (model.predict(inputs).mean - y)[0, fold == held]
        model.fit(inputs, y, np.ones(y.shape, np.bool_))
        self.sd = float(np.sqrt((errors**2).mean()))

    def __call__(self, arch: Archs, curve: Floats) -> tuple[float, float]:
        """Mean and standard deviation of the final score; infinite for a curve with gaps."""
        own = curve[self._there]
        if np.isnan(own).any():
            return np.inf, self.sd
        asked = Inputs(arch[None, None], curve=own[None, None], full=self._full)
        found = self._model.predict(asked)
        return float(found.mean[0, 0]), self.sd


def chance_below(best: float, mean: float, sd: float) -> float:
    """P(final score < best), where it is normal around ``mean``."""
    return 0.5 * math.erfc((mean - best) / (max(sd, LEAST_SD) * math.sqrt(2.0)))


def looks(fidelities: Sequence[int], shares: Sequence[float]) -> tuple[int, ...]:
    """The epochs after which a training is looked at, ascending.

    Each is the first at which it can be measured, from its share of the full training on.

    Raises:
        ConfigError: there is none before the end.
    """
    full = fidelities[-1]
    before = [epochs for epochs in fidelities if epochs < full]
    found = {
        next((epochs for epochs in before if epochs >= share * full), full) for share in shares
    } - {full}
    if not found:
        raise ConfigError(
            f"evaluator.looks={list(shares)} leave nothing to stop: trainings can be measured "
            f"after {', '.join(map(str, fidelities))} epochs alone"
        )
    return tuple(sorted(found))
