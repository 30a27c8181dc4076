"""RetinaNet: torchvision's head and anchors on a pyramid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.nets.boxes import areas, intersections, overlaps
from nasrun.nets.detection import Detection, focal_loss
from nasrun.nets.pyramid import Pyramid, groups_of
from nasrun.nets.vision import load_torchvision

LAYERS = 4  # that torchvision's head has
SIZES = tuple(4 * 2 ** (third / 3) for third in range(3))  # of anchors, in strides of their level
RATIOS = (0.5, 1.0, 2.0)
FOREGROUND, BACKGROUND = 0.5, 0.4  # overlaps from which, and below which, an anchor is one
COORDINATES = 4  # of a box


class RetinaNetHead(nn.Module):
    """torchvision's head with GroupNorm, because networks are trained from scratch here."""

    def __init__(self, pyramid: Pyramid, classes: int, channels: int) -> None:
        load_torchvision()
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.retinanet import RetinaNetHead as Head

        super().__init__()
        self.pyramid = pyramid
        sizes = tuple(tuple(stride * size for size in SIZES) for stride in pyramid.strides)
        self.anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
        norm = partial(nn.GroupNorm, groups_of(channels))
        self.head = Head(channels, len(SIZES) * len(RATIOS), classes, norm)

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """``(B, N, classes + 8)``: logits, offsets from an anchor, and the anchor's corners."""
        levels = self.pyramid(maps)
        found = self.head(levels)
        self.anchors.set_cell_anchors(torch.float32, images.device)
        strides = [[torch.tensor(own, device=images.device)] * 2 for own in self.pyramid.strides]
        grid = self.anchors.grid_anchors([list(level.shape[2:]) for level in levels], strides)
        anchors = torch.cat(grid).expand(len(images), -1, -1)
        parts = (found["cls_logits"].float(), found["bbox_regression"].float(), anchors)
        return torch.cat(parts, dim=2)


@dataclass(frozen=True)
class RetinaNet(Detection):
    """Lin et al., "Focal loss for dense object detection" (ICCV 2017), as torchvision has it."""

    def make_head(self, pyramid: Pyramid) -> nn.Module:
        """Torchvision's head on the levels of a pyramid.

        Raises:
            ConfigError: another number of layers than it has.
        """
        if self.layers != LAYERS:
            raise ConfigError(
                f"task.layers must be {LAYERS} for task.detector=retinanet, as torchvision's head "
                f"has them, got {self.layers}"
            )
        return RetinaNetHead(pyramid, self.classes, self.channels)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Focal loss of all anchors, and the distance of offsets of those that match a box.

        Anchors that lie in a crowd by more than half teach nothing unless they match a box.
        """
        self.refuse(smoothing)
        return torch.stack([self._of_one(*own) for own in zip(output, target, strict=True)]).sum()

    def found(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of all classes, and one box for all of them, of every anchor."""
        logits, offsets, anchors = self._parts(output)
        boxes = _coder().decode_single(offsets.flatten(0, 1), anchors.flatten(0, 1))
        return logits.sigmoid(), boxes.view(*logits.shape[:2], 1, COORDINATES)

    def _parts(self, output: Tensor) -> tuple[Tensor, ...]:
        return output.split([self.classes, COORDINATES, COORDINATES], dim=-1)

    def _of_one(self, output: Tensor, target: Tensor) -> Tensor:
        logits, offsets, anchors = self._parts(output)
        crowd = target[target[:, 5] > 0, :COORDINATES]
        own = target[(target[:, 4] >= 0) & (target[:, 5] == 0)]
        owner, ignored = _matched(anchors, own[:, :COORDINATES])
        within = intersections(anchors, crowd) > 0.5 * areas(anchors)[:, None]
        ignored |= (owner < 0) & within.any(dim=1)
        positive = owner >= 0
        truth = torch.zeros_like(logits)
        truth[positive] = F.one_hot(own[owner[positive], 4].long(), self.classes).to(truth)
        focal = focal_loss(logits, truth).sum(dim=1).masked_fill(ignored, 0.0).sum()
        wanted = _coder().encode_single(own[owner[positive], :COORDINATES], anchors[positive])
        distance = (offsets[positive] - wanted).abs().sum()
        return (focal + distance) / positive.sum().clamp(min=1)


def _matched(anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """``(N,)`` the box of each anchor, or -1; and whether the anchor is neither one nor nothing."""
    from torchvision.models.detection._utils import Matcher

    if not len(boxes):
        none = torch.full((len(anchors),), -1, device=anchors.device)
        return none, torch.zeros_like(none, dtype=torch.bool)
    matcher = Matcher(FOREGROUND, BACKGROUND, allow_low_quality_matches=True)
    owner = matcher(overlaps(boxes, anchors))
    return owner, owner == Matcher.BETWEEN_THRESHOLDS


def _coder():  # noqa: ANN202  (torchvision's BoxCoder, which is imported late)
    load_torchvision()
    from torchvision.models.detection._utils import BoxCoder

    return BoxCoder((1.0, 1.0, 1.0, 1.0))
