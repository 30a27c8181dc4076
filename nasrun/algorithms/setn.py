"""SETN: weights of random paths, logits of the mixture of all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.mixture import Mixture
from nasrun.spec import Archs, Floats


@dataclass
class SETN(Mixture):
    """Weights learn on uniform random architectures, logits on the full mixture.

    Dong and Yang, "One-Shot Neural Architecture Search via Self-Evaluated Template Network" (ICCV
    2019), as NAS-Bench-201 runs it ([A] ``SETN.py``): nothing is clipped; in the end the
    ``candidates`` most probable architectures of the whole space are each judged on one batch of
    512 validation images.

    Departures: candidates compete after every epoch; and the departures of ``OneShot``.
    """

    name: str = "setn"
    max_gradient: float | None = None
    candidates: int = 100

    def prepare(self) -> None:
        """Draw the logits.

        Raises:
            UnsupportedError: a space whose mixing rows are not its decisions.
        """
        super().prepare()
        self.require_rows_of_decisions("ranks architectures decision by decision")

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights of a random architecture, then logits of all."""
        self.weight_step(self.loss(x, y, self.single_path(self.random_arch())))
        if self.learns_logits:
            self.arch_step(self.loss(*self.valid_batch(), self.softmax()))

    def derive(self) -> Archs:
        """``(L,)`` the best of the most probable architectures."""
        with torch.no_grad():
            rows = [row.cpu().double().log().numpy() for row in self.softmax()]
        return self.best_of(list(most_probable(rows, self.scale.candidates or self.candidates)))


def most_probable(log_p: Sequence[Floats], count: int) -> Archs:
    """``(count, L)`` the architectures of the highest sum of ``log_p``, best first.

    Decision by decision: what is not among the best beginnings cannot become one of the best.
    """
    archs, score = np.zeros((1, 0), np.int64), np.zeros(1)
    for row in log_p:
        total = (score[:, None] + row).ravel()
        best = np.argsort(-total, kind="stable")[:count]
        archs = np.concatenate([archs[best // len(row)], (best % len(row))[:, None]], axis=1)
        score = total[best]
    return archs
