"""DARTS with first-order gradients."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasrun.algorithms.mixture import Mixture


@dataclass
class DARTSV1(Mixture):
    """Every option is computed and weighted by a softmax of its logits.

    Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), the first-order
    approximation, as NAS-Bench-201 runs it ([A] ``DARTS-V1.py``): weights learn from a training
    batch, then logits from a validation batch. The best option of each edge is taken, ``none``
    included; in the DARTS space the paper's rule for edges applies.

    Departures: those of OneShot.
    """

    name: str = "darts_v1"
    mixes_all: ClassVar[bool] = True

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights, then logits."""
        self.weight_step(self.loss(x, y, [row.detach() for row in self.softmax()]))
        if self.learns_logits:
            self.arch_step(self.loss(*self.valid_batch(), self.softmax()))
