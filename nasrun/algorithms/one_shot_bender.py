"""One-Shot (Bender): all paths at once with dropout, sub-models ranked, the best ones trained."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.one_shot import OneShot
from nasrun.nets.supernet import NONE
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs

INTERIM = 20  # sub-models that compete after an epoch that is not the last


@dataclass
class OneShotBender(OneShot):
    """Weights learn on the sum of all paths, more and more of which are dropped.

    Bender et al., "Understanding and Simplifying One-Shot Architecture Search" (ICML 2018). Of the
    ``k`` paths into a node each is dropped with ``drop^(1/k)``, so that all vanish with probability
    ``drop``; the rate rises linearly from 0 over the training. A batch is cut into ghost batches,
    each with its own paths and its own statistics; the weights of paths that are dropped in all of
    them do not decay. In the end ``candidates`` random sub-models are ranked by their accuracy with
    the shared weights on the validation images, and the best ``finalists`` are trained from
    scratch, by the run's evaluator: the one with the best reward is reported.

    Departures: the paper's own network (choice blocks with a 1x1 convolution behind each sum) is
    not at hand, so this takes any space with a supernet, whose nodes sum their paths; in cells of
    independent decisions ``k`` counts the options of a decision; that a filter is on a live path is
    told by its gradient, which is zero otherwise; after each epoch but the last no more than 20
    sub-models compete, and nothing is trained; the seconds that a table gives for the finalists'
    training are not in the costs, which are this machine's; ``drop``, batch and rates are our
    choice, and the departures of ``OneShot``.

    Raises:
        ConfigError: fewer than 1 candidate, finalist or image a ghost batch, or ``drop`` outside
            [0, 1); see OneShot for the others.
    """

    name: str = "one_shot_bender"
    batch: int = 1024
    ghost: int = 32
    drop: float = 0.1
    track: bool = False
    candidates: int = 2000
    finalists: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "ghost", "candidates", "finalists")
        require_within(self, "algorithm", "[0, 1)", "drop")

    def prepare(self) -> None:
        """Count the paths into each node."""
        self.paths = paths_by_row(self.network.rows, self.network.groups)

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights, on each ghost batch with the paths that are left of its own."""
        pairs = zip(x.split(self.ghost), y.split(self.ghost), strict=True)
        losses = [self.losses(part, labels, self.left()) for part, labels in pairs]
        self.weight_step(torch.cat(losses).mean())

    def left(self) -> list[Tensor]:
        """Mixing rows of zeros and ones: those of paths that are not dropped."""
        share = self.progress / self.planned_steps
        arity = [len(names) for names in self.network.rows]
        rates = [
            torch.full((n,), share * self.drop ** (1.0 / k))
            for n, k in zip(arity, self.paths, strict=True)
        ]
        drawn = torch.rand(sum(arity), generator=self.noise)
        kept = drawn.ge(torch.cat(rates)).float().to(self.processor.processor)
        return list(kept.split(arity))

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = super()._optimizer()
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0  # live paths alone decay, see ``decay``
        return optimizer

    def decay(self) -> None:
        """Add the weight decay of the filters that a gradient has reached."""
        for weight in self.weights:
            if (slope := weight.grad) is not None:
                axes = tuple(range(1, slope.dim()))
                live = slope.ne(0).any(axes, keepdim=True) if axes else slope.ne(0)
                slope.add_(weight.detach() * live, alpha=self.weight_decay)

    @property
    def protocol(self) -> dict[str, str]:
        """Says that the best were trained alone."""
        shared = dict(super().protocol)
        shared["fidelity"] += f"; the best {self.finalists} trained alone"
        return shared

    def derive(self) -> Archs:
        """``(L,)`` the best sub-model; in the end the best one when trained from scratch."""
        last = self.epoch + 1 == self.planned_steps
        count = self.scale.candidates or self.candidates
        archs = [self.random_arch() for _ in range(count if last else min(count, INTERIM))]
        found = np.array([self.accuracy(arch, self.data.judging()) for arch in archs])
        ranked = [archs[at] for at in np.argsort(-found, kind="stable")]
        return self.best_trained(ranked) if last else ranked[0]

    def best_trained(self, ranked: list[Archs]) -> Archs:
        """``(L,)`` of the first ``finalists`` networks the one with the best reward."""
        different = dict[str, Archs]()
        for arch in ranked:
            different.setdefault(self.problem.space.canonical(arch), arch)
        chosen = list(islice(different.values(), self.finalists))
        if len(chosen) == 1:
            return chosen[0]
        rewards = [float(self.problem.evaluate(arch[None]).reward[0]) for arch in chosen]
        return chosen[int(np.argmax(np.nan_to_num(rewards, nan=-np.inf)))]


def paths_by_row(
    rows: tuple[tuple[str, ...], ...], groups: tuple[tuple[int, ...], ...]
) -> list[int]:
    """Paths into the node that each row leads to; where rows are no edges, the row's options."""
    own = [len([name for name in names if name != NONE]) for names in rows]
    counts = list(own)
    for group in groups:
        for row in group:
            counts[row] = sum(own[each] for each in group)
    return counts
