"""DNGO: Bayesian linear regression on what a network has learnt to see."""

from dataclasses import dataclass

import numpy as np

from nasrun.predictors.base import Encoded, scaled
from nasrun.predictors.blr import Evidence, require_precisions
from nasrun.predictors.mlp import Activation, Ensemble, Loss, MLPEnsemble
from nasrun.spec import Floats, Inputs, Mask, Prediction, SearchSpace, Streams


@dataclass
class DNGO(MLPEnsemble):
    """The last layer of a network is replaced by a Bayesian linear regression.

    Snoek et al., "Scalable Bayesian Optimization Using Deep Neural Networks" (ICML 2015); settings
    of pybnn: three layers of 50 tanh, squared error, Adam with rate 0.01, 500 epochs of
    batches of 10.

    Departures: the two precisions are set by evidence maximisation, as in BONAS (Shi et al.,
    NeurIPS 2020), where pybnn samples them by MCMC and naszilla takes a simplex search; first
    weights are uniform after Glorot; ``members`` networks, by default one, have a regression each.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "dngo"
    members: int = 1
    layers: int = 3
    width: int = 50
    activation: Activation = Activation.tanh
    epochs: int = 500
    batch: int = 10
    beta2: float = 0.999
    loss: Loss = Loss.mse
    alpha: float = 1.0
    beta: float = 100.0
    steps: int = 200

    @property
    def has_members(self) -> bool:
        """Its regressions are one mixture."""
        return False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precisions(self)

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "LastLayer":
        """A network and a regression a trial."""
        return LastLayer(self, Encoded(space, self.encodings), streams)


class LastLayer(Ensemble):
    """Networks with a Bayesian last layer."""

    def __init__(self, settings: DNGO, encode: Encoded, streams: Streams) -> None:
        super().__init__(settings, encode, streams)
        self._own = settings

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Train new networks, then the regressions on what they see."""
        super().fit(inputs, y, mask)
        own = self._own
        goal, self._scale = scaled(y, mask, own.targets)
        seen = np.where(mask[:, None, :, None], self._seen(inputs), 0.0)
        count = np.repeat(mask.sum(axis=1).astype(float), own.members)
        goals = np.repeat(goal, own.members, axis=0)
        flat = seen.reshape(-1, *seen.shape[2:])
        self._evidence = Evidence(flat, goals, count, own.alpha, own.beta, own.steps)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the mixture of the members' predictions."""
        seen = self._seen(inputs)
        mean, sd = self._evidence.predict(seen.reshape(-1, *seen.shape[2:]))
        mean, sd = (part.reshape(*seen.shape[:3]) for part in (mean, sd))
        variance = (sd**2).mean(axis=1) + mean.var(axis=1)
        scale = self._scale
        spread = np.sqrt(variance) * scale.spread
        return Prediction(scale.restored(mean.mean(axis=1)), spread, scale.best)

    def _seen(self, inputs: Inputs) -> Floats:
        """``(T, members, M, units + 1)``: the last hidden layer, and a constant."""
        seen = self.by_members(inputs, lambda net, x: net.hidden(x))
        return np.concatenate([seen[..., : self._own.width], np.ones((*seen.shape[:3], 1))], axis=3)
