"""Training to name the class of an image: what every task is trained for that says nothing else."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.spec import ACCURACY, Metric, Objective, SummedObjective, Task


class PooledLinear(nn.Linear):
    """A linear classifier of feature maps, averaged over their pixels."""

    def forward(self, input: Tensor) -> Tensor:
        """``(B, classes)`` logits of ``input (B, C, h, w)``."""
        return super().forward(input.mean(dim=(2, 3)))


class AuxiliaryHead(nn.Module):
    """The second classifier of DARTS's networks, after two thirds of the cells."""

    per_channel = True

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, classes)`` logits."""
        x = F.relu(x)
        if min(x.shape[2:]) >= 5:
            x = F.avg_pool2d(x, 5, stride=3, count_include_pad=False)
        x = _halves(x)  # nothing happens to an image of 32 pixels, which is 2 here
        return self.classifier(self.features(x).flatten(1))


def _halves(x: Tensor) -> Tensor:
    """``(B, C, 2, 2)`` means over the quarters of ``x (B, C, H, W)``.

    Where they do not overlap by a pooling whose gradient repeats bit by bit on a GPU, too.
    """
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        return F.adaptive_avg_pool2d(x, 2)
    return F.avg_pool2d(x, (height // 2, width // 2))


@dataclass(frozen=True)
class Classification(SummedObjective):
    """Cross-entropy, judged by the percentage of images whose class has the highest logit."""

    classes: int

    metric: ClassVar[Metric] = ACCURACY

    def head(self, channels: int) -> nn.Module:
        """Global average pooling and a linear layer."""
        return PooledLinear(channels, self.classes)

    def auxiliary_head(self, channels: int) -> nn.Module:
        """That of Liu et al., "DARTS" (ICLR 2019), ``model.py``."""
        return AuxiliaryHead(channels, self.classes)

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of ``output (B, classes)`` and ``target (B,)``, summed."""
        return F.cross_entropy(output, target, reduction="sum", label_smoothing=smoothing)

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """``(1,)`` number of images that are right."""
        return (output.argmax(dim=1) == target).sum()[None]

    def score(self, sums: Tensor, images: int) -> float:
        """Accuracy in %; NaN without images."""
        return 100.0 * float(sums[0]) / images if images else float("nan")


def objective_of(task: Task) -> Objective:
    """What networks are trained for on a task."""
    return task.objective or Classification(task.classes)
