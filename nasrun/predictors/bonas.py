"""BONAS: Bayesian regression on what a graph network has learnt to see."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.blr import Evidence, require_precisions
from nasrun.predictors.graph_cohort import (
    Batch,
    Drop,
    GraphCohort,
    GraphNetwork,
    GraphPredictor,
)
from nasrun.predictors.graph_layers import BatchNorm, Linear
from nasrun.predictors.graphs import Graphs
from nasrun.spec import Floats, Inputs, Mask, Prediction, SearchSpace, Streams

FIRST_WEIGHTS = 0.05  # drawn uniformly in plus or minus this; the authors' code
FEWEST = 2  # figures by which the regression's precisions can be set
PRIOR_SD = 1.0  # predicted of a trial with fewer, in z-scores


@dataclass
class BONAS(GraphPredictor):
    """A graph convolutional network, and a Bayesian linear regression on its embeddings.

    Shi et al., "Bridging the Gap between Sample-based and One-shot Neural Architecture Search with
    BONAS" (NeurIPS 2020), sections 3.1 to 3.3, with the settings of the authors' code: a vertex
    that every other one leads to, whose state after four convolutions of 64 units (batch
    normalisation, rectified units) is the embedding; a linear head and a sigmoid; a squared error
    weighed by exp(y - 1), so that good architectures count more; Adam with rate 0.001, 100 epochs.
    The regression learns logit(y); its two precisions start at 1e-5 and are set by evidence
    maximisation (at most 200 steps).

    Departures: y, an accuracy as a fraction there, is the logistic function of a z-score here, so
    that figures in other units have one, and logit(y) is the z-score; a batch takes 128 records
    and the rate follows a cosine, as NASLib has it; the regression is fitted with the network, not
    after every measurement of a round.

    Raises:
        ConfigError: a field out of its range, or targets that are not z-scores.
    """

    name: str = "bonas"
    hidden: int = 64
    layers: int = 4
    epochs: int = 100
    batch: int = 128
    rate: float = 1e-3
    decay: float = 0.0
    dropout: float = 0.0
    alpha: float = 1e-5
    beta: float = 1e-5
    steps: int = 200

    hub: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precisions(self)
        if self.targets is Targets.plain:
            raise ConfigError(
                "predictor=bonas learns the logistic function of z-scores, got "
                "predictor.targets=plain: set predictor.targets=zscore or log_error"
            )

    def network(self, names: int, streams: Streams) -> GraphNetwork:
        """New networks."""
        return BONASNetwork(self, names, streams)

    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """Squared error between 0 and 1, that of good architectures with more weight."""
        wanted = torch.sigmoid(goal)
        return torch.exp(wanted - 1.0) * (torch.sigmoid(out[..., 0]) - wanted).square()

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Embedded":
        """A network and a regression a trial."""
        return Embedded(self, Graphs(space), streams)


class BONASNetwork(GraphNetwork):
    """Convolutions and a head; outputs are the head's, followed by the embedding."""

    def __init__(self, settings: BONAS, names: int, streams: Streams) -> None:
        width = settings.hidden
        self._layers = [
            Linear(width if layer else names, width, streams, limit=FIRST_WEIGHTS)
            for layer in range(settings.layers)
        ]
        self._norms = [BatchNorm(width, len(own.weight)) for own in self._layers]
        self._head = Linear(width, 1, streams, limit=FIRST_WEIGHTS)

    @property
    def parameters(self) -> list[Tensor]:
        """Those of all layers."""
        layers = [*self._layers, *self._norms, self._head]
        return [part for layer in layers for part in layer.parameters]

    def __call__(self, batch: Batch, weight: Tensor | None, drop: Drop) -> Tensor:
        """Outputs of a batch."""
        counted = None if weight is None else batch.there * weight[:, :, None, None]
        x = batch.heard[:, :, 0]
        for layer, (own, norm) in enumerate(zip(self._layers, self._norms, strict=True)):
            heard = batch.hear(x, 0) if layer else x
            x = batch.masked(drop(norm(own(heard), counted).relu()))
        embedding = x[:, :, 0]
        return torch.cat([self._head(embedding)[..., :1], embedding], dim=2)


class Embedded(GraphCohort):
    """Networks with a Bayesian regression behind them."""

    def __init__(self, settings: BONAS, graphs: Graphs, streams: Streams) -> None:
        super().__init__(settings, graphs, streams)
        self._own = settings

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Train new networks, then the regressions on what they see."""
        super().fit(inputs, y, mask)
        own = self._own
        goal, _ = scaled(y, mask, own.targets)
        seen = np.where(mask[:, :, None], self._seen(inputs), 0.0)
        self._count = mask.sum(axis=1).astype(float)
        self._evidence = Evidence(seen, goal, self._count, own.alpha, own.beta, own.steps)

    def predict(self, inputs: Inputs) -> Prediction:
        """The regressions' predictive distributions."""
        mean, sd = self._evidence.predict(self._seen(inputs))
        sd = np.where(self._count[:, None] >= FEWEST, sd, PRIOR_SD)
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)

    def _seen(self, inputs: Inputs) -> Floats:
        """``(T, N, hidden)`` embeddings."""
        embedding = self.outputs(inputs)[..., 1 : 1 + self._own.hidden]
        return embedding.numpy().astype(np.float64)
