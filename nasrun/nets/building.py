"""Networks as their tasks need them."""

from dataclasses import replace

from torch import Tensor, nn

from nasrun.errors import ConfigError
from nasrun.nets.classification import objective_of
from nasrun.spec import Archs, Scale, SearchSpace, Task


class OfPieces(nn.Module):
    """A network that sees the pieces of a picture one by one, each standardised by itself.

    Args:
        network: of a piece; its head puts them together.
        pieces: rows, and columns, of pieces in a picture.
    """

    def __init__(self, network: nn.Module, pieces: int) -> None:
        super().__init__()
        self.network, self._pieces = network, pieces

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, C, H, W)``."""
        px = x.shape[2] // self._pieces
        rows = x.unfold(2, px, px).unfold(3, px, px)  # (B, C, pieces, pieces, px, px)
        cut = rows.permute(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1], px, px)
        std, mean = cut.std(dim=(2, 3), keepdim=True), cut.mean(dim=(2, 3), keepdim=True)
        return self.network((cut - mean) / (std + 1e-5))


def built(space: SearchSpace, arch: Archs, task: Task, scale: Scale) -> nn.Module:
    """The network of ``arch (L,)`` that is trained on a task's images ``(B, C, H, W)``.

    Raises:
        ConfigError: one class alone, which every network names right.
    """
    if task.objective is None and task.classes < 2:
        raise ConfigError(
            f"task={task.name} has one class of pictures, which every network names right: it "
            "takes two at least"
        )
    pieces = objective_of(task).pieces
    if pieces == 1:
        return space.build(arch, task, scale)
    piece = replace(task.described, image_px=task.image_px // pieces)
    return OfPieces(space.build(arch, piece, scale), pieces)
