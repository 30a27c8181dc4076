"""Latency as a loss: measured without a gradient, and a linear surrogate that has one."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import UnsupportedError
from nasrun.spec import Archs, Floats, SearchSpace

RIDGE = 1.0  # [UC]: closed-form ridge regression with this weight


class LatencyLoss:
    """``max(latency - target, 0)`` in ms, of one-hot rows as measured, of relaxed ones predicted.

    The surrogate is linear in the rows (UNAS, section 5), fitted once to architectures whose
    latency is known.

    Args:
        latency_ms: of ``(n, L)`` architectures.
        target_ms: what is fast enough.
        archs: ``(n, L)`` architectures to fit the surrogate to.
        space: whose decisions the rows are.

    Raises:
        UnsupportedError: the hardware knows no latency.
    """

    def __init__(
        self,
        latency_ms: Callable[[Archs], Floats],
        target_ms: float,
        archs: Archs,
        space: SearchSpace,
    ) -> None:
        self._latency_ms, self._target_ms = latency_ms, target_ms
        known = latency_ms(archs)
        if np.isnan(known).all():
            raise UnsupportedError(
                "a latency term needs latencies: choose a hardware such as hardware=nb201_latency, "
                "or set algorithm.latency_weight=0"
            )
        use = ~np.isnan(known)
        arity = [len(options) for options in space.decisions]
        self._weights = torch.tensor(_ridge(_one_hot(archs[use], arity), known[use])).float()
        self._arity = arity

    def measured(self, rows: Sequence[Tensor]) -> Tensor:
        """``(B,)`` losses of one-hot rows; an unknown latency counts as predicted."""
        archs = torch.stack([row.argmax(dim=-1) for row in rows], dim=-1).cpu().numpy()
        measured = torch.from_numpy(self._latency_ms(archs)).float().to(rows[0].device)
        latency = torch.where(measured.isnan(), self.latency(rows), measured)
        return (latency - self._target_ms).clamp(min=0.0)

    def predicted(self, rows: Sequence[Tensor]) -> Tensor:
        """``(B,)`` losses of any rows, by the surrogate."""
        return (self.latency(rows) - self._target_ms).clamp(min=0.0)

    def latency(self, rows: Sequence[Tensor]) -> Tensor:
        """``(B,)`` predicted milliseconds."""
        weights = self._weights.to(rows[0].device)
        return torch.cat(list(rows), dim=-1) @ weights[:-1] + weights[-1]


def _one_hot(archs: Archs, arity: Sequence[int]) -> Floats:
    return np.concatenate([np.eye(n)[archs[:, at]] for at, n in enumerate(arity)], axis=1)


def _ridge(features: Floats, targets: Floats) -> Floats:
    """``(features + 1,)`` weights and bias of a ridge regression."""
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ targets)
    return weights.astype(np.float64)
