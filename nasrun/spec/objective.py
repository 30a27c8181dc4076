"""What training a network for a task needs: an output layer, a loss, and sums for the metric."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nasrun.spec.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor, nn


class Objective(ABC):
    """What a network is trained for. ``output`` is what its head returns, ``target`` a batch's."""

    metric: Metric

    @abstractmethod
    def head(self, channels: int) -> "nn.Module":
        """The layer that turns feature maps ``(B, channels, h, w)`` into an output."""

    @abstractmethod
    def loss(self, output: "Tensor", target: "Tensor", smoothing: float = 0.0) -> "Tensor":
        """``()`` the loss summed over the batch; ``smoothing`` of labels, where there are any."""

    @abstractmethod
    def sums(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """``(k,)`` what a batch adds to the sums that the metric is made of."""

    @abstractmethod
    def score(self, sums: "Tensor") -> float:
        """The metric, of sums over all batches; NaN without images."""
