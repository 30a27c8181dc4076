"""Geometry of boxes ``x0, y0, x1, y1``, and the choice among those that overlap."""

import numpy as np
import torch
from torch import Tensor

TINY = 1e-7  # keeps the quotient of two empty boxes finite


def areas(boxes: Tensor) -> Tensor:
    """``(...)`` surfaces of ``boxes (..., 4)``; zero where corners are the wrong way round."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """``(..., N, M)`` intersections over unions of ``boxes (..., N, 4)`` and ``(..., M, 4)``."""
    one, other = boxes[..., :, None, :], others[..., None, :, :]
    return _ratio(one, other)[0]


def generalised_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """``(n,)`` GIoU of pairs (Rezatofighi et al., CVPR 2019), in (-1, 1]."""
    iou, union = _ratio(boxes, others)
    low = torch.minimum(boxes[:, :2], others[:, :2])
    hull = areas(torch.cat([low, torch.maximum(boxes[:, 2:], others[:, 2:])], dim=1))
    return iou - (hull - union) / hull.clamp(min=TINY)


def intersections(boxes: Tensor, others: Tensor) -> Tensor:
    """``(N, M)`` surfaces that ``boxes (N, 4)`` and ``(M, 4)`` have in common."""
    return _common(boxes[:, None], others[None])


def _common(one: Tensor, other: Tensor) -> Tensor:
    low = torch.maximum(one[..., :2], other[..., :2])
    return (torch.minimum(one[..., 2:], other[..., 2:]) - low).clamp(min=0).prod(dim=-1)


def _ratio(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and union."""
    common = _common(one, other)
    union = areas(one) + areas(other) - common
    return common / union.clamp(min=TINY), union


def suppressed(
    boxes: Tensor, scores: Tensor, classes: Tensor, most_common: float, count: int
) -> Tensor:
    """``(k,)`` rows of at most ``count`` boxes ``(n, 4)``, by falling score.

    Greedy non-maximum suppression: a box goes if it has more than ``most_common`` (intersection
    over union) in common with one of its class that stays and has a higher score.
    """
    order = scores.argsort(descending=True, stable=True)
    x0, y0, x1, y1 = boxes[order].double().cpu().numpy().T
    kinds = classes[order].cpu().numpy()
    size = (x1 - x0).clip(0) * (y1 - y0).clip(0)
    left, kept = np.arange(len(order)), list[int]()
    while len(left) and len(kept) < count:
        best, left = left[0], left[1:]
        kept.append(int(best))
        across = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        down = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        common = across.clip(0) * down.clip(0)
        close = common > most_common * (size[best] + size[left] - common)
        left = left[~(close & (kinds[left] == kinds[best]))]
    return order[kept]
