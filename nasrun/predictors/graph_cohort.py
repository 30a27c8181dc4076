"""Graph networks of many trials at once: each trial's own weights, all in the same products."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasrun.nets.cohort import side_by_side
from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.batches import MULTIPLE, filled, taken
from nasrun.predictors.graphs import Graphs
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Floats, Inputs, Mask, Model, Prediction, Predictor, SearchSpace, Streams

AT_ONCE = 64  # trials whose networks are trained together
PREDICTED = 64  # graphs of a trial that are read together
MOMENTUM = 0.1  # of running statistics; PyTorch's default
EPSILON = 1e-5  # added to variances; PyTorch's default


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

    @abstractmethod
    def ways(self, edges: Tensor) -> Tensor:
        """``(..., K, V, V)`` of ``edges (..., V, V)``, 1 from row to column, as in ``Batch``."""

    @abstractmethod
    def loss(self, out: Tensor, goal: Tensor) -> Tensor:
        """``(R, B)`` of outputs ``(R, B, outputs)``."""

    @abstractmethod
    def spread(self, out: Tensor) -> Tensor:
        """``(R, B)`` standard deviations that outputs say."""

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
        read = self._read(inputs)
        trials = len(y)
        self._blocks = [slice(a, min(a + AT_ONCE, trials)) for a in range(0, trials, AT_ONCE)]
        goals, weight = torch.from_numpy(goal).float(), torch.from_numpy(mask).float()
        self._fits += 1

        def train(rows: slice) -> GraphNetwork:
            streams = self._streams.fork(f"fit {self._fits}", rows)
            own = Batch(*(part[rows] for part in read[:3]), whole=read.whole)
            return self._trained(own, goals[rows], weight[rows], streams)

        self._nets = side_by_side(train, self._blocks)

    def _trained(
        self, read: Batch, goals: Tensor, weight: Tensor, streams: Streams
    ) -> GraphNetwork:
        """Networks of a block of trials."""
        own, records = self._settings, goals.shape[1]
        net = own.network(self._width, streams)
        betas = (own.beta1, own.beta2)
        optimiser = torch.optim.Adam(
            net.parameters, own.rate, betas, weight_decay=own.decay, fused=True
        )
        drop = _dropping(own.dropout, streams.fork("dropout"))
        steps = own.epochs * math.ceil(records / own.batch)
        step = 0
        for _ in range(own.epochs):
            order = torch.from_numpy(np.argsort(streams.uniform(records), axis=1, kind="stable"))
            for batch in order.split(own.batch, dim=1):
                for group in optimiser.param_groups:
                    group["lr"] = own.rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
                kept, goal, *parts = map(filled, taken(batch, weight, goals, *read[:3]))
                loss = own.loss(net(Batch(*parts, whole=read.whole), kept, drop), goal)
                mean = kept / kept.sum(dim=1, keepdim=True).clamp(min=1.0)
                (loss * mean).sum().backward()
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                step += 1
        return net

    def predict(self, inputs: Inputs) -> Prediction:
        """What the networks say."""
        found = self.outputs(inputs)
        mean, sd = found[..., 0].numpy().astype(np.float64), self._settings.spread(found)
        spread = sd.numpy().astype(np.float64) * self._scale.spread
        return Prediction(self._scale.restored(mean), spread, self._scale.best)

    def outputs(self, inputs: Inputs) -> Tensor:
        """``(T, M, outputs)`` of the trained networks, which read some graphs at a time."""
        read, count = self._read(inputs), inputs.archs.shape[1]
        surplus = -count % MULTIPLE
        if surplus:
            read = Batch(*(_longer(part, surplus) for part in read[:3]), whole=read.whole)

        @torch.no_grad()  # which holds for one thread alone
        def asked(at: int) -> Tensor:
            rows, found = self._blocks[at], []
            for start in range(0, count + surplus, PREDICTED):
                parts = (filled(part[rows, start : start + PREDICTED]) for part in read[:3])
                out = self._nets[at](Batch(*parts, whole=read.whole), None, lambda x: x)
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


def _dropping(share: float, streams: Streams) -> Drop:
    """Sets a share of ``(R, ...)`` numbers to zero; surplus trials do as the first one does."""

    def drop(x: Tensor) -> Tensor:
        if not share:
            return x
        uniforms = streams.uniform(x[0].numel()).reshape(len(streams), *x.shape[1:])
        kept = filled(torch.from_numpy((uniforms >= share).astype(np.float32)))
        return x * kept / (1.0 - share)

    return drop


class Linear:
    """Linear layers of ``R`` trials, first weights uniform in ±1/sqrt(inputs) as PyTorch's.

    Args:
        fan_in: inputs, of which there are surplus ones up to whole lines.
        fan_out: outputs.
        streams: of the trials.
        bias: whether there is one.
        limit: of first weights, if another one.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        streams: Streams,
        bias: bool = True,
        limit: float | None = None,
    ) -> None:
        rows, columns = fan_in + -fan_in % MULTIPLE, fan_out + -fan_out % MULTIPLE
        draws = 2.0 * streams.uniform((fan_in + 1) * fan_out) - 1.0
        draws = draws.reshape(len(streams), fan_in + 1, fan_out)
        draws *= 1.0 / math.sqrt(fan_in) if limit is None else limit
        weight = torch.zeros(len(streams), rows, columns)
        shift = torch.zeros(len(streams), 1, columns)
        weight[:, :fan_in, :fan_out] = torch.from_numpy(draws[:, :-1])
        if bias:
            shift[:, :, :fan_out] = torch.from_numpy(draws[:, -1:])
        self.weight = filled(weight).clone().requires_grad_()
        self.bias = filled(shift).clone().requires_grad_(bias)

    @property
    def parameters(self) -> list[Tensor]:
        """Weights, and biases if they are learnt."""
        return [part for part in (self.weight, self.bias) if part.requires_grad]

    def __call__(self, x: Tensor, rectified: bool = False) -> Tensor:
        """``(R, ..., outputs)`` of ``x (R, ..., inputs)``, ``rectified`` or not."""
        flat = torch.baddbmm(self.bias, x.reshape(len(x), -1, x.shape[-1]), self.weight)
        if rectified:  # in place, which is cheap before there is a view of it
            flat = flat.relu_()
        return flat.view(*x.shape[:-1], flat.shape[-1])


