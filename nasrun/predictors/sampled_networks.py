"""Networks whose weights are drawn from their posterior: what BOHAMIANN and LCNet share."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.nets.cohort import CohortMLP, side_by_side
from nasrun.predictors.base import Scale
from nasrun.predictors.batches import filled, glorot, taken, with_records
from nasrun.predictors.sghmc import SGHMC
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Floats, Mask, Model, Prediction, Predictor, Streams

AT_ONCE = 64  # trials whose chains go side by side
Read = Callable[[CohortMLP, Tensor], Tensor]


@dataclass
class SampledNetwork(Predictor):
    """What predictors by Bayesian perceptrons share.

    Weights and biases have priors N(0, weight_sd² / inputs of the layer), as Neal (1996) scales
    them; the noise of the figures, learnt with them, has a variance with the prior
    LogNormal(log noise, noise_log_sd²) and begins at ``noise``. Chains start at Glorot's weights;
    after ``burn_in`` steps every ``thin``-th one is kept until there are ``samples``.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = ""
    layers: int = 2
    width: int = 50
    burn_in: int = 10
    samples: int = 18
    thin: int = 5
    rate: float = 0.01
    friction: float = 0.05
    batch: int | None = None
    weight_sd: float = 1.0
    noise: float = 1e-3
    noise_log_sd: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(self, "predictor", 0, "layers", "burn_in")
        require_at_least(self, "predictor", 1, "width", "samples", "thin", "batch")
        require_positive(self, "predictor", "rate", "weight_sd", "noise", "noise_log_sd")
        require_within(self, "predictor", "(0, 1]", "friction")
        if self.noise_log_sd <= self.rate**2:
            raise ConfigError(
                f"predictor.noise_log_sd must be above predictor.rate²={self.rate**2:g}, beyond "
                f"which steps grow without end, got {self.noise_log_sd:g}"
            )


@dataclass(frozen=True)
class Records:
    """What a block's networks learn: ``x (R, N, F)``, ``goal (R, N)`` and ``weight (R, N)``."""

    x: Tensor
    goal: Tensor
    weight: Tensor

    def batch(self, rows: Tensor) -> "Records":
        """The records ``rows (R, B)``, each weighed so that all together count as all do."""
        weight, x, goal = taken(rows, self.weight, self.x, self.goal)
        every = self.weight.sum(dim=1, keepdim=True)
        return Records(x, goal, weight * every / weight.sum(dim=1, keepdim=True).clamp(min=1.0))


class Draw(NamedTuple):
    """Weights and biases in turn, in single precision to save memory, and the noise ``(R,)``."""

    parts: list[Tensor]
    log_noise: Tensor


class SampledNetworks(Model):
    """Weights of the networks of ``T`` trials, drawn from their posterior."""

    def __init__(self, settings: SampledNetwork, outputs: int, streams: Streams) -> None:
        self._own, self._outputs, self._streams = settings, outputs, streams
        self._fits = 0

    @abstractmethod
    def read(self, net: CohortMLP, x: Tensor) -> Tensor:
        """``(R, B)`` what networks with ``outputs`` say at ``x (R, B, F)``."""

    def sample(self, features: Floats, goal: Floats, mask: Mask) -> None:
        """Draw the weights that ``goal (T, N)`` of ``features (T, N, F)`` leaves likely."""
        trials = len(goal)
        x, self._fits = with_records(features).double(), self._fits + 1
        surplus = ((0, 0), (0, x.shape[1] - goal.shape[1]))
        goals, weight = (torch.from_numpy(np.pad(part, surplus)).double() for part in (goal, mask))
        self._blocks = [slice(a, min(a + AT_ONCE, trials)) for a in range(0, trials, AT_ONCE)]
        self._sizes = [features.shape[2], *[self._own.width] * self._own.layers, self._outputs]

        def draw(rows: slice) -> list[Draw]:
            streams = self._streams.fork(f"fit {self._fits}", rows)
            own = Records(*(filled(part[rows]) for part in (x, goals, weight)))
            return _Chain(self._own, self.read, self._sizes, own, streams).draws()

        self._draws = side_by_side(draw, self._blocks)

    def ask(self, features: Floats) -> Floats:
        """``(T, samples, M)`` what each draw predicts at ``features (T, M, F)``."""
        x, count = with_records(features).double(), features.shape[1]

        def asked(at: int) -> Floats:
            own = filled(x[self._blocks[at]])
            trials = self._blocks[at].stop - self._blocks[at].start
            with torch.no_grad():  # which holds for this thread alone
                found = [
                    self.read(CohortMLP([part.double() for part in draw.parts], tanh=True), own)
                    for draw in self._draws[at]
                ]
            return torch.stack(found, dim=1)[:trials, :, :count].numpy()

        return np.concatenate(side_by_side(asked, range(len(self._blocks))))

    @property
    def noise(self) -> Floats:
        """``(T, samples)`` variance of the figures in each draw."""
        found: list[Floats] = []
        for rows, draws in zip(self._blocks, self._draws, strict=True):
            logs = torch.stack([draw.log_noise for draw in draws], dim=1)
            found.append(np.exp(logs[: rows.stop - rows.start].numpy()))
        return np.concatenate(found)

    def prediction(self, features: Floats, scale: Scale) -> Prediction:
        """Mean and standard deviation of the function over the draws."""
        found = self.ask(features)
        members = found * scale.spread[:, None] + scale.centre[:, None]
        return Prediction(members.mean(axis=1), members.std(axis=1), scale.best, members)


