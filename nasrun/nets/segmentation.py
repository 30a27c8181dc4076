"""Training to name the class of every pixel: semantic segmentation, judged by mean IoU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import UnsupportedError
from nasrun.images import IGNORED
from nasrun.nets.segmentation_heads import HEADS, enlarged
from nasrun.spec import Metric, SummedObjective, metric_named

LEAST_HARD = 1 / 16  # of an image's counted pixels, which the loss keeps in any case
# Of Cityscapes' peers at several scales (mmsegmentation's test pipeline), with mirrored images.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@dataclass(frozen=True)
class Segmentation(SummedObjective):
    """Cross-entropy of pixels; judged by the mean over classes of intersection over union, in %.

    An output is ``(B, classes, h, w)`` logits of any size, which are enlarged to that of the
    masks (bilinearly, corners not aligned) before anything is computed. Pixels that the mask
    ignores count nowhere, nor does a class that neither masks nor outputs have.

    Args:
        classes: of pixels.
        kind: ``bisenet`` or ``deeplab``, the head on a backbone that gives the maps of all stages;
            others have a 1x1 convolution on their last map.
        width: channels of that head.
        hard: the loss keeps the pixels whose class has a probability below this, and at least the
            hardest sixteenth of each image (OHEM: Shrivastava et al., CVPR 2016); None: all.
            CATCH's laboratory has 0.7, and takes the least number over a batch, not an image.
        scales: factors of the images' sizes over which a network that is judged takes the mean of
            its probabilities; ``SCALES`` is what Cityscapes' "multi-scale" figures mean here.
        mirrored: whether mirrored images count as much.
    """

    classes: int
    kind: str = "bisenet"
    width: int = 128
    hard: float | None = None
    scales: Sequence[float] = (1.0,)
    mirrored: bool = False

    metric: ClassVar[Metric] = metric_named("miou_pct")

    def head(self, channels: int) -> nn.Module:
        """A 1x1 convolution to logits, for networks with one map."""
        return nn.Conv2d(channels, self.classes, 1)

    def dense_head(self, widths: Sequence[int], strides: Sequence[int]) -> nn.Module:
        """The head of ``kind``; in training it gives further outputs beside.

        Raises:
            UnsupportedError: a backbone of a single stage.
        """
        if len(widths) < 2:
            raise UnsupportedError(
                f"the head task.head={self.kind} reads the maps of two stages or more, but this "
                "network has one: give the space more stages"
            )
        return HEADS[self.kind](widths, strides, self.width, self.classes)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Each image's mean over its pixels that count (0 if none do), summed.

        Args:
            output: ``(B, classes, h, w)`` logits.
            target: ``(B, H, W)`` classes or ``IGNORED``.
            smoothing: of labels.
        """
        pixels = F.cross_entropy(
            enlarged(output, target.shape[1:]),
            target,
            ignore_index=IGNORED,
            reduction="none",
            label_smoothing=smoothing,
        ).flatten(1)
        kept = (target != IGNORED).flatten(1)
        if self.hard is not None:
            kept = kept & (pixels >= self._easiest_kept(pixels.detach(), kept)[:, None])
        return (pixels * kept).sum(dim=1).div(kept.sum(dim=1).clamp(min=1)).sum()

    def _easiest_kept(self, pixels: Tensor, counted: Tensor) -> Tensor:
        """``(B,)`` the loss from which on a pixel is kept."""
        least = (counted.sum(dim=1) * LEAST_HARD).ceil().long().clamp(min=1)
        most = math.ceil(counted.shape[1] * LEAST_HARD)
        hardest = pixels.masked_fill(~counted, -1.0).topk(most, dim=1).values
        of_least = hardest.gather(1, least[:, None] - 1)[:, 0]
        assert self.hard is not None
        return of_least.clamp(max=-math.log(self.hard))

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """``(classes ** 2,)`` pixels of each class (row by row) that are taken for each."""
        found = enlarged(output, target.shape[1:]).argmax(dim=1)
        none = self.classes**2
        pairs = torch.where(target == IGNORED, none, target * self.classes + found)
        return torch.bincount(pairs.flatten(), minlength=none + 1)[:none]

    def ious(self, sums: Tensor) -> Tensor:
        """``(classes,)`` intersections over unions; NaN of a class that is nowhere."""
        confusion = sums.view(self.classes, self.classes).double()
        both = confusion.diagonal()
        return both / (confusion.sum(dim=0) + confusion.sum(dim=1) - both)

    def score(self, sums: Tensor, images: int) -> float:
        """Mean IoU in % of the classes that are somewhere; NaN if no pixel counts."""
        return 100.0 * float(self.ious(sums).nanmean())

    def judged_output(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits, or mean probabilities over ``scales`` and mirrored images ``(B, K, H, W)``."""
        if tuple(self.scales) == (1.0,) and not self.mirrored:
            return network(images)
        size = images.shape[2:]
        found = list[Tensor]()
        for scale in self.scales:
            scaled = enlarged(images, [max(1, round(side * scale)) for side in size])
            found.append(enlarged(network(scaled).float(), size).softmax(dim=1))
            if self.mirrored:
                other = enlarged(network(scaled.flip(3)).float(), size).softmax(dim=1)
                found.append(other.flip(3))
        return torch.stack(found).mean(dim=0)
