"""What networks learn from pictures without labels: puzzles and colours."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.images import IGNORED
from nasrun.nets.classification import Classification
from nasrun.spec import Metric, SummedObjective, metric_named


class PuzzleHead(nn.Module):
    """Pooled features of all pieces of a picture side by side, and a linear classifier."""

    def __init__(self, channels: int, pieces: int, classes: int) -> None:
        super().__init__()
        self._pieces = pieces**2
        self.classifier = nn.Linear(channels * self._pieces, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, classes)`` logits of ``x (B pieces^2, channels, h, w)``."""
        return self.classifier(x.mean(dim=(2, 3)).reshape(len(x) // self._pieces, -1))


@dataclass(frozen=True)
class Puzzle(Classification):
    """To say which order the pieces of a picture are in."""

    side: int

    @property
    def pieces(self) -> int:
        """Rows, and columns, of pieces."""
        return self.side

    def head(self, channels: int) -> nn.Module:
        """One linear layer on the features of all pieces."""
        return PuzzleHead(channels, self.side, self.classes)

    def auxiliary_head(self, channels: int) -> nn.Module:
        """The same."""
        return self.head(channels)


class PixelHead(nn.Module):
    """A 1x1 convolution, and its output at the size of the picture, bilinear."""

    def __init__(self, channels: int, classes: int, px: int) -> None:
        super().__init__()
        self._px = px
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, classes, px, px)`` logits of ``x (B, channels, h, w)``."""
        size = (self._px, self._px)
        return F.interpolate(self.classifier(x), size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Colours(SummedObjective):
    """To say the class of each pixel's colour, judged by the percentage of pixels that are right.

    Args:
        classes: of colours.
        px: width and height of the pictures.
    """

    classes: int
    px: int

    metric: ClassVar[Metric] = metric_named("pixel_accuracy_pct")

    def head(self, channels: int) -> nn.Module:
        """As UnNAS has it."""
        return PixelHead(channels, self.classes, self.px)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of ``output (B, classes, H, W)``: pixels' means, summed over pictures."""
        by_pixel = F.cross_entropy(
            output, target.long(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        )
        counted = (target != IGNORED).sum(dim=(1, 2)).clamp(min=1)
        return (by_pixel.sum(dim=(1, 2)) / counted).sum()

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """``(2,)`` pixels that are right, and pixels that count."""
        counts = target != IGNORED
        right = (output.argmax(dim=1) == target) & counts
        return torch.stack([right.sum(), counts.sum()])

    def score(self, sums: Tensor, images: int) -> float:
        """Pixel accuracy in %; NaN without pixels."""
        return 100.0 * float(sums[0]) / float(sums[1]) if float(sums[1]) else float("nan")