class _Chain:
    """One chain a trial, all in step."""

    def __init__(
        self,
        settings: SampledNetwork,
        read: Read,
        sizes: list[int],
        records: Records,
        streams: Streams,
    ) -> None:
        self._own, self._read, self._records, self._streams = settings, read, records, streams
        parts = [filled(part[:, 0]).double() for part in glorot(streams, 1, sizes)]
        self._net = CohortMLP(parts, tanh=True)
        self._real = _real(parts, sizes)
        self._precision = self._prior(parts, sizes)
        self._log_noise = torch.full((len(parts[0]),), math.log(settings.noise)).double()
        noisy = settings.batch is not None and settings.batch < records.goal.shape[1]
        own = [self._net.flat.detach(), self._log_noise]
        self._sampler = SGHMC(own, settings.rate, settings.friction, noisy)

    def draws(self) -> list[Draw]:
        """``samples`` of them."""
        own, kept = self._own, []
        for step in range(own.burn_in + own.samples * own.thin):
            self._step(adapting=step < own.burn_in)
            if step >= own.burn_in and (step - own.burn_in + 1) % own.thin == 0:
                parts = [part.float() for part in self._net.parameters]
                kept.append(Draw(parts, self._log_noise.clone()))
        return kept

    def _step(self, adapting: bool) -> None:
        trials, size = len(self._streams), self._real.shape[1]
        normal = torch.from_numpy(self._streams.normal(size + 1))
        noise = torch.zeros_like(self._net.flat)
        noise[self._real] = filled(normal[:, :size])
        gradients = self._gradients(self._batch(trials))
        parameters = [self._net.flat.detach(), self._log_noise]
        self._sampler.step(parameters, gradients, [noise, filled(normal[:, size])], adapting)

    def _batch(self, trials: int) -> Records:
        most, records = self._own.batch, self._records.goal.shape[1]
        if most is None or most >= records:
            return self._records
        # Known records first, in random order.
        rank = self._streams.uniform(records) - self._records.weight[:trials].numpy()
        rows = torch.from_numpy(np.argsort(rank, axis=1, kind="stable")[:, :most])
        return self._records.batch(filled(rows))

    def _gradients(self, seen: Records) -> list[Tensor]:
        """Of the energy: minus the logarithm of likelihood and priors."""
        own = self._own
        log_noise = self._log_noise.requires_grad_()
        error = self._read(self._net, seen.x) - seen.goal
        spread = log_noise[:, None]
        energy = 0.5 * (seen.weight * (error.square() * torch.exp(-spread) + spread)).sum()
        off = (log_noise - math.log(own.noise)) / own.noise_log_sd
        energy = energy + 0.5 * off.square().sum()
        by_weights, by_noise = torch.autograd.grad(energy, [self._net.flat, log_noise])
        self._log_noise = log_noise.detach()
        return [by_weights + self._precision * self._net.flat.detach(), by_noise]

    def _prior(self, parts: list[Tensor], sizes: list[int]) -> Tensor:
        """The precision of each weight and bias: inputs of its layer over the variance."""
        scales = [fan_in / self._own.weight_sd**2 for fan_in in sizes[:-1] for _ in range(2)]
        pairs = zip(parts, scales, strict=True)
        return torch.cat([torch.full_like(part, scale).flatten() for part, scale in pairs])


def _real(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """``(R, P)`` places of each network's weights and biases, but not of surplus ones, in a row."""
    shapes = [shape for n_in, n_out in pairwise(sizes) for shape in ((n_in, n_out), (1, n_out))]
    found, begun = [], 0
    for part, (rows, columns) in zip(parts, shapes, strict=True):
        places = begun + torch.arange(part.numel()).view(part.shape)
        found.append(places[:, :rows, :columns].flatten(1))
        begun += part.numel()
    return torch.cat(found, dim=1)
