"""SMASH: weights that are written for any architecture rank architectures."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nasrun.algorithms.one_shot import OneShot
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs


@dataclass
class SMASH(OneShot):
    """Shared weights learn on a random architecture a batch; then the best one is looked for.

    Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018),
    Algorithm 1, with the settings of the authors' code: of ``candidates`` random architectures the
    best, then the best of its ``perturbations``, in which each decision is changed with probability
    ``change``, then ``climbs`` of one changed decision each, which are kept where they are better.
    In ``space=memory_bank`` a hyper-network writes the weights; in others they are a supernet's.

    Departures: candidates compete after every epoch, all on one batch of 512 validation images (the
    authors': in the end, on the validation set); a perturbation changes one decision at least, and
    a climb just one (theirs: each with probability ``change``, in climbs too); kernels and sizes
    are not annealed; where a scale reduces the candidates, the others are reduced in proportion;
    and those of ``OneShot``.

    Args:
        candidates: random architectures that compete.
        perturbations: of the best of them.
        change: probability of a decision to be changed.
        climbs: changes that are tried in the end.
    """

    name: str = "smash"
    candidates: int = 500
    perturbations: int = 100
    change: float = 0.05
    climbs: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "candidates")
        require_at_least(self, "algorithm", 0, "perturbations", "climbs")
        require_within(self, "algorithm", "(0, 1]", "change")

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights of a random architecture."""
        self.weight_step(self.loss(x, y, self.single_path(self.random_arch())))

    def derive(self) -> Archs:
        """``(L,)`` the best that was found."""
        batches = list(self.data.glimpse(self.draws))
        count = self.scale.candidates or self.candidates
        share = count / self.candidates
        found = [self.random_arch() for _ in range(count)]
        best, highest = self._best(found, batches)
        around = [self._perturbed(best) for _ in range(math.ceil(share * self.perturbations))]
        best, highest = self._best([best, *around], batches)
        for _ in range(math.ceil(share * self.climbs)):
            other = self.problem.space.mutate(best[None], self.draws)[0]
            score = self.accuracy(other, iter(batches))
            if score > highest:
                best, highest = other, score
        return best

    def _best(
        self, archs: list[Archs], batches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Archs, float]:
        """The best of some, and its score."""
        scores = torch.tensor([self.accuracy(arch, iter(batches)) for arch in archs])
        return archs[int(scores.argmax())], float(scores.max())

    def _perturbed(self, arch: Archs) -> Archs:
        """``(L,)`` a copy with as many changes as draws of ``change`` say, at least one."""
        count = int((self.draws.uniform(len(arch))[0] < self.change).sum())
        for _ in range(max(count, 1)):
            arch = self.problem.space.mutate(arch[None], self.draws)[0]
        return arch
