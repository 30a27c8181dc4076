"""Learning-curve extrapolation: four families of curves, fitted and weighed by their errors."""

from dataclasses import dataclass

import numpy as np

from nasrun.predictors.curve_families import FAMILIES
from nasrun.predictors.learning_curves import CurveModel, Figure, OfCurves, curves_of, last_epoch
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Floats, Inputs, Prediction, SearchSpace, Streams

USED = ("log_log_linear", "log_power", "mmf", "hill3")
LEAST_SD = 1e-4  # of the noise, in units of the curve


@dataclass
class Extrapolating(OfCurves):
    """What extrapolations of single curves share.

    Curves are divided by ``unit``, and go on to epoch ``final``, by default the last of the whole
    training; a family's least squares may evaluate it ``fits`` times.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = ""
    unit: float = 100.0
    final: int | None = None
    fits: int = 100

    def __post_init__(self) -> None:
        require_at_least(self, "predictor", 1, "final", "fits")
        require_positive(self, "predictor", "unit")

    @property
    def learns(self) -> bool:
        """A curve is all that is looked at."""
        return False

    @property
    def in_figures(self) -> bool:
        """It goes on with the curve."""
        return self.figure is Figure.val_score


@dataclass
class LCE(Extrapolating):
    """The final value of a curve, by four families and a walk around their fits.

    Domhan et al. (IJCAI 2015) with NASLib's four families and Metropolis walk: each family is
    fitted by least squares; then all parameters and the families' weights move together, by normal
    steps of ``step``, and a move is taken or not by the likelihood of the curve and if the curve
    still rises. The prediction is the mean over the walk.

    Departures: Hill's third family has kappa^eta, as Domhan et al. write it (NASLib: kappa·eta); a
    fit begins at their starting values, by least squares without bounds (NASLib: at ones, by
    L-BFGS); one that is not finite is left out, and where none is left the last value stands in,
    where NASLib guesses; a move that is not taken leaves all as it was (NASLib's has moved the
    families' parameters, which it does not copy); the noise stays that of the fits (NASLib's moves,
    too); a curve rises where its final value is not below its first (NASLib: where the value after
    the last that is known is above it).

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "lce"
    walk: int = 300
    step: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "predictor", 1, "walk")
        require_positive(self, "predictor", "step")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Extrapolation":
        """One walk a curve."""
        return Extrapolation(self, streams)


class Extrapolation(CurveModel):
    """Extrapolates curves; nothing is learnt from others."""

    def __init__(self, settings: LCE, streams: Streams) -> None:
        self._settings, self._streams = settings, streams

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation over the walk."""
        own, curves = self._settings, curves_of(inputs, self._settings.name)
        final = last_epoch(inputs, own.final)
        mean, sd = np.zeros(curves.shape[:2]), np.zeros(curves.shape[:2])
        size = sum(len(FAMILIES[name].start) + 1 for name in USED)
        for at in range(curves.shape[1]):
            steps = self._streams.normal(own.walk * size).reshape(len(curves), own.walk, size)
            chances = self._streams.uniform(own.walk)
            for trial, curve in enumerate(curves[:, at]):
                found = self._walked(curve / own.unit, final, steps[trial], chances[trial])
                mean[trial, at], sd[trial, at] = (own.unit * part for part in found)
        return Prediction(mean, sd, self._best)

    def _walked(
        self, curve: Floats, final: int, steps: Floats, chances: Floats
    ) -> tuple[float, float]:
        x = np.append(np.arange(1.0, len(curve) + 1), float(final))
        fits = [FAMILIES[name].fitted(curve, self._settings.fits) for name in USED]
        values = [FAMILIES[name](x, fit) for name, fit in zip(USED, fits, strict=True)]
        kept = [at for at, value in enumerate(values) if np.isfinite(value).all()]
        if not kept:
            return float(curve[-1]), 0.0
        cuts = np.cumsum([len(fits[at]) for at in kept])
        state = np.concatenate([*(fits[at] for at in kept), np.full(len(kept), 1.0 / len(kept))])

        def mixed(state: Floats) -> Floats:
            *parts, weights = np.split(state, cuts)
            pairs = zip(kept, parts, strict=True)
            own = [FAMILIES[USED[at]](x, part) for at, part in pairs]
            share: Floats = weights / weights.sum()
            return (share[:, None] * np.stack(own)).sum(axis=0)

        now = mixed(state)
        noise = max(float(np.std(now[:-1] - curve)), LEAST_SD)
        likelihood, found = log_likelihood(now, curve, noise), []
        for move, chance in zip(steps, chances, strict=True):
            other = state + self._settings.step * move[: len(state)]
            value = mixed(other)
            rising = np.isfinite(value).all() and value[-1] >= value[0]
            new = log_likelihood(value, curve, noise) if rising else -np.inf
            if np.log(max(chance, 1e-300)) < new - likelihood:
                state, now, likelihood = other, value, new
            found.append(now[-1])
        return float(np.mean(found)), float(np.std(found))


def log_likelihood(value: Floats, curve: Floats, noise: float) -> float:
    """Of ``curve (E,)`` around ``value (E + 1,)``, whose last is beyond it; without a constant."""
    return float(-0.5 * (((value[:-1] - curve) / noise) ** 2).sum())
