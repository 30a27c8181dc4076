"""FCOS: every place of a pyramid names a class and the four distances to the edges of a box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.boxes import areas, generalised_iou
from nasrun.nets.detection import Detection, focal_loss
from nasrun.nets.pyramid import Pyramid, branch

RARE = 0.01  # share of places that show a class, as a network expects at first (RetinaNet's pi)
RADIUS = 1.5  # strides around the centre of a box within which places are its own
STEEPEST = 6.0  # logarithm of a distance in strides, beyond which it grows no more
PLACE = 3  # last columns of an output: x, y and stride of its place


class FCOSHead(nn.Module):
    """A pyramid, and two branches that its levels share.

    Args:
        pyramid: of the backbone's maps.
        classes: that are told apart.
        channels: of the pyramid.
        layers: convolutions of a branch.
    """

    def __init__(self, pyramid: Pyramid, classes: int, channels: int, layers: int) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.naming, self.placing = branch(channels, layers), branch(channels, layers)
        self.classifier = nn.Conv2d(channels, classes, 3, 1, 1)
        self.distances = nn.Conv2d(channels, 4, 3, 1, 1)
        self.scales = nn.Parameter(torch.ones(len(pyramid.strides)))
        for conv, bias in ((self.classifier, -math.log((1 - RARE) / RARE)), (self.distances, 0.0)):
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.constant_(conv.bias, bias)

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """``(B, N, classes + 7)``: logits, corners of a box in pixels, and the place."""
        levels = self.pyramid(maps)
        found = [
            self._level(x, stride, scale)
            for x, stride, scale in zip(levels, self.pyramid.strides, self.scales, strict=True)
        ]
        return torch.cat(found, dim=1)

    def _level(self, x: Tensor, stride: int, scale: Tensor) -> Tensor:
        logits = self.classifier(self.naming(x)).float()
        logarithms = (scale * self.distances(self.placing(x))).float()
        distances = stride * logarithms.clamp(max=STEEPEST).exp()
        rows, columns = x.shape[2:]
        down = stride * (torch.arange(rows, device=x.device) + 0.5)
        along = stride * (torch.arange(columns, device=x.device) + 0.5)
        centres = torch.stack([along.expand(rows, -1), down[:, None].expand(-1, columns)])
        corners = torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1)
        place = torch.cat([centres, torch.full_like(centres[:1], stride)]).expand(
            len(x), -1, -1, -1
        )
        return torch.cat([logits, corners, place], dim=1).flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class FCOS(Detection):
    """Tian et al., "FCOS: fully convolutional one-stage object detection" (ICCV 2019).

    With GroupNorm in the branches, centre sampling and the GIoU loss, as the authors' later version
    has them (TPAMI 2020), but without its centre-ness branch: one score less to learn in a few
    epochs. A picture's losses are divided by its own number of positive places, as torchvision's
    RetinaNet does, and not by the batch's, so that they do not depend on the other pictures.
    """

    def make_head(self, pyramid: Pyramid) -> nn.Module:
        """Shared branches on the levels of a pyramid."""
        return FCOSHead(pyramid, self.classes, self.channels, self.layers)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Focal loss of all places, and GIoU loss of those that belong to a box.

        Places within a crowd that belong to no box teach nothing.
        """
        self.refuse(smoothing)
        logits, corners, place = output.split([self.classes, 4, PLACE], dim=2)
        owner, ignored = owners(place, target, self.reach)  # (B, N), (B, N)
        positive = owner >= 0
        owned = target.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, target.shape[2]))
        truth = F.one_hot(owned[..., 4].long().clamp(min=0), self.classes) * positive[..., None]
        focal = focal_loss(logits, truth.to(logits.dtype)).sum(dim=2).masked_fill(ignored, 0.0)
        iou = torch.zeros_like(focal)
        iou[positive] = 1.0 - generalised_iou(corners[positive], owned[..., :4][positive])
        counted = positive.sum(dim=1).clamp(min=1)
        return ((focal + iou).sum(dim=1) / counted).sum()

    def found(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of all classes, and one box for all of them, at every place."""
        logits, corners, _ = output.split([self.classes, 4, PLACE], dim=2)
        return logits.sigmoid(), corners[:, :, None]


def owners(place: Tensor, target: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """``(B, N)`` the row of the box that a place belongs to, or -1; and whether to pass it over.

    A place belongs to the smallest of the boxes that it lies in, near whose centre it is, and whose
    edges are as far away as its level is for. It is passed over if it belongs to none and lies in a
    crowd.

    Args:
        place: ``(B, N, 3)`` x, y and stride.
        target: ``(B, M, 6)`` boxes, as ``Images`` has them.
        reach: distance to the farthest edge, in strides, up to which a level is for a box, and from
            half of which on; the finest is for all that is smaller, the coarsest for all beyond.
    """
    x, y, stride = (own[..., None] for own in place.unbind(dim=2))  # (B, N, 1)
    left, top, right, bottom, kind, crowd = (own[:, None] for own in target.unbind(dim=2))
    edges = torch.stack([x - left, y - top, right - x, bottom - y])  # (4, B, N, M)
    near = torch.maximum((2 * x - left - right).abs(), (2 * y - top - bottom).abs()) / 2
    farthest = edges.amax(dim=0)
    low = torch.where(stride == stride.amin(dim=1, keepdim=True), 0.0, reach / 2 * stride)
    high = reach * stride
    high = torch.where(stride == stride.amax(dim=1, keepdim=True), torch.inf, high)
    inside = (edges.amin(dim=0) > 0) & (kind >= 0)
    fits = (near < RADIUS * stride) & (farthest > low) & (farthest <= high)
    size = areas(target[..., :4])[:, None].where(inside & fits & (crowd == 0), torch.inf)
    least, owner = size.min(dim=2)
    owner = owner.where(least < torch.inf, -1)
    return owner, (owner < 0) & (inside & (crowd > 0)).any(dim=2)
