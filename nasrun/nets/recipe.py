"""How a network is trained, as a config says it. Imports no torch, so that configs stay light."""

import math
from dataclasses import dataclass
from enum import Enum

from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within


class Precision(Enum):
    """Number format of the activations; weights are float32 always."""

    auto = (
        "auto"  # bfloat16 where the processor computes with it, else float16 on a GPU, else float32
    )
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"  # with scaled losses


@dataclass
class Recipe:
    """Stochastic gradient descent with a cosine from ``learning_rate`` to ``final_rate``.

    The defaults are NAS-Bench-201's (Dong and Yang, ICLR 2020, Table 1): the rate is set once an
    epoch, and the cosine spans all epochs of the training, however many these are.

    Raises:
        ConfigError: a value that means nothing.
    """

    learning_rate: float = 0.1
    final_rate: float = 0.0
    warmup_epochs: int = 0  # with a linearly rising rate, before the cosine
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    batch: int = 256
    max_gradient: float | None = None  # norm to which gradients are clipped
    label_smoothing: float = 0.0
    augment: bool = True  # crop with padding, and flip where the task allows it
    cutout_px: int = 0  # width of a square that is blanked; 0: none
    auxiliary: float = 0.4  # weight of a second head's loss, in networks that have one
    drop_path: float = 0.0  # probability at the last epoch, in networks that drop paths

    def __post_init__(self) -> None:
        weights = ("weight_decay", "auxiliary")
        require_at_least(self, "recipe", 1, "batch")
        require_positive(self, "recipe", "learning_rate", "max_gradient")
        require_not_negative(self, "recipe", "final_rate", "warmup_epochs", "cutout_px", *weights)
        require_within(self, "recipe", "[0, 1)", "momentum", "label_smoothing", "drop_path")
        if self.nesterov and not self.momentum:
            raise ConfigError("recipe.nesterov=true needs a positive recipe.momentum, got 0")

    def rate(self, epoch: int, epochs: int) -> float:
        """Learning rate of ``epoch``, counted from 0, in a training of ``epochs``."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(epochs - self.warmup_epochs, 1)
        half = (self.learning_rate - self.final_rate) / 2
        return self.final_rate + half * (1 + math.cos(math.pi * done))
