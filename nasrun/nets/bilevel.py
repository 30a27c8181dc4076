"""Gradients through one step of training."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Gradients = Sequence[Tensor]


def unrolled_gradient(
    weights: Sequence[Tensor],
    arch: Sequence[Tensor],
    train_loss: Callable[[], Tensor],
    valid_loss: Callable[[], Tensor],
    direction: Callable[[Gradients], Gradients],
    rate: float,
    radius: float = 0.01,
) -> list[Tensor]:
    """The gradient by ``arch`` of the validation loss after one step of ``weights``.

    Liu et al., "DARTS" (ICLR 2019), equations 6 to 8: the product with the mixed second derivative
    is a finite difference of the training loss's gradient, at the weights moved by ``radius`` along
    the validation gradient either way. The weights are as before afterwards.

    Args:
        weights: what takes the step.
        arch: what the gradient is for.
        train_loss: of the present values of both.
        valid_loss: the same on other images.
        direction: what the optimiser would make of the weights' gradient.
        rate: length of the step.
        radius: of the finite difference, divided by the norm of the validation gradient.
    """
    before = [weight.detach().clone() for weight in weights]
    move = direction(_gradients(train_loss(), weights))
    _place(weights, before, move, -rate)
    by_arch_and_weights = _gradients(valid_loss(), [*arch, *weights])
    by_arch = by_arch_and_weights[: len(arch)]
    by_weights = by_arch_and_weights[len(arch) :]
    norm = torch.stack([gradient.norm() for gradient in by_weights]).norm()
    step = float(radius / norm.clamp(min=1e-12))
    _place(weights, before, by_weights, step)
    ahead = _gradients(train_loss(), arch)
    _place(weights, before, by_weights, -step)
    behind = _gradients(train_loss(), arch)
    _place(weights, before, by_weights, 0.0)
    return [
        gradient - rate * (one - two) / (2.0 * step)
        for gradient, one, two in zip(by_arch, ahead, behind, strict=True)
    ]


def _gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    return [
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(inputs, found, strict=True)
    ]


@torch.no_grad()
def _place(
    weights: Sequence[Tensor], start: Sequence[Tensor], move: Gradients, step: float
) -> None:
    for weight, origin, along in zip(weights, start, move, strict=True):
        weight.copy_(origin if step == 0 else origin + step * along)
