"""Graph convolutions along and against the edges: the neural predictor."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.predictors.graph_cohort import Batch, Drop, GraphNetwork, GraphPredictor, Linear
from nasrun.ranges import require_at_least
from nasrun.spec import Streams


@dataclass
class GCN(GraphPredictor):
    """The mean of both directions' convolutions, four times, and the mean over vertices.

    Wen et al., "Neural Predictor for Neural Architecture Search" (ECCV 2020), section 3.2, with
    NASLib's settings: 4 layers of 144 units, dropout 0.1, a layer of 128, Adam with rate 1e-4 and
    weight decay 3e-4, 300 epochs of batches of 7, cosine.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "gcn"
    hidden: int = 144
    layers: int = 4
    batch: int = 7
    rate: float = 1e-4
    decay: float = 3e-4
    head: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "predictor", 1, "head")

    def network(self, names: int, streams: Streams) -> GraphNetwork:
        """New networks."""
        return GCNNetwork(self, names, streams)

    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """Squared error."""
        return (out[..., 0] - goal).square()

    def spread(self, out: Tensor) -> Tensor:
        """None is predicted."""
        return torch.zeros_like(out[..., 0])


class GCNNetwork(GraphNetwork):
    """Convolutions and a head."""

    def __init__(self, settings: GCN, names: int, streams: Streams) -> None:
        width = settings.hidden
        sizes = [(width if layer else names, width) for layer in range(settings.layers)]
        self._along = [Linear(*size, streams, bias=False) for size in sizes]
        self._against = [Linear(*size, streams, bias=False) for size in sizes]
        self._reduce = Linear(width, settings.head, streams, bias=False)
        self._last = Linear(settings.head, 1, streams)

    @property
    def parameters(self) -> list[Tensor]:
        """Those of all layers."""
        layers = [*self._along, *self._against, self._reduce, self._last]
        return [part for layer in layers for part in layer.parameters]

    def __call__(self, batch: Batch, weight: Tensor | None, drop: Drop) -> Tensor:
        """Outputs of a batch."""
        places = batch.edges.shape[-1]
        edges = batch.edges + torch.eye(places)
        directions = [
            (each / each.sum(dim=3, keepdim=True)).reshape(-1, places, places)
            for each in (edges, edges.transpose(2, 3))
        ]
        x = batch.x
        for pair in zip(self._along, self._against, strict=True):
            flat, shape = x.reshape(-1, places, x.shape[-1]), x.shape[:3]
            heard = [
                F.relu(layer(torch.bmm(matrix, flat).view(*shape, -1)))
                for matrix, layer in zip(directions, pair, strict=True)
            ]
            x = drop(0.5 * (heard[0] + heard[1]))
        pooled = (x * batch.there).sum(dim=2) / batch.there.sum(dim=2).clamp(min=1.0)
        return self._last(drop(F.relu(self._reduce(pooled))))
