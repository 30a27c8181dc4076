"""A backbone that gives maps at several strides, under the head of an objective."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from nasrun.spec import Objective


class Backbone(Protocol):
    """A module whose stages each give maps: ``widths`` channels, ``strides`` times smaller."""

    widths: Sequence[int]
    strides: Sequence[int]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Maps ``(B, widths[i], h_i, w_i)`` of images ``x (B, 3, H, W)``, the finest first."""
        ...


def head_on(objective: Objective, widths: Sequence[int], strides: Sequence[int]) -> nn.Module:
    """What makes an output of the list of a backbone's maps and of the images."""
    head = objective.dense_head(widths, strides)
    return LastMap(objective.head(widths[-1])) if head is None else head


class HeadedNetwork(nn.Module):
    """A backbone and a head, which reads all maps if the objective has such a one.

    Args:
        backbone: a module that is a ``Backbone``.
        objective: what the network is trained for.
    """

    def __init__(self, backbone: Backbone, objective: Objective) -> None:
        super().__init__()
        assert isinstance(backbone, nn.Module)
        self.backbone = backbone
        self.head = head_on(objective, backbone.widths, backbone.strides)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``; in training perhaps others beside it."""
        return self.head(self.backbone.maps(x), x)

    def features(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` the coarsest maps."""
        return self.backbone.maps(x)[-1]


class LastMap(nn.Module):
    """A head of one map as a head of several: it reads the last."""

    per_channel = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """The head's output."""
        return self.head(maps[-1])
