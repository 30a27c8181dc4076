"""How a network is trained, as a config says it. Imports no torch, so that configs stay light."""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from enum import Enum
from itertools import pairwise

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


class Optimizer(Enum):
    """What updates the weights."""

    sgd = "sgd"
    adam = "adam"  # Kingma and Ba, ICLR 2015; weight decay is added to the gradient
    adamw = "adamw"  # Loshchilov and Hutter, ICLR 2019; weight decay apart from the gradient
    rmsprop = "rmsprop"


class Schedule(Enum):
    """How the learning rate changes, once an epoch, after the warm-up."""

    cosine = "cosine"  # from learning_rate to final_rate over the whole training
    steps = "steps"  # times gamma at each of the milestones
    warm_restarts = "warm_restarts"  # cosines of growing periods (Loshchilov and Hutter, ICLR 2017)
    constant = "constant"


@dataclass
class Recipe:
    """An optimiser, and how its learning rate changes from epoch to epoch.

    The defaults are NAS-Bench-201's (Dong and Yang, ICLR 2020, Table 1): the rate is set once an
    epoch, and the cosine spans all epochs of the training, however many these are.

    Raises:
        ConfigError: a value out of its range, or one that goes without what it needs.
    """

    learning_rate: float = 0.1
    final_rate: float = 0.0
    warmup_epochs: int = 0  # with a linearly rising rate, before the schedule
    momentum: float = 0.9  # of sgd and rmsprop; adam's first beta
    nesterov: bool = True  # of sgd
    weight_decay: float = 5e-4
    batch: int = 256
    max_gradient: float | None = None  # norm to which gradients are clipped
    label_smoothing: float = 0.0
    augment: bool = True  # crop with padding, and flip where the task allows it
    cutout_px: int = 0  # width of a square that is blanked; 0: none
    auxiliary: float = 0.4  # weight of a second head's loss, in networks that have one
    drop_path: float = 0.0  # probability at the last epoch, in networks that drop paths
    optimizer: Optimizer = Optimizer.sgd
    squares_decay: float = 0.999  # of the mean of squared gradients: adam's second beta
    epsilon: float = 1e-8  # added to the root of that mean
    schedule: Schedule = Schedule.cosine
    milestones: list[int] = field(default_factory=list[int])  # epochs that begin with a lower rate
    gamma: float = 0.1  # factor of the rate at each milestone
    first_period: int = 10  # epochs of the first cosine of warm restarts
    period_factor: int = 2  # of each cosine after it, in lengths of the one before
    scale: list[float] = field(default_factory=lambda: [1.0, 1.0])  # of pictures with masks, boxes
    jitter: list[float] = field(default_factory=lambda: [0.4, 0.4, 0.4, 0.2])  # of colours

    def __post_init__(self) -> None:
        weights = ("weight_decay", "auxiliary")
        require_at_least(self, "recipe", 1, "batch", "milestones", "first_period", "period_factor")
        require_positive(self, "recipe", "learning_rate", "max_gradient", "epsilon", "gamma")
        require_not_negative(self, "recipe", "final_rate", "warmup_epochs", "cutout_px", *weights)
        require_positive(self, "recipe", "scale")
        require_not_negative(self, "recipe", "jitter")
        if len(self.scale) != 2 or self.scale[0] > self.scale[1] or len(self.jitter) != 4:
            raise ConfigError(
                "recipe.scale must hold the smallest and the largest factor, and recipe.jitter "
                "those of brightness, contrast, saturation and hue, got "
                f"{self.scale} and {self.jitter}"
            )
        shares = ("momentum", "label_smoothing", "drop_path", "squares_decay")
        require_within(self, "recipe", "[0, 1)", *shares)
        if self.optimizer is Optimizer.sgd and self.nesterov and not self.momentum:
            raise ConfigError("recipe.nesterov=true needs a positive recipe.momentum, got 0")
        rising = all(one < next_one for one, next_one in pairwise(self.milestones))
        if not rising or (self.schedule is Schedule.steps and not self.milestones):
            raise ConfigError(
                "recipe.milestones must hold epochs in rising order, at least one for "
                f"recipe.schedule=steps, got {self.milestones}"
            )

    def rate(self, epoch: int, epochs: int) -> float:
        """Learning rate of ``epoch``, counted from 0, in a training of ``epochs``.

        Milestones are counted from the beginning of the training, cosines from the end of the
        warm-up.
        """
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / self.warmup_epochs
        if self.schedule is Schedule.constant:
            return self.learning_rate
        if self.schedule is Schedule.steps:
            passed = sum(milestone <= epoch for milestone in self.milestones)
            return self.learning_rate * self.gamma**passed
        place, length = epoch - self.warmup_epochs, max(epochs - self.warmup_epochs, 1)
        if self.schedule is Schedule.warm_restarts:
            length = self.first_period
            while place >= length:
                place, length = place - length, length * self.period_factor
        half = (self.learning_rate - self.final_rate) / 2
        return self.final_rate + half * (1 + math.cos(math.pi * (place / length)))


# What a recipe said when the first trainings went on record, under ids that must stay.
FIRST_FIELDS = frozenset(
    {
        "learning_rate", "final_rate", "warmup_epochs", "momentum", "nesterov", "weight_decay",
        "batch", "max_gradient", "label_smoothing", "augment", "cutout_px", "auxiliary",
        "drop_path",
    }
)  # fmt: skip


def recipe_id(recipe: Recipe) -> str:
    """Eight hex digits of all that a recipe says; a later field counts once it is set."""
    default = Recipe()
    said = {
        name: getattr(recipe, name)
        for name in (each.name for each in fields(recipe))
        if name in FIRST_FIELDS or getattr(recipe, name) != getattr(default, name)
    }
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
