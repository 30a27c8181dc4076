"""Faster R-CNN: boxes that may show something are proposed, and each is named and moved."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.nets.boxes import areas, intersections, overlaps, suppressed
from nasrun.nets.detection import Detection
from nasrun.nets.pyramid import Pyramid
from nasrun.nets.regions import CELLS, pooled
from nasrun.nets.vision import load_torchvision

LAYERS = 1  # convolutions before what proposes, as torchvision has it
SIDE = 8  # strides of an anchor, which has one size a level
RATIOS = (0.5, 1.0, 2.0)
HIDDEN = 4  # numbers in each of the two layers that read a box, in channels of the pyramid
CANDIDATES = 1000  # anchors of a level that may become proposals; torchvision's, when it judges
PROPOSALS = 512  # of a picture; torchvision has 2,000 in training, 1,000 when it judges
COMMON = 0.7  # overlap of two proposals of a level that may both stay
PROPOSED = 9  # numbers of an anchor: logit, four offsets, its corners
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the offsets of a proposal
NOTHING, IGNORED = -1, -2  # owners of what shows no box, and of what teaches nothing
BETA = 1 / 9  # distance up to which the loss of an offset is quadratic


class FasterRCNNHead(nn.Module):
    """torchvision's parts on a pyramid; in training, anchors are a further output.

    Args:
        pyramid: of the backbone's maps.
        classes: that are told apart.
        channels: of the pyramid.
    """

    def __init__(self, pyramid: Pyramid, classes: int, channels: int) -> None:
        load_torchvision()
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
        from torchvision.models.detection.rpn import RPNHead

        super().__init__()
        self.pyramid = pyramid
        sizes = tuple((SIDE * stride,) for stride in pyramid.strides)
        self.anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
        self.proposing = RPNHead(channels, len(RATIOS))
        self.reading = TwoMLPHead(channels * CELLS**2, HIDDEN * channels)
        self.naming = FastRCNNPredictor(HIDDEN * channels, classes + 1)

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """``(B, P, 5 classes + 9)`` corners of proposals, logits (nothing first), offsets by class.

        In training also ``(B, N, 9)``: logits, offsets and corners of all anchors.
        """
        levels = self.pyramid(maps)
        anchored, counts = self._anchored(levels, images)
        proposals = proposed(anchored.detach(), counts, images)
        features = pooled(levels, proposals, self.pyramid.strides).flatten(0, 1)
        logits, offsets = self.naming(self.reading(features))
        rows = [own.float().unflatten(0, proposals.shape[:2]) for own in (logits, offsets)]
        found = torch.cat([proposals, *rows], dim=2)
        return (found, anchored) if self.training else found

    def _anchored(self, levels: list[Tensor], images: Tensor) -> tuple[Tensor, list[int]]:
        """``(B, N, 9)`` what is said of the anchors, and how many of them a level has."""
        from torchvision.models.detection.rpn import concat_box_prediction_layers

        logits, offsets = self.proposing(levels)
        counts = [own[0].numel() for own in logits]
        rows = concat_box_prediction_layers(logits, offsets)
        self.anchors.set_cell_anchors(torch.float32, images.device)
        strides = [[torch.tensor(own, device=images.device)] * 2 for own in self.pyramid.strides]
        grid = self.anchors.grid_anchors([list(level.shape[2:]) for level in levels], strides)
        anchors = torch.cat(grid).expand(len(images), -1, -1)
        said = [own.float().view(len(images), sum(counts), -1) for own in rows]
        return torch.cat([*said, anchors], dim=2), counts


def proposed(anchored: Tensor, counts: Sequence[int], images: Tensor) -> Tensor:
    """``(B, PROPOSALS, 4)`` the boxes most likely to show something, within their pictures.

    Suppression is level by level. Where there are fewer, boxes without a surface fill up.
    """
    found = anchored.new_zeros(len(images), PROPOSALS, 4)
    if anchored.is_meta:  # shapes alone
        return found
    logits, offsets, anchors = anchored.split([1, 4, 4], dim=2)
    boxes = _coder().decode_single(offsets.flatten(0, 1), anchors.flatten(0, 1))
    boxes = _within(boxes.view_as(anchors), images)
    first = [sum(counts[:level]) for level in range(len(counts))]
    for picture, (scores, own) in enumerate(zip(logits[..., 0], boxes, strict=True)):
        rows = torch.cat(
            [
                start + scores[start : start + count].topk(min(CANDIDATES, count)).indices
                for start, count in zip(first, counts, strict=True)
            ]
        )
        rows = rows[areas(own[rows]) > 0]
        level = torch.bucketize(rows, torch.tensor(first[1:], device=rows.device), right=True)
        kept = suppressed(own[rows], scores[rows], level, COMMON, PROPOSALS)
        found[picture, : len(kept)] = own[rows[kept]]
    return found


@dataclass(frozen=True)
class FasterRCNN(Detection):
    """Ren et al., "Faster R-CNN" (NeurIPS 2015), on a pyramid, of torchvision's parts.

    Its operators need not be compiled: suppression and pooling are nasrun's. Departures: a picture
    has 512 proposals, of which all are read; boxes that are there are not added to them, because
    networks do not see targets; each picture's losses are divided by its own samples. The loss of
    the anchors has the weight ``recipe.auxiliary``, which is 1 in ``recipe=dense``.
    """

    def make_head(self, pyramid: Pyramid) -> nn.Module:
        """Both stages on the levels of a pyramid.

        Raises:
            ConfigError: another number of layers than the first stage has.
        """
        if self.layers != LAYERS:
            raise ConfigError(
                f"task.layers must be {LAYERS} for task.detector=faster_rcnn, as torchvision's "
                f"region proposals have it, got {self.layers}"
            )
        return FasterRCNNHead(pyramid, self.classes, self.channels)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Of proposals ``(B, P, 5 classes + 9)``, or of anchors ``(B, N, 9)``; pictures' sum.

        Anchors and proposals that lie in a crowd by more than half, and match no box, teach
        nothing.
        """
        self.refuse(smoothing)
        own = self._of_anchors if output.shape[2] == PROPOSED else self._of_proposals
        pairs = zip(output, target, strict=True)
        return torch.stack([own(rows, truth[truth[:, 4] >= 0]) for rows, truth in pairs]).sum()

    def _of_anchors(self, output: Tensor, target: Tensor) -> Tensor:
        logits, offsets, anchors = output.split([1, 4, 4], dim=1)
        owner, boxes = _owners(anchors, target, 0.7, 0.3, low_quality=True)
        taken, positive = _sampled(owner, 256, 0.5)
        truth = (owner[taken] >= 0).to(logits)
        named = F.binary_cross_entropy_with_logits(logits[taken, 0], truth, reduction="sum")
        wanted = _coder().encode_single(boxes[owner[positive], :4], anchors[positive])
        return (named + _distance(offsets[positive], wanted)) / max(len(taken), 1)

    def _of_proposals(self, output: Tensor, target: Tensor) -> Tensor:
        proposals, logits, offsets = self._parts(output)
        owner, boxes = _owners(proposals, target, 0.5, 0.5)
        owner = owner.where(areas(proposals) > 0, IGNORED)
        taken, positive = _sampled(owner, PROPOSALS, 0.25)
        kind = torch.zeros_like(owner)
        kind[positive] = 1 + boxes[owner[positive], 4].long()
        named = F.cross_entropy(logits[taken], kind[taken], reduction="sum")
        wanted = _coder(WEIGHTS).encode_single(boxes[owner[positive], :4], proposals[positive])
        moved = _distance(offsets[positive, kind[positive]], wanted)
        return (named + moved) / max(len(taken), 1)

    def found(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of all classes, and a box for each, of every proposal."""
        proposals, logits, offsets = self._parts(output)
        flat = proposals.flatten(0, 1)
        boxes = _coder(WEIGHTS).decode_single(offsets.flatten(0, 1).flatten(1), flat)
        scores = logits.softmax(dim=2) * (areas(proposals) > 0)[..., None]
        return scores[..., 1:], boxes.view(offsets.shape)[:, :, 1:]

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Proposals, logits, and ``(..., classes + 1, 4)`` offsets."""
        kinds = self.classes + 1
        proposals, logits, offsets = output.split([4, kinds, 4 * kinds], dim=-1)
        return proposals, logits, offsets.unflatten(-1, (kinds, 4))


def _owners(
    boxes: Tensor, target: Tensor, high: float, low: float, low_quality: bool = False
) -> tuple[Tensor, Tensor]:
    """``(n,)`` which of the target's boxes each shows, or none; and those boxes ``(m, 6)``."""
    from torchvision.models.detection._utils import Matcher

    real, crowd = target[target[:, 5] == 0], target[target[:, 5] > 0, :4]
    owner = torch.full((len(boxes),), NOTHING, device=boxes.device)
    if len(real):
        owner = Matcher(high, low, low_quality)(overlaps(real[:, :4], boxes))
    within = (intersections(boxes, crowd) > 0.5 * areas(boxes)[:, None]).any(dim=1)
    return torch.where((owner == NOTHING) & within, IGNORED, owner), real


def _sampled(owner: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Rows that are learnt from, at most ``count``; of these the ones that show a box."""
    from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

    label = torch.where(owner >= 0, 1, torch.where(owner == IGNORED, -1, 0))
    (positive,), (negative,) = BalancedPositiveNegativeSampler(count, share)([label])
    return torch.nonzero(positive | negative)[:, 0], torch.nonzero(positive)[:, 0]


def _distance(offsets: Tensor, wanted: Tensor) -> Tensor:
    return F.smooth_l1_loss(offsets, wanted, beta=BETA, reduction="sum")


def _within(boxes: Tensor, images: Tensor) -> Tensor:
    """The part of each box that lies in its picture."""
    height, width = images.shape[2:]
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def _coder(weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)):  # noqa: ANN202
    """Torchvision's BoxCoder, which is imported late."""
    load_torchvision()
    from torchvision.models.detection._utils import BoxCoder

    return BoxCoder(weights)
