"""Predictors that look at the beginning of a training: its last value, or its sum."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.predictors.base import best_known
from nasrun.ranges import require_within
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams


class Figure(Enum):
    """What the curve is of."""

    val_score = "val_score"
    train_loss = "train_loss"  # with its sign changed


class Reading(Enum):
    """What is read off a curve; higher is better."""

    last = "last"  # the value after the last epoch
    sum = "sum"  # of all epochs
    ema = "ema"  # the sum of an exponential moving average


@dataclass
class OfCurves(Predictor):
    """A predictor of learning curves, those of ``figure``."""

    figure: Figure = Figure.val_score

    @property
    def reads(self) -> str:
        """The figure."""
        return self.figure.value


@dataclass
class CurveReading(OfCurves):
    """A figure of the partial training itself; nothing is learnt.

    - ``early_stop``: the last validation score;
    - ``sotl``: Ru et al., "Speedy Performance Estimation for Neural Architecture Search" (NeurIPS
      2021): minus the sum of the training losses; ``sotl_e``: of the last epoch alone;
      ``sotl_ema``: of their moving average, in which the new value has the weight ``weight``.

    What it predicts is on the curve's own scale, which is enough to order architectures.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "early_stop"
    reading: Reading = Reading.last
    weight: float = 0.99

    def __post_init__(self) -> None:
        require_within(self, "predictor", "(0, 1]", "weight")

    @property
    def learns(self) -> bool:
        """A curve is all that is looked at."""
        return False

    @property
    def reads_last(self) -> bool:
        """A sum needs all of them."""
        return self.reading is Reading.last

    @property
    def in_figures(self) -> bool:
        """The last score is one of them; a sum is not."""
        return self.figure is Figure.val_score and self.reading is Reading.last

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Reader":
        """A reader of curves."""
        return Reader(self)


class CurveModel(Model):
    """Looks at single curves; nothing is learnt from others."""

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Keep the best figure."""
        self._best = best_known(y, mask)


class Reader(CurveModel):
    """Reads curves."""

    def __init__(self, settings: CurveReading) -> None:
        self._settings = settings

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Keep what the best curve says: a sum of losses is no score, whose best would mislead."""
        super().fit(inputs, self._said(inputs), mask)

    def predict(self, inputs: Inputs) -> Prediction:
        """What the curves say."""
        mean = self._said(inputs)
        return Prediction(mean, np.zeros_like(mean), self._best)

    def _said(self, inputs: Inputs) -> Floats:
        curve = curves_of(inputs, self._settings.name)
        return read(curve, self._settings.reading, self._settings.weight)


def read(curve: Floats, reading: Reading, weight: float = 0.99) -> Floats:
    """``(...,)`` a figure of each curve ``(..., epochs)``; NaN where it has one."""
    if reading is Reading.last:
        return curve[..., -1].copy()
    total, average = np.zeros(curve.shape[:-1]), curve[..., 0]
    for epoch in range(curve.shape[-1]):
        value = curve[..., epoch]
        average = (1 - weight) * average + weight * value
        total = total + (average if reading is Reading.ema else value)
    return total


def last_epoch(inputs: Inputs, final: int | None) -> int:
    """The epoch that curves are to be continued to: the one that is set, or the training's last.

    Raises:
        ConfigError: neither is known.
    """
    if (found := inputs.full if final is None else final) is None:
        raise ConfigError("predictor.final must be set: how long whole trainings are is not known")
    return found


def curves_of(inputs: Inputs, name: str) -> Floats:
    """The curves of what is asked.

    Raises:
        UnsupportedError: there are none.
    """
    if inputs.curve is None or not inputs.curve.shape[2]:
        raise UnsupportedError(
            f"predictor={name} reads learning curves, which are not to be had here: take a "
            "predictor of architectures, such as predictor=rf"
        )
    return inputs.curve
