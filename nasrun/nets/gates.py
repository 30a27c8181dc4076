"""ProxylessNAS's binary gates: paths of a supernet that compete, and the gradient of their logits.

Cai et al., "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR
2019), section 3.2. A row of logits has one gate per option, one of which is open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

Rows = Sequence[Tensor]


@dataclass(frozen=True)
class Gates:
    """For each row ``(options,)`` which path is open, one-hot, and which ones compete, 0 or 1."""

    active: list[Tensor]
    competing: list[Tensor]


def draw_gates(logits: Rows, paths: int | None, generator: Generator) -> Gates:
    """Let ``paths`` options of each row compete, and open one of them.

    The competitors are drawn without replacement by the softmax of the row, the open one by the
    softmax of the competitors. Where all compete, the open one is drawn by the row's softmax.

    Args:
        logits: ``(options,)`` per row, on any device.
        paths: how many compete; None, and where a row has fewer: all.
        generator: of the CPU.
    """
    flat = torch.cat([row.detach() for row in logits]).cpu()  # one wait for a GPU
    rows = flat.split([len(row) for row in logits])
    competing, active = list[Tensor](), list[Tensor]()
    for row in rows:
        count = len(row) if paths is None else min(paths, len(row))
        taken = _perturbed(row, generator).topk(count).indices
        mask = torch.zeros_like(row).index_fill_(0, taken, 1.0)
        opened = _perturbed(_only(row, mask), generator).argmax()
        competing.append(mask)
        active.append(F.one_hot(opened, len(row)).to(row.dtype))
    return Gates(active, competing)


def _perturbed(row: Tensor, generator: Generator) -> Tensor:
    """``row`` with Gumbel noise: its order is a draw without replacement by its softmax."""
    return row - torch.empty_like(row).exponential_(generator=generator).log()


def _only(row: Tensor, mask: Tensor) -> Tensor:
    return row.masked_fill(mask == 0, -torch.inf)


def binary_connect(logits: Rows, competing: Rows, slopes: Rows) -> Tensor:
    """A scalar with the gradient of equation 4, ``sum_j slope_j p_j (delta_ij - p_i)``.

    The sum is over the competitors, and ``p`` is their softmax.

    Args:
        logits: ``(options,)`` per row.
        competing: 0 or 1, likewise.
        slopes: the gradient of the loss for the gates, likewise.
    """
    total = logits[0].new_zeros(())
    for row, mask, slope in zip(logits, competing, slopes, strict=True):
        p = F.softmax(_only(row, mask), dim=-1)
        total = total + (slope.detach() * p).sum()
    return total


def rescaled(before: Tensor, after: Tensor, mask: Tensor) -> Tensor:
    """``after (options,)`` moved so that the options that did not compete keep their probability.

    Section 3.2.2: the competitors' share of the softmax is what it was ``before``, if no other
    logit has moved.
    """
    shift = _only(after, mask).logsumexp(-1) - _only(before, mask).logsumexp(-1)
    return after - mask * shift
