"""Training to find things: what all detectors share, and average precision."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.average_precision import AveragePrecision, NotMeasured, require_pycocotools
from nasrun.nets.boxes import suppressed
from nasrun.nets.pyramid import Pyramid
from nasrun.spec import Metric, Objective, Tally, metric_named

LEAST_SCORE = 0.05  # of what counts as found; RetinaNet's and FCOS's
CANDIDATES = 1000  # that suppression chooses from, in a picture
MOST_COMMON = 0.5  # overlap of two boxes of a class that may both stay
MOST_FOUND = 100  # in a picture; COCO counts no more
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss; Lin et al., ICCV 2017
METRICS = {"map": metric_named("map_pct"), "ap50": metric_named("ap50_pct")}


@dataclass(frozen=True)
class Detection(Objective):
    """Boxes with classes, judged by average precision as COCO computes it.

    ``channels``, ``layers``, ``finest``, ``extra_levels`` and ``reach`` are the
    task's: see DetectionTask.
    """

    classes: int
    channels: int
    layers: int
    finest: int
    extra_levels: int
    judged_by: str
    reach: float = 8.0

    @property
    def metric(self) -> Metric:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mean over overlaps, or that of .50."""
        return METRICS[self.judged_by]

    def head(self, channels: int) -> nn.Module:
        """Refused: boxes of all sizes need maps of several."""
        raise UnsupportedError(
            "detection needs a network with maps at several strides, and this space's networks "
            "give one: use space=residual"
        )

    def dense_head(self, widths: Sequence[int], strides: Sequence[int]) -> nn.Module:
        """The detector on a pyramid of a backbone's maps.

        Raises:
            ConfigError: pycocotools is missing, or no map is as coarse as ``finest``.
        """
        require_pycocotools()
        return self.make_head(
            Pyramid(widths, strides, self.finest, self.channels, self.extra_levels)
        )

    @abstractmethod
    def make_head(self, pyramid: Pyramid) -> nn.Module:
        """What reads a pyramid."""

    @abstractmethod
    def found(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, N, classes)`` scores, and ``(B, N, classes or 1, 4)`` boxes in pixels."""

    def tally(self, training: bool = False) -> Tally:
        """Average precision; not of training batches, which would take longer than the training."""
        return NotMeasured() if training else AveragePrecision(self)

    def detections(self, output: Tensor) -> list[Tensor]:
        """For each picture ``(k, 6)`` corners, score and class, the best ``MOST_FOUND``."""
        scores, boxes = (own.cpu() for own in self.found(output))
        return [_chosen(*own) for own in zip(scores, boxes, strict=True)]

    def refuse(self, smoothing: float) -> None:
        """Refuse smoothed labels, of which the focal loss knows nothing.

        Raises:
            ConfigError: there is some smoothing.
        """
        if smoothing:
            raise ConfigError(
                "recipe.label_smoothing must be 0 for detection, whose focal loss takes whole "
                f"labels, got {smoothing}"
            )


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Lin et al., "Focal loss for dense object detection" (ICCV 2017), entry by entry."""
    plain = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = torch.where(truth > 0.5, logits, -logits).sigmoid()  # probability of what is true
    weight = torch.where(truth > 0.5, ALPHA, 1 - ALPHA)
    return weight * (1 - right) ** GAMMA * plain


def _chosen(scores: Tensor, boxes: Tensor) -> Tensor:
    """``(k, 6)`` what one picture shows, of ``scores (N, K)`` and ``boxes (N, K or 1, 4)``."""
    values, order = scores.flatten().topk(min(CANDIDATES, scores.numel()))
    order, values = order[values > LEAST_SCORE], values[values > LEAST_SCORE]
    row, kind = order // scores.shape[1], order % scores.shape[1]
    own = boxes[row, kind if boxes.shape[1] > 1 else 0]
    kept = suppressed(own, values, kind, MOST_COMMON, MOST_FOUND)
    return torch.cat([own[kept], values[kept, None], kind[kept, None].to(own.dtype)], dim=1)
