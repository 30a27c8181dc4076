"""Tasks of finding things in pictures: boxes and classes, as COCO has them."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.tasks.base import ImageTask
from nasrun.tasks.picture_files import Fit, PictureFiles

if TYPE_CHECKING:
    from nasrun.spec import Objective


class Detector(Enum):
    """What reads a backbone's maps."""

    fcos = "fcos"  # anchor-free, in plain torch
    retinanet = "retinanet"  # torchvision's, of anchors
    faster_rcnn = "faster_rcnn"  # torchvision's, of proposals that are read again


class JudgedBy(Enum):
    """Average precision: over the overlaps .50 to .95, by which COCO ranks, or at .50."""

    map = "map"
    ap50 = "ap50"


@dataclass
class DetectionTask(ImageTask):
    """Pictures with boxes, squeezed to squares, which changes the overlap of no two boxes.

    ``channels`` are those of the feature pyramid and of the detector's branches, which have
    ``layers`` convolutions each. The pyramid stands on the backbone's maps that are at least
    ``finest`` times smaller than the picture, with ``extra_levels`` coarser ones above them.
    A level of ``fcos`` is for boxes whose farthest edge is up to ``reach`` of its strides away.

    Raises:
        ConfigError: a count below 1, or see ImageTask.
    """

    detector: Detector = Detector.fcos
    judged_by: JudgedBy = JudgedBy.map
    channels: int = 256
    layers: int = 4
    finest: int = 8
    extra_levels: int = 2
    reach: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 1, "channels", "layers", "finest")
        require_not_negative(self, "task", "extra_levels")
        require_positive(self, "task", "reach")

    @property
    def objective(self) -> "Objective":
        """The detector's losses, and average precision."""
        from nasrun.nets.detectors import DETECTORS

        return DETECTORS[self.detector.value](
            self.classes,
            self.channels,
            self.layers,
            self.finest,
            self.extra_levels,
            self.judged_by.value,
            self.reach,
        )

    @property
    def decoder(self) -> PictureFiles:
        """What reads the pictures."""
        return PictureFiles(self.image_px, Fit.squash, self.places.cache / "images")
