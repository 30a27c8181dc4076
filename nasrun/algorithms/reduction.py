"""Settings of one-shot methods that are records of their own."""

from dataclasses import dataclass
from enum import Enum

from nasrun.ranges import require_at_least
from nasrun.spec import Scale


class Optimizer(Enum):
    """What trains the shared weights."""

    sgd = "sgd"
    adam = "adam"


@dataclass
class Reduction(Scale):
    """What is smaller than in the paper; None: the paper's own. It stands in every row.

    Raises:
        ConfigError: a count below 1.
    """

    image_px: int | None = None
    train_images: int | None = None
    valid_images: int | None = None
    epochs: int | None = None
    candidates: int | None = None  # architectures that compete in the end, where a method has such

    def __post_init__(self) -> None:
        require_at_least(self, "scale", 1, *vars(self))

    @property
    def label(self) -> str:
        """Such as ``channels 4, epochs 10``; empty at full scale."""
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in vars(self).items() if v)
