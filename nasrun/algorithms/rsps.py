"""Random search with parameter sharing."""

from dataclasses import dataclass

from torch import Tensor

from nasrun.algorithms.one_shot import OneShot
from nasrun.ranges import require_at_least
from nasrun.spec import Archs


@dataclass
class RSPS(OneShot):
    """Weights learn on uniform random architectures; the best of some random ones is derived.

    Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search" (UAI 2019),
    as NAS-Bench-201 runs it ([A] ``RANDOM-NAS.py``): a new architecture for every batch; in the end
    ``candidates`` random ones are each judged on one batch of 512 validation images.

    Departures: candidates compete after every epoch, so that a run shows how the choice would have
    changed; and the departures of ``OneShot``.
    """

    name: str = "rsps"
    candidates: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "candidates")

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights of a random architecture."""
        self.weight_step(self.loss(x, y, self.single_path(self.random_arch())))

    def derive(self) -> Archs:
        """``(L,)`` the best of random architectures."""
        count = self.scale.candidates or self.candidates
        return self.best_of([self.random_arch() for _ in range(count)])
