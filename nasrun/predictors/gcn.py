"""Graph convolutions along and against the edges: the neural predictor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasrun.predictors.graph_cohort import Batch, Drop, GraphNetwork, GraphPredictor
from nasrun.predictors.graph_layers import Linear
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

    def ways(self, edges: Tensor) -> Tensor:
        """Means along the edges and against them, the vertex itself included."""
        own = edges + torch.eye(edges.shape[-1])
        both = torch.stack([own, own.transpose(-1, -2)], dim=-3)
        return both / both.sum(dim=-1, keepdim=True)

    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """Squared error."""
        return (out[..., 0] - goal).square()


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
        x = batch.heard
        for layer, pair in enumerate(zip(self._along, self._against, strict=True)):
            heard = [batch.hear(x, kind) for kind in range(2)] if layer else x.unbind(dim=2)
            both = [own(messages, True) for own, messages in zip(pair, heard, strict=True)]
            x = drop(0.5 * (both[0] + both[1]))
        return self._last(drop(self._reduce(batch.mean(x), True)))
