"""Graph networks of many trials at once: each trial's own weights, all in the same products."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasrun.nets.cohort import side_by_side
from nasrun.nets.fused_adam import FusedAdam
from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.batches import MULTIPLE, filled, taken
from nasrun.predictors.graphs import Graphs
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams

AT_ONCE = 64  # trials whose networks are trained together
PREDICTED = 64  # graphs of a trial that are read together


class Batch(NamedTuple):
    """``B`` graphs of each of ``R`` trials, as a network with ``K`` kinds of messages reads them.

    ``ways (R, B, K, V, V)``: weights of what a vertex (row) hears of the others (columns);
    ``heard (R, B, K, V, C)``: what vertices hear of the one-hot names, zeros where a graph has no
    vertex; ``there (R, B, V, 1)``: 1 where it has one; ``whole``: it has one everywhere.
    """

    ways: Tensor
    heard: Tensor
    there: Tensor
    whole: bool = False

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with all of its tensors changed alike."""
        return Batch(change(self.ways), change(self.heard), change(self.there), self.whole)

    def hear(self, x: Tensor, kind: int) -> Tensor:
        """``(R, B, V, W)`` messages of one kind from vertices with ``x (R, B, V, W)``."""
        ways, places = self.ways[:, :, kind], x.shape[2]
        heard = torch.bmm(ways.reshape(-1, places, places), x.reshape(-1, places, x.shape[3]))
        return heard.view(x.shape)

    def masked(self, x: Tensor) -> Tensor:
        """``x (R, B, V, W)``, zero where there is no vertex."""
        return x if self.whole else x * self.there

    def mean(self, x: Tensor) -> Tensor:
        """``(R, B, W)`` mean over the vertices that are there."""
        return self.masked(x).sum(dim=2) / self.there.sum(dim=2).clamp(min=1.0)


class GraphNetwork(ABC):
    """Networks of ``R`` trials: tensors with the trials as their leading axis."""

    @property
    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """All that is learnt."""

    @abstractmethod
    def __call__(self, batch: Batch, weight: Tensor | None, drop: "Drop") -> Tensor:
        """``(R, B, outputs)`` of a batch; ``weight (R, B)`` of its graphs where they are learnt."""


Drop = Callable[[Tensor], Tensor]


