"""PC-DARTS: a part of the channels goes through the operations, and edges have weights too."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.mixture import Mixture
from nasrun.errors import UnsupportedError


@dataclass
class PCDARTS(Mixture):
    """DARTS on a quarter of the channels, with weights of edges beside those of operations.

    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search"
    (ICLR 2020), with the settings of the authors' ``train_search.py``: three quarters of the
    channels bypass the operations and all are shuffled; the edges into a node are weighted by a
    softmax of their own; the architecture is learnt after 15 of 50 epochs.

    Departures: on NAS-Bench-201 the edge weights act during the search alone, because its cells
    keep all edges; the split of the images is the task's (the authors halve the training images);
    the cosine falls step by step (the authors': epoch by epoch).
    """

    name: str = "pc_darts"
    nesterov: bool = False
    frozen: float = 0.3
    share: ClassVar[int] = 4

    def prepare(self) -> None:
        """Draw logits of operations and of edges.

        Raises:
            UnsupportedError: a space without edges to weigh.
        """
        super().prepare()
        if not self.network.groups:
            raise UnsupportedError(
                f"algorithm={self.name} weighs edges, and a factorised cell has none: set "
                "space=darts"
            )
        count = len(self.network.rows)
        drawn = self.initial_std * torch.randn(count, generator=self.noise)
        self.edge_logits = drawn.to(self.logits.device).requires_grad_()
        self.arch_optimizer = self.adam([self.logits, self.edge_logits])
        place = self.logits.device  # a list would be copied there in every step
        self._groups = [torch.tensor(group).to(place) for group in self.network.groups]
        self.keep(edge_logits=self.edge_logits, arch_optimizer=self.arch_optimizer)

    def softmax(self) -> list[Tensor]:
        """Mixing rows: probabilities of the options times the weight of the edge."""
        rows = super().softmax()
        for group, where in zip(self.network.groups, self._groups, strict=True):
            weights = F.softmax(self.edge_logits[where], dim=0)
            for at, weight in zip(group, weights, strict=True):
                rows[at] = rows[at] * weight
        return rows

    def update(self, x: Tensor, y: Tensor) -> None:
        """Logits, after the epochs of weights alone, then weights."""
        if self.learns_logits:
            self.arch_step(self.loss(*self.valid_batch(), self.softmax()))
        self.weight_step(self.loss(x, y, [row.detach() for row in self.softmax()]))
