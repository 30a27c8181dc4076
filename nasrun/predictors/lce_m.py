"""Learning-curve extrapolation by Domhan's eleven families, with all parameters drawn."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from nasrun.predictors.curve_families import FAMILIES
from nasrun.predictors.lce import LEAST_SD, Extrapolating
from nasrun.predictors.learning_curves import CurveModel, curves_of, last_epoch
from nasrun.predictors.stretch import Ensemble
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Floats, Inputs, Mask, Prediction, SearchSpace, Streams

SIZES = [len(family.start) for family in FAMILIES.values()]
DIMENSIONS = sum(SIZES) + len(SIZES) + 1  # with weights, and the noise
AT_ONCE = 8  # curves a trial
LEAST_WEIGHT = 5e-3  # of a family at first: walkers around it have positive ones


@dataclass
class LCEM(Extrapolating):
    """The final value of a curve, by a weighted sum of eleven families, drawn from its posterior.

    Domhan, Springenberg and Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep
    Neural Networks by Extrapolation of Learning Curves" (IJCAI 2015), section 3: the curve is
    Σ w_k f_k(x | θ_k) + N(0, σ²). The prior is flat over θ, w > 0 and σ², and 0 where the final
    value is below the first one. Each family is fitted alone by least squares, then the weights;
    walkers begin around these, and move by ``stretch.py``. The prediction is the mean of the
    sum's final value over walkers and steps, its spread the standard deviation. Lengths are
    NASLib's, where an ensemble of 50 walkers has four families.

    Departures: 100 walkers, since an ensemble needs two a dimension, and there are 48. A flat prior
    without bounds is none: the noise is in [1e-4, 1], and the final value is at most ``most``
    (None: free). A fit that is not finite is left out; where nothing is possible, the last
    value stands in.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "lce_m"
    walkers: int = 100
    burn_in: int = 500
    samples: int = 800
    ball: float = 1e-3
    most: float | None = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "predictor", 2 * DIMENSIONS, "walkers")
        require_at_least(self, "predictor", 0, "burn_in")
        require_at_least(self, "predictor", 1, "samples")
        require_positive(self, "predictor", "ball", "most")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Mixtures":
        """An ensemble of walkers a curve."""
        return Mixtures(self, streams)


class Mixtures(CurveModel):
    """Extrapolates curves; nothing is learnt from others."""

    def __init__(self, settings: LCEM, streams: Streams) -> None:
        self._settings, self._streams = settings, streams

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation over walkers and steps."""
        curves = curves_of(inputs, self._settings.name) / self._settings.unit
        count, final = curves.shape[1], last_epoch(inputs, self._settings.final)
        cuts = range(0, count, AT_ONCE)
        parts = [self._drawn(curves[:, at : at + AT_ONCE], final) for at in cuts]
        mean, sd = (
            np.concatenate(part, axis=1) * self._settings.unit for part in zip(*parts, strict=True)
        )
        return Prediction(mean, sd, self._best)

    def _drawn(self, curves: Floats, final: int) -> tuple[Floats, Floats]:
        """``(T, n)`` mean and spread of ``curves (T, n, E)`` at epoch ``final``."""
        own, (trials, count, _) = self._settings, curves.shape
        flat = curves.reshape(trials * count, -1)

        def drawn(size: int, normal: bool = False) -> Floats:
            draw = self._streams.normal if normal else self._streams.uniform
            return draw(count * size * own.walkers).reshape(len(flat), size, own.walkers)

        sums = Sums(flat, final, own)
        scale = own.ball * np.maximum(np.abs(sums.start), 1.0)
        off = drawn(DIMENSIONS, normal=True).transpose(0, 2, 1)
        begun = sums.start[:, None] + np.where(sums.free, scale, 0.0)[:, None] * off
        ensemble = Ensemble(sums, begun, sums.free.sum(axis=1))
        total, squares, number = np.zeros((3, len(flat)))
        for step in range(own.burn_in + own.samples):
            ensemble.step(drawn(3))
            if step >= own.burn_in:
                there = np.isfinite(ensemble.log_density)
                off_last = np.where(there, ensemble.figure - flat[:, -1:], 0.0)
                total += off_last.sum(axis=1)
                squares += (off_last**2).sum(axis=1)
                number += there.sum(axis=1)
        mean = total / np.maximum(number, 1)
        sd = np.sqrt(np.maximum(squares / np.maximum(number, 1) - mean**2, 0.0))
        return (flat[:, -1] + mean).reshape(trials, -1), sd.reshape(trials, -1)


class Sums:
    """The posterior of weighted sums of the families, and its start, for ``curves (C, E)``.

    A position is ``(D,)``: all parameters, family by family, the weights and the
    noise's logarithm. ``start (C, D)`` is one, and ``free (C, D)`` tells what belongs to
    families whose fit is finite.
    """

    def __init__(self, curves: Floats, final: int, settings: LCEM) -> None:
        self._curves, self._most, self._fits = curves, settings.most, settings.fits
        self._x = np.append(np.arange(1.0, curves.shape[1] + 1), float(final))
        self._cuts = np.cumsum(SIZES)
        self._kept: Mask = np.zeros((len(curves), len(SIZES)), bool)
        self.start = np.stack(
            [self._fitted(*pair) for pair in zip(curves, self._kept, strict=True)]
        )
        every = np.ones((len(curves), 1), bool)
        self.free = np.hstack([np.repeat(self._kept, SIZES, axis=1), self._kept, every])

    def _fitted(self, curve: Floats, kept: Mask) -> Floats:
        """Least squares of each family, then of their weights, and the noise that they leave."""
        fits, values = [], []
        for at, family in enumerate(FAMILIES.values()):
            fit = family.fitted(curve, self._fits)
            value = family(self._x, fit)
            kept[at] = np.isfinite(value).all()
            fits.append(fit)
            values.append(value[:-1])
        own = np.where(kept[:, None], values, 0.0)
        share = kept * (LEAST_WEIGHT + (1.0 - kept.sum() * LEAST_WEIGHT) * nnls(own.T, curve)[0])
        summed = (share[:, None] * own).sum(axis=0)
        noise = np.clip(np.std(summed - curve), 2 * LEAST_SD, 0.5)
        return np.concatenate([*fits, share, [np.log(noise)]])

    def __call__(self, positions: Floats) -> tuple[Floats, Floats]:
        """Logarithms of the posterior and final values ``(C, n)`` at ``positions (C, n, D)``."""
        *parts, weights, log_sd = np.split(positions, [*self._cuts, positions.shape[2] - 1], axis=2)
        value = np.zeros((*positions.shape[:2], len(self._x)))
        with np.errstate(all="ignore"):  # walkers look at sums that lead nowhere
            for at, (family, part) in enumerate(zip(FAMILIES.values(), parts, strict=True)):
                own = family(self._x, np.moveaxis(part, -1, 0)[..., None])
                value += np.where(self._kept[:, at, None, None], weights[..., at, None] * own, 0.0)
            log_sd = log_sd[..., 0]
            error = ((value[..., :-1] - self._curves[:, None]) ** 2).sum(axis=-1)
            found = -0.5 * error * np.exp(-2.0 * log_sd) + (2.0 - self._curves.shape[1]) * log_sd
            last = value[..., -1]
            possible = (last >= value[..., 0]) & (log_sd >= np.log(LEAST_SD)) & (log_sd <= 0.0)
            possible &= ((weights > 0.0) | ~self._kept[:, None]).all(axis=-1) & np.isfinite(found)
            if self._most is not None:
                possible &= last <= self._most
        return np.where(possible, found, -np.inf), last
