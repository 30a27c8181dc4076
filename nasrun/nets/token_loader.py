"""Batches of a text."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from nasrun.images import Pixels
from nasrun.nets.loader import Loader


class TokenLoader(Loader):
    """Windows of tokens ``(B, T)`` and the token after each of them; nothing is altered."""

    def _keep(self, pixels: Pixels) -> None:
        self._tokens = torch.from_numpy(pixels).to(self.device)

    def _plain(self, rows: Tensor) -> Tensor:
        return self._tokens[rows.to(self.device)]

    def _normalised(self, x: Tensor) -> Tensor:
        return x

    def _shuffled(self, order: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in order.split(self.batch):
            yield self._plain(rows), self._targets(rows)
