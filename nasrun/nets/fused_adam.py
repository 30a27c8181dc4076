"""Adam for programs that start anew for every search."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


class FusedAdam:
    """``torch.optim.Adam`` in one pass over each array, with the same bits (``fused=True``).

    PyTorch's class loads its compiler the first time that one is made, which takes a second; the
    function that it calls does not.

    Args:
        weights: arrays that are to learn.
        rate: the learning rate; it may be set anew between steps.
        betas: how much is kept of the moments.
        epsilon: added to the root of the second moment.
        decay: of the weights, added to their gradients.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        decay: float = 0.0,
    ) -> None:
        self.rate = rate
        self._betas, self._epsilon, self._decay = betas, epsilon, decay
        self._states = [
            (own, torch.zeros_like(own), torch.zeros_like(own), torch.zeros(())) for own in weights
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Move what has a gradient, which is dropped then."""
        moving = [state for state in self._states if state[0].grad is not None]
        if not moving:
            return
        weights, first, second, steps = (list(part) for part in zip(*moving, strict=True))
        gradients = [own.grad for own in weights if own.grad is not None]
        beta1, beta2 = self._betas
        adam(
            weights, gradients, first, second, [], steps,
            fused=True, amsgrad=False, beta1=beta1, beta2=beta2, lr=self.rate,
            weight_decay=self._decay, eps=self._epsilon, maximize=False,
        )  # fmt: skip
        for own in weights:
            own.grad = None
