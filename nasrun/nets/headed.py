"""Heads of objectives on the maps that a backbone gives at several strides."""

from collections.abc import Sequence

from torch import Tensor, nn

from nasrun.spec import Objective


def head_on(objective: Objective, widths: Sequence[int], strides: Sequence[int]) -> nn.Module:
    """The objective's head on maps of ``widths`` channels, ``strides`` times smaller than images.

    Its ``forward`` takes the maps ``(B, widths[i], h_i, w_i)``, the finest first, and the images
    ``(B, 3, H, W)``. An objective without a ``dense_head`` has its ``head`` on the last maps.
    """
    head = objective.dense_head(widths, strides)
    return LastMap(objective.head(widths[-1])) if head is None else head


class LastMap(nn.Module):
    """A head of one map as a head of several: it reads the last."""

    per_channel = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """The head's output."""
        return self.head(maps[-1])
