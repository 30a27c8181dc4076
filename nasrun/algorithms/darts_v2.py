"""DARTS with second-order gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasrun.algorithms.mixture import Mixture
from nasrun.nets.bilevel import unrolled_gradient


@dataclass
class DARTSV2(Mixture):
    """The logits' gradient goes through one step of the weights.

    Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 2.3, as
    NAS-Bench-201 runs it ([A] ``DARTS-V2.py``): the architecture first, by the validation loss
    after one unrolled step of SGD (momentum and weight decay included, Nesterov's look-ahead not),
    then the weights on the training batch.

    Departures: the unrolled step runs on the live network and moves its running statistics (the
    authors take the step in a copy); and the departures of ``OneShot``.
    """

    name: str = "darts_v2"
    exact: ClassVar[bool] = True  # bfloat16 would round the finite difference's small step away

    def update(self, x: Tensor, y: Tensor) -> None:
        """Logits, then weights."""
        if self.learns_logits:
            valid = self.valid_batch()
            gradients = unrolled_gradient(
                self.weights,
                [self.logits],
                lambda: self.loss(x, y, self.softmax()),
                lambda: self.loss(*valid, self.softmax()),
                self._direction,
                self.weight_optimizer.param_groups[0]["lr"],
            )
            self.arch_move(gradients)
        self.weight_step(self.loss(x, y, [row.detach() for row in self.softmax()]))

    def _direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Where the optimiser would go: momentum, gradient and weight decay."""
        state = self.weight_optimizer.state
        moves: list[Tensor] = []
        for weight, gradient in zip(self.weights, gradients, strict=True):
            move = gradient + self.weight_decay * weight.detach()
            buffer = state[weight].get("momentum_buffer") if weight in state else None
            moves.append(move if buffer is None else torch.add(move, buffer, alpha=self.momentum))
        return moves
