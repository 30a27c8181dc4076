"""The pretext of turned pictures."""

from dataclasses import dataclass

import numpy as np

from nasrun.images import Images
from nasrun.tasks.pretext import Pretext

TURNS = 4


@dataclass
class Rotation(Pretext):
    """Every picture four times, turned by quarters; the label is how often.

    Liu et al., "Are Labels Necessary for Neural Architecture Search?" (ECCV 2020), section 3.1,
    after Gidaris et al. (ICLR 2018). Departure: pictures are never mirrored (the authors mirror
    them before they are turned; afterwards a mirrored quarter turn would have the label of three).
    """

    name: str = "rotation"

    @property
    def outputs(self) -> int:
        """Four turns."""
        return TURNS

    @property
    def copies(self) -> int:
        """One of each turn."""
        return TURNS

    def relabelled(self, images: Images, part: str) -> Images:
        """``4 n`` pictures, turned left by 0, 90, 180 and 270 degrees."""
        turned = [np.rot90(images.pixels, turn, axes=(2, 3)) for turn in range(TURNS)]
        labels = np.repeat(np.arange(TURNS), len(images))
        return Images(np.ascontiguousarray(np.concatenate(turned)), labels)
