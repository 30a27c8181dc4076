"""Layers of graph networks of many trials: linear ones, and batch normalisation."""

import math
from typing import Any

import torch
from torch import Tensor

from nasrun.predictors.batches import MULTIPLE, filled
from nasrun.spec import Streams

MOMENTUM = 0.1  # of running statistics; PyTorch's default
EPSILON = 1e-5  # added to variances; PyTorch's default


class Linear:
    """Linear layers of ``R`` trials, first weights uniform in ±1/sqrt(inputs) as PyTorch's.

    Args:
        fan_in: inputs, of which there are surplus ones up to whole lines.
        fan_out: outputs.
        streams: of the trials.
        bias: whether there is one.
        limit: of first weights, in place of 1/sqrt(inputs).
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
        """``(R, ..., outputs)`` of ``x (R, ..., inputs)``, their positive part if ``rectified``."""
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

    Autograd would go through arrays of this size more often, operation by operation. With
    n = (x - mean) / sd and weights k, a gradient g becomes
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
