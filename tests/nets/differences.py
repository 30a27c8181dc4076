"""Gradients against differences, where they would be long by hand."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

STEP = 1e-6


def check_gradients(total: Callable[[], Tensor], weights: Sequence[Tensor]) -> None:
    """Of each of ``weights``, in double precision, the number that ``total`` depends on most."""
    gradients = torch.autograd.grad(total(), weights, materialize_grads=True)
    assert any(gradient.any() for gradient in gradients)
    for weight, gradient in zip(weights, gradients, strict=True):
        numbers, at = weight.detach().view(-1), int(gradient.abs().argmax())
        found: list[float] = []
        for step in (STEP, -STEP):
            numbers[at] += step
            found.append(float(total().detach()))
            numbers[at] -= step
        slope = (found[0] - found[1]) / (2.0 * STEP)
        assert abs(slope - float(gradient.view(-1)[at])) < 1e-6
