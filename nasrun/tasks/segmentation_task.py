"""What tasks of semantic segmentation share: masks, heads, and how networks are judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from nasrun.errors import ConfigError
from nasrun.images import Pixels
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.tasks.base import ImageTask
from nasrun.tasks.masked_pictures import MaskedPictures, MaskIds, Pair
from nasrun.tasks.parts import Part
from nasrun.tasks.picture_files import Fit

if TYPE_CHECKING:
    from nasrun.spec import Objective


class Head(Enum):
    """What reads the maps of a backbone with several stages."""

    bisenet = "bisenet"  # Yu et al., ECCV 2018
    deeplab = "deeplab"  # Chen et al., ECCV 2018: DeepLabv3+


@dataclass
class SegmentationTask(ImageTask):
    """Pictures of which every pixel has a class; judged by mean IoU.

    Pictures and masks are brought to ``size`` when they are decoded, and trained on in crops of
    ``image_px`` pixels a side where that is smaller. A class of which no pixel is found counts for
    nothing.

    Raises:
        ConfigError: see ImageTask; a size that is not two numbers of at least ``image_px``, scales
            that are none, or a share outside (0, 1).
    """

    size: list[int] = field(default_factory=list[int])  # height and width; empty: image_px squares
    fit: Fit = Fit.crop
    head: Head = Head.bisenet
    head_width: int = 128
    hard: float | None = None  # see nets/segmentation.py
    scales: list[float] = field(default_factory=lambda: [1.0])
    mirrored: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 4, "head_width")
        require_at_least(self, "task", self.image_px, "size")
        require_positive(self, "task", "scales")
        require_within(self, "task", "(0, 1)", "hard")
        if len(self.size) not in (0, 2) or not self.scales:
            raise ConfigError(
                "task.size must hold height and width, or nothing, and task.scales at least one "
                f"factor, got {self.size} and {self.scales}"
            )

    @property
    def objective(self) -> "Objective":
        """Pixel cross-entropy and mean IoU."""
        from nasrun.nets.segmentation import Segmentation

        scales = tuple(self.scales)
        return Segmentation(
            self.classes, self.head.value, self.head_width, self.hard, scales, self.mirrored
        )

    def _sized(self, pixels: Pixels) -> Pixels:
        """They were brought to their size with their masks."""
        return pixels

    def _part(self, pairs: Sequence[Pair], ids: MaskIds) -> Part:
        """Pictures with masks, which are read now."""
        height, width = self.size or (self.image_px, self.image_px)
        cache = self.places.cache / "images"
        return MaskedPictures((height, width), self.fit, ids, cache).part(pairs)
