"""LCNet: a Bayesian perceptron whose outputs are the parameters of a learning curve."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.nets.cohort import CohortMLP
from nasrun.predictors.base import STD_FLOOR, Encoded, Scale, best_known
from nasrun.predictors.learning_curves import Figure, OfCurves, curves_of, last_epoch
from nasrun.predictors.sampled_networks import SampledNetwork, SampledNetworks
from nasrun.ranges import require_at_least
from nasrun.spec import Floats, Inputs, Mask, Prediction, SearchSpace, Streams

PARAMETERS, FAMILIES = 8, 3  # of the families of curves, and these
OUTPUTS = PARAMETERS + FAMILIES + 1
MARGIN = 0.1  # on both sides of what was seen, where an asymptote between 0 and 1 can lie


@dataclass
class LCNet(SampledNetwork, OfCurves):
    """Curves of architectures, from those of others and from how they begin.

    Klein, Falkner, Springenberg and Hutter, "Learning Curve Prediction with Bayesian Neural
    Networks" (ICLR 2017), section 3: from an architecture, three layers of 50 tanh give the
    parameters and weights of three families of curves (vapour pressure, a logarithm, Hill's
    third), which are 0 at the last epoch ``final``, and the value there; all is drawn from its
    posterior as in ``BOHAMIANN``, with pybnn's numbers of steps. It learns from beginnings of
    curves and from the final figures.

    Departures: how the asked curve begins weighs the draws by its likelihood, where the paper draws
    anew for it: few draws carry the weight where the beginning is long. Parameters go through
    sigmoids, as in pybnn's later versions, because Hill's family has no value for negative ones.
    Figures are brought into 0 to 1 by the lowest and the highest that are learnt from, where pybnn
    takes accuracies as they are. One noise serves all epochs.

    Raises:
        ConfigError: a field out of its range, or curves of another figure than the scores.
    """

    name: str = "lcnet"
    encodings: list[str] = field(default_factory=lambda: ["adjacency", "onehot"])
    figure: Figure = Figure.val_score
    final: int | None = None
    layers: int = 3
    burn_in: int = 3000
    samples: int = 100
    thin: int = 100
    batch: int | None = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "predictor", 1, "final")
        if self.figure is not Figure.val_score:
            raise ConfigError(
                "predictor=lcnet goes on with the curves of what it predicts: set "
                f"predictor.figure=val_score, got {self.figure.value}"
            )

    @property
    def reads_architectures(self) -> bool:
        """Besides their curves."""
        return True

    @property
    def in_figures(self) -> bool:
        """It goes on with the curve."""
        return True

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "CurveNetworks":
        """A chain a trial."""
        return CurveNetworks(self, Encoded(space, self.encodings), streams)


def curve_value(out: Tensor, t: Tensor) -> Tensor:
    """``(...,)`` values at t, of which 1 is the last epoch, of curves with ``out (..., 12)``."""
    a, b, c, d, e, top, shape, middle = out[..., :PARAMETERS].sigmoid().unbind(dim=-1)
    b, c, log = b / 10.0, c / 10.0, t.log()
    vapour = torch.exp(-a - b / t - c * log) - torch.exp(-a - b)
    logarithm = torch.log1p(d * torch.log1p(t) + e) - torch.log1p(d * np.log(2.0) + e)
    hill = top / ((middle / t) ** shape + 1.0) - top / (middle**shape + 1.0)
    share = out[..., PARAMETERS : PARAMETERS + FAMILIES].softmax(dim=-1)
    way = (share * torch.stack([vapour, logarithm, hill], dim=-1)).sum(dim=-1)
    return way.tanh() + out[..., OUTPUTS - 1].sigmoid()


class CurveNetworks(SampledNetworks):
    """Perceptrons that read an architecture; the last of their inputs is the time of the curve."""

    def __init__(self, settings: LCNet, encode: Encoded, streams: Streams) -> None:
        super().__init__(settings, OUTPUTS, streams)
        self._settings, self._encode = settings, encode

    def read(self, net: CohortMLP, x: Tensor) -> Tensor:
        """The curve of what stands in ``x (R, B, F)``, at the time that stands there, too."""
        seen = torch.ones(x.shape[2], dtype=x.dtype)
        seen[self._time] = 0.0
        return curve_value(net(x * seen)[..., :OUTPUTS], x[..., self._time].clamp(min=STD_FLOOR))

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Draw new networks, from curves and final figures."""
        curve = curves_of(inputs, self._settings.name)
        seen = np.concatenate([curve, y[..., None]], axis=2)
        self._scale = _between(seen, mask)
        goal = np.where(mask[..., None], (seen - self._scale.centre[..., None])
                        / self._scale.spread[..., None], 0.0)  # fmt: skip
        known = np.broadcast_to(mask[..., None], goal.shape)
        features = self._at_times(inputs, curve.shape[2])
        self.sample(features, goal.reshape(len(y), -1), known.reshape(len(y), -1))

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the last value over the draws, weighed by the curves."""
        curve, scale = curves_of(inputs, self._settings.name), self._scale
        trials, count, epochs = curve.shape
        found = self.ask(self._at_times(inputs, epochs)).reshape(trials, -1, count, epochs + 1)
        z = (curve - scale.centre[..., None]) / scale.spread[..., None]
        weight = likelihoods(found[..., :-1], z, self.noise)
        last = found[..., -1]
        mean = (weight * last).sum(axis=1)
        sd = np.sqrt((weight * (last - mean[:, None]) ** 2).sum(axis=1))
        return Prediction(scale.restored(mean), sd * scale.spread, scale.best)

    def _at_times(self, inputs: Inputs, epochs: int) -> Floats:
        """``(T, N * (epochs + 1), F + 1)``: architectures at each epoch, and at the last one."""
        coded = self._encode(Inputs(inputs.archs))
        self._time = coded.shape[2]
        final = last_epoch(inputs, self._settings.final)
        times = np.append(np.arange(1.0, epochs + 1) / final, 1.0)
        shape = (*coded.shape[:2], len(times))
        repeated = np.broadcast_to(coded[:, :, None], (*shape, coded.shape[2]))
        joined = np.concatenate([repeated, np.broadcast_to(times, shape)[..., None]], axis=3)
        return joined.reshape(len(coded), -1, joined.shape[3])


def likelihoods(found: Floats, z: Floats, noise: Floats) -> Floats:
    """``(T, S, M)`` shares of draws by the likelihood of curves ``z (T, M, E)``.

    Args:
        found: ``(T, S, M, E)`` what draws say of them.
        z: the curves.
        noise: ``(T, S)`` variance in each draw.
    """
    spread = noise[:, :, None, None]
    logs = -0.5 * ((found - z[:, None]) ** 2 / spread + np.log(spread)).sum(axis=3)
    share = np.exp(logs - logs.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def _between(seen: Floats, mask: Mask) -> Scale:
    """The way to 0 to 1 of ``(T, N, E)`` figures where ``mask (T, N)``."""
    known = mask[..., None]
    low = np.where(known, seen, np.inf).min(axis=(1, 2), initial=np.inf)
    high = np.where(known, seen, -np.inf).max(axis=(1, 2), initial=-np.inf)
    there = mask.any(axis=1) & (high - low > STD_FLOOR)
    low, width = np.where(there, low, 0.0), np.where(there, high - low, 1.0)
    best = best_known(seen[..., -1], mask)
    centre = low - MARGIN * width
    return Scale(centre[:, None], (width * (1.0 + 2.0 * MARGIN))[:, None], best)
