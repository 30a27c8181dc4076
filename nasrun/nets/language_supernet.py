"""A language model of all of ENAS's recurrent cells."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import UnsupportedError
from nasrun.nets.language import LanguageNetwork
from nasrun.nets.recurrent import SharedGraphCell
from nasrun.spec import Archs
from nasrun.streams import Floats, Ints


class SharedLanguageNetwork(LanguageNetwork):
    """One cell at a time: a supernet without sums over options.

    Args:
        rows: the options of each decision: sources and activations in turn.
        activations: by number.
        hidden: units.
        vocabulary: number of tokens.
    """

    groups: tuple[tuple[int, ...], ...] = ()
    noise: torch.Generator | None = None

    def __init__(
        self,
        rows: tuple[tuple[str, ...], ...],
        activations: Sequence[str],
        hidden: int,
        vocabulary: int,
    ) -> None:
        cell = SharedGraphCell(len(rows) // 2, activations, hidden)
        super().__init__(cell, hidden, vocabulary)
        self.rows, self._choose = rows, cell.choose

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: a supernet's
        self, x: Tensor, mixing: Sequence[Tensor]
    ) -> Tensor:
        """``(B, vocabulary, T)`` logits of ``x (B, T)``; each row of ``mixing`` has one option.

        Raises:
            UnsupportedError: rows that mix several options.
        """
        self._choose(_options(mixing))
        return super().forward(x)

    def rows_of(self, arch: Archs) -> Ints:
        """``(rows,)`` the options of ``arch (L,)``."""
        return np.asarray(arch, np.int64)

    def derive(self, scores: Sequence[Floats]) -> Archs:
        """``(L,)`` the highest of each row."""
        return np.array([int(np.argmax(row)) for row in scores], np.int64)


def _options(mixing: Sequence[Tensor]) -> list[int]:
    """The one option of each row, by one copy from a GPU."""
    rows = [row.detach() for row in mixing]
    if not any(row.dim() > 1 for row in rows):
        found = torch.cat(rows).cpu().split([len(row) for row in rows])
        if all(int(row.count_nonzero()) == 1 for row in found):
            return [int(row.argmax()) for row in found]
    raise UnsupportedError(
        "a recurrent supernet computes one cell at a time: use algorithm=enas_rnn"
    )
