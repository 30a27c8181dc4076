"""Meta-training of a network's first weights, and their judgement on classes it has not seen."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nasrun.nets.maml import (
    Episodes,
    Forward,
    InnerLoop,
    Weights,
    accuracies,
    functional,
    meta_loss,
)
from nasrun.progress import tell

Draw = Callable[[int], Episodes]  # that many episodes
LARGEST = 10.0  # entry of a meta-gradient; Finn et al.'s code clips it for mini-ImageNet


@dataclass(frozen=True)
class MetaTrained:
    """First weights and the function that takes them; ``failed``: a loss was not finite."""

    weights: Weights
    forward: Forward
    failed: bool
    seconds: float


@dataclass(frozen=True)
class MetaTraining:
    """MAML (Finn et al., ICML 2017): Adam on the loss of queries after the inner loop.

    ``batches`` meta-batches of ``episodes`` episodes each, at the learning rate ``rate``.
    """

    inner: InnerLoop
    rate: float
    batches: int
    episodes: int

    def train(self, network: nn.Module, draw: Draw) -> MetaTrained:
        """Meta-train a network that lies on the device of the episodes."""
        began = time.perf_counter()
        start, forward = functional(network)
        weights = {name: own.requires_grad_() for name, own in start.items()}
        optimizer = torch.optim.Adam(weights.values(), self.rate)
        failed = False
        for batch in range(self.batches):
            episodes = draw(self.episodes)
            logits = self.inner.logits(forward, weights, episodes)
            loss = meta_loss(logits, episodes.query_labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(weights.values(), LARGEST)
            optimizer.step()
            value = float(loss.detach())
            if failed := not math.isfinite(value):
                break
            tell((batch + 1) / self.batches, lambda value=value: f"loss {value:.3f}")
        found = {name: own.detach() for name, own in weights.items()}
        return MetaTrained(found, forward, failed, time.perf_counter() - began)


@torch.no_grad()
def judged(
    trained: MetaTrained, inner: InnerLoop, draw: Draw, episodes: int, at_once: int
) -> tuple[float, float]:
    """Mean accuracy in % of the queries of ``episodes`` episodes, and seconds.

    NaN if the training failed.
    """
    began = time.perf_counter()
    if trained.failed:
        return math.nan, 0.0
    total = 0.0
    for first in range(0, episodes, at_once):
        own = draw(min(at_once, episodes - first))
        logits = inner.logits(trained.forward, trained.weights, own)
        total += float(accuracies(logits, own.query_labels).sum())
        tell(min(1.0, (first + at_once) / episodes))
    return total / episodes, time.perf_counter() - began
