"""Latency as a loss: measured without a gradient, and a linear surrogate that has one."""

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import UnsupportedError
from nasrun.spec import Archs, Floats, Problem, SearchSpace, Streams

log = logging.getLogger("nasrun")

LONG_S = 60.0  # a fit that takes longer is announced
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

    @classmethod
    def of_samples(
        cls, problem: Problem, target_ms: float, seeds: Sequence[int], name: str
    ) -> "LatencyLoss":
        """Fitted to random architectures, one of each of ``seeds``; ``name`` of who asks."""
        archs = problem.space.sample(Streams(seeds, "latency samples"))
        _announce(problem, archs, name)
        return cls(problem.latency_ms, target_ms, archs, problem.space)

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


def _announce(problem: Problem, archs: Archs, name: str) -> None:
    """Warn where the device measures so slowly that the fit takes long: a table does not."""
    began = time.perf_counter()
    problem.latency_ms(archs[:1])
    seconds = (time.perf_counter() - began) * len(archs)
    if seconds > LONG_S:
        log.warning(
            "%s: the latencies of %d architectures are measured first, which takes about %.0f "
            "minutes: set algorithm.latency_samples lower, or choose a hardware with a table",
            name, len(archs), seconds / 60,
        )  # fmt: skip


def _one_hot(archs: Archs, arity: Sequence[int]) -> Floats:
    return np.concatenate([np.eye(n)[archs[:, at]] for at, n in enumerate(arity)], axis=1)


def _ridge(features: Floats, targets: Floats) -> Floats:
    """``(features + 1,)`` weights and bias of a ridge regression."""
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ targets)
    return weights.astype(np.float64)
