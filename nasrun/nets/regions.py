"""Regions of a pyramid's maps: which level a box is read from, and its pooled features."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.nets.boxes import areas

CELLS = 7  # of a box, along each side; torchvision's Faster R-CNN
SAMPLES = 2  # read in a cell, along each side
LEAST_SIDE = 14.0  # strides of a level, of the boxes read from it: FPN's 224 pixels at stride 16


def levels_of(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """``(...)`` the level from which each of ``boxes (..., 4)`` is read.

    Lin et al., "Feature pyramid networks" (CVPR 2017), equation 1, with a level as the unit: the
    coarsest one of which a box's side is 14 strides, or the finest.
    """
    side = areas(boxes).sqrt()
    coarser = [side >= LEAST_SIDE * stride for stride in strides[1:]]
    return torch.stack(coarser, dim=-1).sum(dim=-1) if coarser else torch.zeros_like(side).long()


def pooled(levels: Sequence[Tensor], boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """``(B, P, C, CELLS, CELLS)`` features of ``boxes (B, P, 4)`` within their pictures.

    RoIAlign (He et al., "Mask R-CNN", ICCV 2017), whose samples of a cell are averaged. They are
    read in float32 by torch's own sampling of grids, so that no compiled operator of torchvision is
    needed.

    Args:
        levels: ``(B, C, h_i, w_i)`` maps, the finest first.
        boxes: corners in pixels of the picture.
        strides: of the maps.
    """
    points = CELLS * SAMPLES
    found = boxes.new_zeros(*boxes.shape[:2], levels[0].shape[1], CELLS, CELLS)
    if boxes.is_meta:  # shapes alone
        return found
    steps = (torch.arange(points, device=boxes.device) + 0.5) / points
    at = boxes[..., :2, None] + (boxes[..., 2:, None] - boxes[..., :2, None]) * steps  # B, P, 2, n
    along = at[:, :, 0, None, :].expand(-1, -1, points, -1)
    down = at[:, :, 1, :, None].expand(-1, -1, -1, points)
    places = torch.stack([along, down], dim=-1)  # (B, P, n, n, 2) pixels of the picture
    own = levels_of(boxes, strides)
    for number, (level, stride) in enumerate(zip(levels, strides, strict=True)):
        size = stride * torch.tensor(level.shape[:1:-1], device=boxes.device)
        for picture in range(len(boxes)):
            rows = torch.nonzero(own[picture] == number)[:, 0]
            if not len(rows):
                continue
            grid = (2 * places[picture, rows] / size - 1).flatten(0, 1)[None]
            read = F.grid_sample(
                level[picture : picture + 1].float(),
                grid,
                padding_mode="border",
                align_corners=False,
            )
            cells = F.avg_pool2d(read, SAMPLES)  # (1, C, rows * CELLS, CELLS)
            found[picture, rows] = cells[0].unflatten(1, (len(rows), CELLS)).transpose(0, 1)
    return found
