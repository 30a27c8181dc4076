"""Graph isomorphism networks: NPENAS's predictors."""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.predictors.graph_cohort import Batch, Drop, GraphNetwork, GraphPredictor
from nasrun.predictors.graph_layers import BatchNorm, Linear
from nasrun.spec import Streams


class Head(Enum):
    """What the network says of an architecture."""

    mean = "mean"  # its figure, by squared error (NPENAS-NP)
    normal = "normal"  # mean and variance of a normal distribution, by likelihood (NPENAS-BO)


@dataclass
class GIN(GraphPredictor):
    """Sums over neighbours, perceptrons, and the mean over vertices.

    Wei et al., "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search" (2020),
    section 3, with the settings of the authors' code: three convolutions of 32 units, Adam with
    rate 0.005 and decay rates 0 and 0.9, cosine per batch, batches of 16; 300 epochs of ``mean``,
    1,000 of ``normal``.

    Departures: targets are z-scores and the output is linear, where NP squashes it by a sigmoid
    times a rate that it sets for each benchmark; batches are of 16 at first, too, where the authors
    take 10 as long as they have ten records; layers begin with PyTorch's own weights (theirs: the
    last ones by He's rule, with biases of 0). Of ``normal``, mean and logarithm of the variance
    come from one layer of ReLUs with dropout (theirs: from a layer of CELUs each, the mean's alone
    with dropout, and the logarithm goes through a CELU, so that no deviation is below 0.6).

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "gin"
    head: Head = Head.mean
    beta1: float = 0.0
    beta2: float = 0.9

    def network(self, names: int, streams: Streams) -> GraphNetwork:
        """New networks."""
        return GINNetwork(self, names, streams)

    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """Squared error, or minus the logarithm of the density without its constant."""
        error = (out[..., 0] - goal).square()
        if self.head is Head.mean:
            return error
        return 0.5 * (out[..., 1] + error * torch.exp(-out[..., 1]))

    def spread(self, out: Tensor) -> Tensor:
        """The predicted standard deviation; 0 of a network that predicts none."""
        if self.head is Head.mean:
            return super().spread(out)
        return torch.exp(0.5 * out[..., 1])


class GINNetwork(GraphNetwork):
    """Convolutions and a head."""

    def __init__(self, settings: GIN, names: int, streams: Streams) -> None:
        width, self._smooth = settings.hidden, settings.head is Head.normal
        self._first: list[Linear] = []
        self._second: list[Linear] = []
        self._norms: list[BatchNorm] = []
        for layer in range(settings.layers):
            self._first.append(Linear(width if layer else names, width, streams))
            self._second.append(Linear(width, width, streams))
            self._norms.append(BatchNorm(width, len(self._first[0].weight)))
        self._reduce = Linear(width, width // 2, streams)
        self._last = Linear(width // 2, 2 if self._smooth else 1, streams)

    @property
    def parameters(self) -> list[Tensor]:
        """Those of all layers."""
        layers = [*self._first, *self._second, *self._norms, self._reduce, self._last]
        return [part for layer in layers for part in layer.parameters]

    def __call__(self, batch: Batch, weight: Tensor | None, drop: Drop) -> Tensor:
        """Outputs of a batch."""
        counted = None if weight is None else batch.there * weight[:, :, None, None]
        x = batch.heard[:, :, 0]
        for layer, norm in enumerate(self._norms):
            heard = batch.hear(x, 0) if layer else x
            x = self._second[layer](self._first[layer](heard, True), not self._smooth)
            x = batch.masked(norm(F.celu(x) if self._smooth else x, counted))
        return self._last(drop(self._reduce(batch.mean(x), True)))
