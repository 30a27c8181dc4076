"""ProxylessNAS: two paths compete for a gate, and the expected latency is part of the loss."""

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from nasrun.algorithms.gated import Gated
from nasrun.algorithms.latency_loss import LatencyLoss
from nasrun.errors import ConfigError
from nasrun.nets.gates import binary_connect, rescaled
from nasrun.ranges import require_at_least, require_not_negative, require_positive

LEAST_MS = 1.01  # of a latency whose logarithm is taken: at 1 ms the power has no slope


class LatencyTerm(Enum):
    """How the expected latency enters the loss of the logits."""

    added = "added"
    multiplied = "multiplied"


@dataclass
class ProxylessNAS(Gated):
    """Logits learn from the gradient of binary gates, ``paths`` of each row at a time.

    Cai et al., "ProxylessNAS" (ICLR 2019), sections 3.2 and 3.3.1, and [PX] ``mix_op.py``. For an
    update two options of each row are drawn by their probabilities; both are computed on a
    validation batch, one is let through; the gates' gradient becomes that of both logits (eq. 4),
    which after Adam's step are moved so that the others keep their probabilities. With
    ``paths=null`` all options compete, as in the authors' default.

    With a target the loss has the expected latency, the sum of ``p_j F(o_j)`` (eq. 7) over all
    options as in the authors' code: it multiplies the cross-entropy, ``scale CE (log E /
    log target)^exponent``, or is added, ``CE + weight (E - target) / target``.

    Departures: ``F`` is a linear model fitted to whole architectures, since a device knows these
    and not each operation in each place; multiplied latencies below 1.01 ms count as that; where
    the open path is zero the authors leave the logits alone, because their network passes over that
    edge, here the other path's gradient is there and is used; and the departures of ``Gated``.

    Raises:
        ConfigError: fewer than 2 paths, a target that is not positive (or not above 1 ms where the
            latency is multiplied); see Gated for the others.
    """

    name: str = "proxylessnas"
    paths: int | None = 2
    latency: LatencyTerm = LatencyTerm.multiplied
    latency_target_ms: float | None = None
    latency_weight: float = 0.1
    latency_scale: float = 0.2
    latency_exponent: float = 0.3
    latency_samples: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 2, "paths")
        require_at_least(self, "algorithm", 1, "latency_samples")
        require_positive(self, "algorithm", "latency_target_ms", "latency_scale")
        require_not_negative(self, "algorithm", "latency_weight", "latency_exponent")
        target, least = self.latency_target_ms, LEAST_MS
        if self.latency is LatencyTerm.multiplied and target is not None and target <= least:
            raise ConfigError(
                f"algorithm.latency=multiplied divides by log(latency_target_ms): expected more "
                f"than {least} ms, got {target}; set algorithm.latency=added"
            )

    @property
    def follows_rewards(self) -> bool:
        """Latencies are in the loss, if there is a target."""
        return self.latency_target_ms is not None

    def prepare(self) -> None:
        """Draw the logits, and fit the model of the latency.

        Raises:
            UnsupportedError: a latency that the device does not know, or a space whose mixing rows
                are not its decisions.
        """
        super().prepare()
        self._model: LatencyLoss | None = None
        if self.latency_target_ms is not None:
            self.require_rows_of_decisions("has a latency for each option of a decision")
            first = int(self.draws.integers(2**48)[0, 0])
            seeds = range(first, first + self.latency_samples)
            self._model = LatencyLoss.of_samples(self.problem, 0.0, seeds, self.name)

    def learn(self) -> None:
        """Move the logits along the gradient of their gates and of the expected latency."""
        gates = self.gates(self.paths)
        opened = [row.requires_grad_() for row in gates.active]
        x, y = self.valid_batch()
        with self.network.probing(gates.competing):
            loss = self.with_latency(self.loss(x, y, opened))
        wanted = [*opened, self.logits]
        *slopes, direct = torch.autograd.grad(loss, wanted, materialize_grads=True)
        before = self.logits.detach().clone()
        scalar = binary_connect(self.by_row(self.logits), gates.competing, slopes)
        self.arch_move([torch.autograd.grad(scalar, self.logits)[0] + direct])
        with torch.no_grad():
            pairs = zip(self.by_row(before), self.by_row(self.logits), gates.competing, strict=True)
            for was, now, mask in pairs:
                now.copy_(rescaled(was, now, mask))

    def with_latency(self, loss: Tensor) -> Tensor:
        """The loss with the expected latency of the logits."""
        if self._model is None:
            return loss
        expected, target = self._model.latency(self.softmax()), self.latency_target_ms or math.nan
        if self.latency is LatencyTerm.added:
            return loss + self.latency_weight * (expected - target) / target
        ratio = expected.clamp(min=LEAST_MS).log() / math.log(target)
        return self.latency_scale * loss * ratio**self.latency_exponent
