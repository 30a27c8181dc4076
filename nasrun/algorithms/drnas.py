"""DrNAS: mixing weights are Dirichlet samples, and the supernet grows as options go."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.mixture import Mixture
from nasrun.nets.estimators import dirichlet
from nasrun.spec import Scale


@dataclass
class DrNAS(Mixture):
    """Rows of mixing weights drawn from Dirichlet(elu(logits) + 1), pathwise gradients.

    Chen et al., "DrNAS: Dirichlet Neural Architecture Search" (ICLR 2021), the progressive version
    for NAS-Bench-201 (the authors' ``train_search_progressive.py``): in the first half a quarter of
    the channels goes through all options, in the second one half of the channels through the
    ``kept`` best options of each edge; the logits are frozen in the first fifth of either half.

    Departures: the operations of the wider supernet begin anew, and only what keeps its shape
    (stem, residual blocks, classifier) keeps its weights (the authors widen the operations, too);
    the optimiser of the weights starts anew with them; the split of the images is the
    task's (the authors halve the training images); the cosine falls step by step (the authors':
    epoch by epoch).
    """

    name: str = "drnas"
    nesterov: bool = False
    frozen: float = 0.2  # of either half
    kept: int = 3
    share: ClassVar[int] = 4
    later_share: ClassVar[int] = 2

    def prepare(self) -> None:
        """Draw the logits; no option is dropped yet."""
        super().prepare()
        self._allowed = torch.ones_like(self.logits, requires_grad=False)
        self.keep(allowed=self._allowed)

    def begin_epoch(self) -> None:
        """Prune and widen when half of the epochs are over."""
        if self.epoch != self._half:
            return
        before = self.network.state_dict()
        self._widen()
        fitting = self.network.state_dict()
        fitting.update({k: v for k, v in before.items() if v.shape == fitting[k].shape})
        self.network.load_state_dict(fitting)
        with torch.no_grad():
            for at, row in enumerate(self.softmax()):
                worst = row.argsort(descending=True)[self.kept :]
                self._allowed[at, worst] = 0.0

    def resume(self, epochs: int) -> None:
        """Widen the supernet of a search that is in its second half."""
        if epochs > self._half:
            self._widen()

    def _widen(self) -> None:
        self.build(Scale(self.scale.channels, self.scale.cells), self.later_share)
        self._share_noise()

    @property
    def _half(self) -> int:
        return (self.planned_steps + 1) // 2

    @property
    def learns_logits(self) -> bool:
        """Whether the epochs of this half in which only weights are trained are over."""
        begun = self.epoch if self.epoch < self._half else self.epoch - self._half
        return begun >= self.frozen * self._half

    def update(self, x: Tensor, y: Tensor) -> None:
        """Logits, after the epochs of weights alone, then weights, each with its own sample."""
        if self.learns_logits:
            self.arch_step(self.loss(*self.valid_batch(), self._sample()))
        self.weight_step(self.loss(x, y, [row.detach() for row in self._sample()]))

    def _sample(self) -> list[Tensor]:
        """Mixing rows; options that were dropped have weight zero."""
        # Gamma numbers are drawn on the host: two copies there, one back, whatever the rows.
        concentration = (F.elu(self.logits) + 1.0).cpu()
        rows: list[Tensor] = []
        for row, allowed in zip(
            self.by_row(concentration), self.by_row(self._allowed.cpu()), strict=True
        ):
            options = allowed.nonzero()[:, 0]
            weights = dirichlet(row[options].clamp(min=1e-6), self.noise)
            rows.append(torch.zeros_like(row).index_copy(0, options, weights))
        drawn = torch.cat(rows).to(self.logits.device, non_blocking=True)
        return list(drawn.split([len(row) for row in rows]))

    def softmax(self) -> list[Tensor]:
        """Mean mixing weights; those of dropped options are zero."""
        weights = (F.elu(self.logits) + 1.0) * self._allowed
        return [row / row.sum() for row in self.by_row(weights)]
