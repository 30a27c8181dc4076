"""An ensemble of perceptrons: BANANAS's meta neural network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.nets.cohort import CohortMLP, side_by_side
from nasrun.nets.fused_adam import FusedAdam
from nasrun.predictors.base import HUNDRED_PCT, Encoded, Scale, Targets, scaled
from nasrun.predictors.batches import filled, glorot, of_members, padded, taken, with_records
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import (
    Floats,
    Inputs,
    Ints,
    Mask,
    Model,
    Prediction,
    Predictor,
    SearchSpace,
    Streams,
)

NETWORKS = 320  # that are trained together: fewer wait for Python, more for memory


class Activation(Enum):
    """What stands between the layers."""

    relu = "relu"
    tanh = "tanh"


class Loss(Enum):
    """What an ensemble's members minimise."""

    mae = "mae"  # mean absolute error
    mape = "mape"  # mean of |(prediction - floor) / (target - floor) - 1|, of errors in percent
    mse = "mse"  # mean squared error


@dataclass
class MLPEnsemble(Predictor):
    """Networks that differ in their first weights, on an encoding of the architecture.

    White, Neiswanger and Savani, "BANANAS" (AAAI 2021), section 3; settings of naszilla
    ``meta_neural_net.py``: ten layers of 20 units, Adam with rate 0.01, 150 epochs, batches of 32,
    first weights uniform after Glorot, no regularisation.

    Departures: targets are z-scores, because not every reward is in percent (the authors learn the
    error in percent as it is: ``targets=plain``, which ``loss=mape`` needs and switches on); the
    members of a trial see the same batches, so that they differ in their first weights alone.
    ``head_penalty`` is NASLib's, on the absolute weights of the output.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "mlp"
    encodings: list[str] = field(default_factory=lambda: ["truncated_path", "path", "onehot"])
    targets: Targets = Targets.zscore
    members: int = 5
    layers: int = 10
    width: int = 20
    activation: Activation = Activation.relu
    epochs: int = 150
    batch: int = 32
    rate: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    loss: Loss = Loss.mae
    floor_pct: float = 4.5
    head_penalty: float = 0.0

    @property
    def has_members(self) -> bool:
        """The perceptrons of a trial."""
        return True

    def __post_init__(self) -> None:
        counts = ("members", "layers", "width", "epochs", "batch")
        require_at_least(self, "predictor", 1, *counts)
        require_positive(self, "predictor", "rate")
        require_within(self, "predictor", "[0, 1)", "beta1", "beta2")
        require_not_negative(self, "predictor", "head_penalty", "floor_pct")
        if self.loss is Loss.mape and self.targets is not Targets.plain:
            raise ConfigError(
                "predictor.loss=mape compares errors in percent: set predictor.targets=plain"
            )

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Ensemble":
        """An ensemble for each trial."""
        return Ensemble(self, Encoded(space, self.encodings), streams)


class Ensemble(Model):
    """``members`` perceptrons of each trial."""

    def __init__(self, settings: MLPEnsemble, encode: Encoded, streams: Streams) -> None:
        self._settings, self._encode, self._streams = settings, encode, streams

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Draw and train new networks."""
        own = self._settings
        goal, self._scale = self._goals(y, mask)
        coded = self._encode(inputs)
        sizes = [coded.shape[2], *[own.width] * own.layers, 1]
        weights, features = glorot(self._streams, own.members, sizes), padded(coded)
        trials, records = y.shape
        draws = self._streams.uniform(own.epochs * records).reshape(trials, own.epochs, records)
        order = np.argsort(draws, axis=2, kind="stable")
        at_once = max(1, NETWORKS // own.members)
        self._blocks = [slice(a, min(a + at_once, trials)) for a in range(0, trials, at_once)]

        def train(rows: slice) -> CohortMLP:
            data = features[rows], goal[rows], mask[rows], order[rows]
            return self._trained([part[rows] for part in weights], *data)

        self._nets = side_by_side(train, self._blocks)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation over the members."""
        raw = self.by_members(inputs, lambda net, x: net(x))[..., 0]
        members = self._restored(raw)
        return Prediction(members.mean(axis=1), members.std(axis=1), self._scale.best, members)

    def by_members(self, inputs: Inputs, ask: Callable[[CohortMLP, Tensor], Tensor]) -> Floats:
        """``(T, members, M, ...)`` of what ``ask`` makes of networks and features, both padded."""
        features, count = self._encode(inputs), inputs.archs.shape[1]
        x, members = with_records(features), self._settings.members

        def asked(at: int) -> Floats:
            rows = self._blocks[at]
            with torch.no_grad():  # which holds for this thread alone
                out = ask(self._nets[at], of_members(x[rows], members))
            trials = rows.stop - rows.start
            own = out[: trials * members].double().numpy()
            return own.reshape(trials, members, *own.shape[1:])[:, :, :count]

        return np.concatenate(side_by_side(asked, range(len(self._blocks))))

    def _goals(self, y: Floats, mask: Mask) -> tuple[Floats, Scale]:
        goal, scale = scaled(y, mask, self._settings.targets)
        if self._settings.targets is Targets.plain:
            goal = np.where(mask, HUNDRED_PCT - goal, 0.0)  # the error, as the authors have it
        return goal, scale

    def _restored(self, out: Floats) -> Floats:
        if self._settings.targets is Targets.plain:
            return HUNDRED_PCT - out
        return out * self._scale.spread[:, None] + self._scale.centre[:, None]

    def _trained(
        self, weights: list[Tensor], x: Tensor, goal: Floats, mask: Mask, order: Ints
    ) -> CohortMLP:
        """The networks of a block of trials, trained on ``x (T, N, F)``."""
        own = self._settings
        parts = [filled(part.flatten(0, 1)) for part in weights]
        net = CohortMLP(parts, tanh=own.activation is Activation.tanh)
        net.reuse_gradient()
        betas = (own.beta1, own.beta2)
        optimiser = FusedAdam([net.flat], own.rate, betas, epsilon=1e-7)
        goals, weight = torch.from_numpy(goal).float(), torch.from_numpy(mask).float()
        for epoch in range(own.epochs):
            for start in range(0, order.shape[2], own.batch):
                batch = torch.from_numpy(order[:, epoch, start : start + own.batch])
                seen = [of_members(part, own.members) for part in taken(batch, weight, x, goals)]
                self._loss(net, *seen).backward()
                optimiser.step()
        return net

    def _loss(self, net: CohortMLP, weight: Tensor, x: Tensor, goal: Tensor) -> Tensor:
        """The sum over networks of their mean loss over ``x (R, B, F)`` where ``weight (R, B)``."""
        own = self._settings
        out = net(x)[..., 0]
        if own.loss is Loss.mse:
            loss = (out - goal).square()
        elif own.loss is Loss.mape:
            loss = ((out - own.floor_pct) / (goal - own.floor_pct) - 1.0).abs()
        else:
            loss = (out - goal).abs()
        known = weight / weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        total = torch.where(weight > 0, loss * known, 0.0).sum()
        if own.head_penalty:
            total = total + own.head_penalty * _head(net).abs().sum()
        return total


def _head(net: CohortMLP) -> Tensor:
    """The last layer's weights, as the optimiser has them: in front of its biases."""
    *_, weight, bias = net.parameters
    return net.flat[-weight.numel() - bias.numel() : -bias.numel()]
