"""What both ways to learn ProxylessNAS's logits share: the weights' paths, and the schedule."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.mixture import Mixture
from nasrun.nets.gates import Gates, draw_gates
from nasrun.ranges import require_at_least, require_positive, require_within


@dataclass
class Gated(Mixture):
    """Weights learn on paths drawn by the logits' softmax, the logits every few steps.

    Cai et al., "ProxylessNAS" (ICLR 2019), with the settings of the authors' code ([PX]
    ``search/``): 40 epochs in which weights alone are learnt on paths that are close to uniform,
    then 120 in which logits are learnt, too, each part with a cosine of its own; SGD with Nesterov
    momentum, labels smoothed, nothing clipped; Adam without a first moment for the logits.

    Departures: the logits are learnt from the first epoch after the warm-up (the authors': from the
    second); images and split are the task's; cosines fall step by step; the departures of
    ``OneShot``.

    Raises:
        ConfigError: fewer than 1 step an update, a rate of the warm-up that is not positive, or
            ``smoothing`` outside [0, 1); see Mixture for the others.
    """

    epochs: int = 160
    batch: int = 256
    weight_decay: float = 4e-5
    max_gradient: float | None = None
    final_rate: float = 0.0
    frozen: float = 0.25
    arch_rate: float = 1e-3
    arch_beta: float = 0.0
    arch_weight_decay: float = 0.0
    warmup_rate: float = 0.05
    smoothing: float = 0.1
    arch_every: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "arch_every")
        require_positive(self, "algorithm", "warmup_rate")
        require_within(self, "algorithm", "[0, 1)", "smoothing")

    @abstractmethod
    def learn(self) -> None:
        """Move the logits once."""

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights of a path, then, every ``arch_every`` steps, the logits."""
        path = self.gates(None).active
        self.weight_step(self.loss(x, y, path))
        steps = round(self.progress * self.data.steps) + 1
        if self.learns_logits and steps % self.arch_every == 0:
            self.learn()

    def gates(self, paths: int | None) -> Gates:
        """Gates drawn by the logits; see ``draw_gates``."""
        drawn = draw_gates(self.by_row(self.logits), paths, self.noise)
        return Gates(self._placed(drawn.active), self._placed(drawn.competing))

    def _placed(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """The rows on the device, in one copy that nobody waits for."""
        flat = torch.cat(list(rows)).to(self.processor.processor, non_blocking=True)
        return list(flat.split([len(row) for row in rows]))

    def losses(self, x: Tensor, y: Tensor, mixing: Sequence[Tensor]) -> Tensor:
        """``(B,)`` cross-entropies with smoothed labels."""
        with self.processor.autocast():
            logits = self.network(x, mixing)
        return F.cross_entropy(logits.float(), y, reduction="none", label_smoothing=self.smoothing)

    def cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that falls over the epochs after the warm-up."""
        return self.search_cosine(first, last, half_period)

    def _set_rate(self) -> None:
        super()._set_rate()
        if self.epoch >= self.first_learning_epoch:
            return
        done = self.progress / self.first_learning_epoch
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.warmup_rate * (1.0 + math.cos(math.pi * done)) / 2.0
