"""The sandwich rule: the largest, the smallest and some random networks learn from every batch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.one_shot import OneShot
from nasrun.ranges import require_at_least
from nasrun.spec import Archs


@dataclass
class Sandwich(OneShot):
    """Shared weights learn by the sandwich rule; the best of some random networks is derived.

    Yu and Huang, "Universally Slimmable Networks" (ICCV 2019), sections 3.1 and 3.2, as in Yu et
    al., "BigNAS" (ECCV 2020), section 3.1: each batch trains the largest network on the labels,
    and on what that one says of them the smallest and ``randoms`` random ones; their gradients are
    summed. Largest and smallest are made of the options with the most and the fewest weights
    (``sizes`` of the supernet). Meant for spaces of layers: in one of cells the smallest network
    has no weights at all.

    Departures: a batch, rates and candidates as in ``rsps``, not BigNAS's for ImageNet; the best of
    random candidates, where it searches from coarse to fine; no rules for initialisation and
    dropout of its own.

    Raises:
        ConfigError: fewer than 1 candidate, or a negative number of random networks.
    """

    name: str = "sandwich"
    candidates: int = 100
    randoms: int = 2
    distil: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "candidates")
        require_at_least(self, "algorithm", 0, "randoms")

    def prepare(self) -> None:
        """Find the largest and the smallest network."""
        sizes = [row.double().numpy() for row in self.network.sizes()]
        self.largest = self.network.derive(sizes)
        self.smallest = self.network.derive([-row for row in sizes])

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights by the summed gradients of all networks of the batch."""
        self.weight_optimizer.zero_grad()
        target = self._learnt(x, y, self.largest)
        for arch in (self.smallest, *(self.random_arch() for _ in range(self.randoms))):
            self._learnt(x, target if self.distil else y, arch)
        self.move_weights()

    def _learnt(self, x: Tensor, target: Tensor, arch: Archs) -> Tensor:
        """Add a network's gradient; returns the probabilities ``(B, classes)`` that it gave.

        ``target`` holds classes ``(B,)``, or probabilities ``(B, classes)``.
        """
        with self.processor.autocast():
            logits = self.network(x, self.single_path(arch))
        loss = F.cross_entropy(logits.float(), target)
        self._last_loss = loss.detach()
        loss.backward(inputs=self.weights)
        return torch.softmax(logits.detach().float(), dim=-1)

    def derive(self) -> Archs:
        """``(L,)`` the best of random architectures."""
        count = self.scale.candidates or self.candidates
        return self.best_of([self.random_arch() for _ in range(count)])