@dataclass
class GraphPredictor(Predictor):
    """What predictors by graph networks share. A subclass makes the networks.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = ""
    targets: Targets = Targets.zscore
    hidden: int = 32
    layers: int = 3
    epochs: int = 300
    batch: int = 16
    rate: float = 0.005
    beta1: float = 0.9
    beta2: float = 0.999
    decay: float = 1e-4
    dropout: float = 0.1

    hub: ClassVar[bool] = False  # whether a vertex stands in front that every other one leads to

    def __post_init__(self) -> None:
        require_at_least(self, "predictor", 1, "hidden", "layers", "epochs", "batch")
        require_positive(self, "predictor", "rate")
        require_not_negative(self, "predictor", "decay")
        require_within(self, "predictor", "[0, 1)", "beta1", "beta2", "dropout")

    @abstractmethod
    def network(self, names: int, streams: Streams) -> GraphNetwork:
        """New networks of the trials of ``streams`` for graphs of ``names`` operations."""

    def ways(self, edges: Tensor) -> Tensor:
        """``(..., K, V, V)`` of ``edges (..., V, V)``, 1 from row to column, as in ``Batch``.

        By default a vertex hears the sum of its predecessors and itself.
        """
        return (edges.transpose(-1, -2) + torch.eye(edges.shape[-1]))[..., None, :, :]

    @abstractmethod
    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """``(R, B)`` of outputs ``(R, B, outputs)``."""

    def spread(self, out: Tensor) -> Tensor:
        """``(R, B)`` standard deviations of outputs ``(R, B, outputs)``; 0: none is predicted."""
        return torch.zeros_like(out[..., 0])

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "GraphCohort":
        """A network a trial."""
        return GraphCohort(self, Graphs(space), streams)


class GraphCohort(Model):
    """Graph networks of a cohort."""

    def __init__(self, settings: GraphPredictor, graphs: Graphs, streams: Streams) -> None:
        self._settings, self._graphs, self._streams = settings, graphs, streams
        self._fits = 0
        names = len(graphs.names) + settings.hub
        self._width = names + -names % MULTIPLE

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Draw and train new networks."""
        goal, self._scale = scaled(y, mask, self._settings.targets)
        self._learnt = np.logical_or.reduce(mask, axis=1)[:, None]
        read = self._read(inputs)
        trials = len(y)
        self._blocks = [slice(a, min(a + AT_ONCE, trials)) for a in range(0, trials, AT_ONCE)]
        goals, weight = torch.from_numpy(goal).float(), torch.from_numpy(mask).float()
        self._fits += 1

        def train(rows: slice) -> GraphNetwork:
            streams = self._streams.fork(f"fit {self._fits}", rows)
            own = read.each(lambda part: part[rows])
            return self._trained(own, goals[rows], weight[rows], streams)

        self._nets = side_by_side(train, self._blocks)

    def _trained(
        self, read: Batch, goals: Tensor, weight: Tensor, streams: Streams
    ) -> GraphNetwork:
        """Networks of a block of trials."""
        own, records = self._settings, goals.shape[1]
        net = own.network(self._width, streams)
        betas = (own.beta1, own.beta2)
        optimiser = FusedAdam(net.parameters, own.rate, betas, decay=own.decay)
        drop = dropping(own.dropout, streams.fork("dropout"))
        steps = own.epochs * math.ceil(records / own.batch)
        step = 0
        for _ in range(own.epochs):
            order = torch.from_numpy(np.argsort(streams.uniform(records), axis=1, kind="stable"))
            for batch in order.split(own.batch, dim=1):
                optimiser.rate = own.rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
                kept, goal, *parts = map(filled, taken(batch, weight, goals, *read[:3]))
                loss = own.loss(net(Batch(*parts, whole=read.whole), kept, drop), goal)
                mean = kept / kept.sum(dim=1, keepdim=True).clamp(min=1.0)
                (loss * mean).sum().backward()
                optimiser.step()
                step += 1
        return net

    def predict(self, inputs: Inputs) -> Prediction:
        """What the networks say; a constant where they have learnt from no figure."""
        found = self.outputs(inputs)
        mean, sd = found[..., 0].numpy().astype(np.float64), self._settings.spread(found)
        mean = np.where(self._learnt, mean, 0.0)
        spread = np.where(self._learnt, sd.numpy().astype(np.float64), 1.0) * self._scale.spread
        return Prediction(self._scale.restored(mean), spread, self._scale.best)

    def outputs(self, inputs: Inputs) -> Tensor:
        """``(T, M, outputs)`` of the trained networks, which read some graphs at a time."""
        read, count = self._read(inputs), inputs.archs.shape[1]
        surplus = -count % MULTIPLE
        if surplus:
            read = read.each(lambda part: _longer(part, surplus))

        @torch.no_grad()  # which holds for one thread alone
        def asked(at: int) -> Tensor:
            rows, found = self._blocks[at], []
            for start in range(0, count + surplus, PREDICTED):
                asking = slice(start, start + PREDICTED)
                batch = read.each(lambda part, asking=asking: filled(part[rows, asking]))
                out = self._nets[at](batch, None, lambda x: x)
                found.append(out[: rows.stop - rows.start])
            return torch.cat(found, dim=1)[:, :count]

        return torch.cat(side_by_side(asked, range(len(self._blocks))))

    def _read(self, inputs: Inputs) -> Batch:
        """Graphs as tensors, vertices and names up to whole lines."""
        trials, count, length = inputs.archs.shape
        adjacency, operations = self._graphs(inputs.archs.reshape(-1, length))
        if self._settings.hub:
            adjacency = np.pad(adjacency, ((0, 0), (1, 0), (1, 0)))
            adjacency[:, 1:, 0] = operations >= 0
            own = len(self._graphs.names)
            operations = np.pad(operations, ((0, 0), (1, 0)), constant_values=own)
        more = -operations.shape[1] % MULTIPLE
        edges = np.pad(adjacency, ((0, 0), (0, more), (0, more)))
        names = np.pad(operations, ((0, 0), (0, more)), constant_values=-1)
        x = names[..., None] == np.arange(self._width)
        there = (names >= 0)[..., None]
        shaped = [
            torch.from_numpy(part.reshape(trials, count, *part.shape[1:]).astype(np.float32))
            for part in (edges, x, there)
        ]
        ways = self._settings.ways(shaped[0])
        return Batch(ways, ways @ shaped[1][:, :, None], shaped[2], bool(there.all()))


def _longer(part: Tensor, surplus: int) -> Tensor:
    """``(T, M + surplus, ...)`` with the first graph again."""
    return torch.cat([part, part[:, :1].expand(-1, surplus, *part.shape[2:])], dim=1)


def dropping(share: float, streams: Streams) -> Drop:
    """Sets a share of ``(R, ...)`` numbers to zero; surplus trials do as the first one does."""

    def drop(x: Tensor) -> Tensor:
        if not share:
            return x
        uniforms = streams.uniform(x[0].numel()).reshape(len(streams), *x.shape[1:])
        kept = filled(torch.from_numpy((uniforms >= share).astype(np.float32)))
        return x * kept / (1.0 - share)

    return drop