class BatchNorm:
    """Batch normalisation of ``R`` trials over the vertices that are there.

    Args:
        width: of what is normalised.
        trials: R, surplus ones included.
    """

    def __init__(self, width: int, trials: int) -> None:
        width += -width % MULTIPLE
        self.scale = torch.ones(trials, 1, width, requires_grad=True)
        self.shift = torch.zeros(trials, 1, width, requires_grad=True)
        self._mean = torch.zeros(trials, 1, width)
        self._variance = torch.ones(trials, 1, width)

    @property
    def parameters(self) -> list[Tensor]:
        """Scales and shifts."""
        return [self.scale, self.shift]

    def __call__(self, x: Tensor, counted: Tensor | None) -> Tensor:
        """``x (R, ..., width)``, normalised; ``counted (R, ..., 1)`` in training, else None."""
        flat = x.reshape(len(x), -1, x.shape[-1])
        if counted is None:
            scale = self.scale * torch.rsqrt(self._variance + EPSILON)
            return torch.addcmul(self.shift - self._mean * scale, flat, scale).view(x.shape)
        weight = counted.reshape(len(x), -1, 1)
        count = weight.sum(dim=1, keepdim=True)
        known = weight / count.clamp(min=1.0)
        normal, mean, variance = _Normalised.apply(flat, self.scale, self.shift, known)
        self._remember(mean, variance, count)
        return normal.view(x.shape)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Running means; nothing of a trial that saw nothing."""
        unbiased = variance * count / (count - 1.0).clamp(min=1.0)
        share = MOMENTUM * (count > 0)
        self._mean += share * (mean - self._mean)
        self._variance += share * (unbiased - self._variance)


class _Normalised(torch.autograd.Function):
    """``x (R, N, C)`` normalised by statistics weighed by ``known (R, N, 1)``.

    Elementary operations would go through arrays of this size twenty times, this does nine times.
    With n = (x - mean) / sd and weights k, a gradient g becomes
    scale / sd * (g - k * (sum of g + n * sum of g n)).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        transposed = known.transpose(1, 2)
        mean = torch.bmm(transposed, x)
        normal = x - mean
        variance = torch.bmm(transposed, normal * normal)
        narrow = torch.rsqrt(variance + EPSILON)
        normal *= narrow
        ctx.save_for_backward(normal, scale * narrow, known)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(shift, normal, scale), mean, variance

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        normal, factor, known = ctx.saved_tensors
        gradient = grad_outputs[0]
        of_scale = (gradient * normal).sum(dim=1, keepdim=True)
        of_shift = gradient.sum(dim=1, keepdim=True)
        common = torch.addcmul(of_shift, normal, of_scale).mul_(known)
        return torch.sub(gradient, common, out=common).mul_(factor), of_scale, of_shift, None
