"""A supernet of ProxylessNAS's space: a block of its own for every option of every layer."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nasrun.nets.inverted_residual import InvertedResidual, Network
from nasrun.nets.mobile_blocks import Block, Ends, Place
from nasrun.nets.supernet import Knobs, Row, SharedNet, mixed
from nasrun.spec import Objective


class MixedLayer(nn.Module):
    """All options of a layer; what is zero in its own path passes the input on.

    Each block adds its input where shapes allow, so that a mixture whose weights sum to 1 is the
    paper's, in which the input is added once.
    """

    def __init__(self, options: Sequence[Block | Place], knobs: Knobs) -> None:
        super().__init__()
        self._knobs = knobs
        self._skips = {at for at, each in enumerate(options) if not isinstance(each, Block)}
        self.options = nn.ModuleList(
            InvertedResidual(each) if isinstance(each, Block) else nn.Identity() for each in options
        )

    def forward(self, x: Tensor, row: Row) -> Tensor:
        """``(B, c_out, H', W')`` the mixture of what is alive, of ``x (B, c_in, H, W)``."""
        options = {at: partial(self._passed, at, each) for at, each in enumerate(self.options)}
        total = mixed(x, row, options)
        assert total is not None
        return total

    def _passed(self, option: int, module: nn.Module, x: Tensor) -> Tensor:
        return self._knobs.skipped(x) if option in self._skips else self._knobs.dropped(module(x))

    def sizes(self) -> Tensor:
        """``(options,)`` weights of each option."""
        return torch.tensor(
            [float(sum(weight.numel() for weight in each.parameters())) for each in self.options]
        )


class ProxylessSupernet(SharedNet):
    """Layers of mixed options between a fixed beginning and end; a row of weights per layer.

    Args:
        rows: names of the options of each layer.
        layers: what they are.
        first: the blocks before them.
        ends: the layers around.
        objective: what the network is trained for.
        track: whether normalisation keeps running statistics.
    """

    def __init__(
        self,
        rows: tuple[tuple[str, ...], ...],
        layers: Sequence[Sequence[Block | Place]],
        first: Sequence[Block],
        ends: Ends,
        objective: Objective,
        track: bool,
    ) -> None:
        super().__init__()
        self.rows = rows
        knobs = Knobs(self)
        self.body = Network(first, ends, objective)
        self.layers = nn.ModuleList(MixedLayer(options, knobs) for options in layers)
        if not track:
            untracked(self)

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``."""
        x = self.body.opened(x)
        for layer, row in zip(self.layers, rows, strict=True):
            x = layer(x, row)
        return self.body.judged(x)

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, by layer."""
        return [layer.sizes() for layer in self.layers if isinstance(layer, MixedLayer)]


def untracked(network: nn.Module) -> None:
    """Take the running statistics from all normalisations, which judge by the batch then."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
