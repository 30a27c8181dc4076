"""ENAS's macro networks: layers in a row, each of which may read any earlier one by a skip."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrun.nets.darts_operations import depthwise
from nasrun.nets.macro_plan import MacroLayer, halvings, read_later
from nasrun.nets.operations import HalvedSkip, ReLUConvNorm
from nasrun.nets.pooling import average_pool
from nasrun.spec import Objective


def macro_operation(name: str, channels: int, affine: bool, track: bool) -> nn.Module:
    """ReLU, a 1x1 convolution and normalisation, then the operation.

    Args:
        name: ``conv_KxK``, ``sep_conv_KxK``, ``avg_pool_3x3`` or ``max_pool_3x3``.
        channels: of input and output.
        affine: whether normalisation has weights.
        track: whether it keeps running statistics.

    Raises:
        KeyError: another name.
    """
    before = ReLUConvNorm(1, channels, channels, 1, affine, track)
    if name == "avg_pool_3x3":
        return nn.Sequential(before, average_pool(1))
    if name == "max_pool_3x3":
        return nn.Sequential(before, nn.MaxPool2d(3, 1, padding=1))
    kind, _, size = name.rpartition("conv_")
    kernel = int(size.partition("x")[0])
    if {"": False, "sep_": True}[kind]:
        parts = depthwise(channels, channels, kernel, 1, 1, affine, track)
        return nn.Sequential(before, *parts)
    return nn.Sequential(before, ReLUConvNorm(kernel, channels, channels, 1, affine, track))


def stem(channels: int) -> nn.Module:
    """A 3x3 convolution and normalisation."""
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


class MacroNetwork(nn.Module):
    """The network of an architecture: skips are concatenated, channels double at each halving.

    [EN] ``general_child.py``, ``_fixed_layer``: behind the first layer, what is skipped and the
    operation's result go through ReLU, a 1x1 convolution and normalisation. States that no later
    layer reads are not halved.

    Args:
        layers: in their order.
        channels: of the first third.
        objective: what the network is trained for.
    """

    def __init__(self, layers: Sequence[MacroLayer], channels: int, objective: Objective) -> None:
        super().__init__()
        self._plan, self._halvings = list(layers), halvings(len(layers))
        self.stem = stem(channels)
        self.operations, self.joins = nn.ModuleList(), nn.ModuleList()
        self.halved = nn.ModuleDict()
        for at, layer in enumerate(layers):
            self.operations.append(macro_operation(layer.operation, channels, True, True))
            width = (1 + len(layer.skips)) * channels
            join = ReLUConvNorm(1, width, channels, 1, True, True) if at else nn.Identity()
            self.joins.append(join)
            if (after := at + 1) in self._halvings:
                for source in read_later(layers, after):
                    halved = HalvedSkip(channels, 2 * channels, True, True)
                    self.halved[f"{source}_{after}"] = halved
                channels *= 2
        self.classifier = objective.head(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        states = {0: self.stem(x)}
        parts = zip(self._plan, self.operations, self.joins, strict=True)
        for at, (layer, operation, join) in enumerate(parts):
            result = operation(states[at])
            skipped = [states[source] for source in layer.skips]
            after = at + 1
            states[after] = join(torch.cat([*skipped, result], dim=1))
            if after in self._halvings:
                read = read_later(self._plan, after)
                states = {s: self.halved[f"{s}_{after}"](states[s]) for s in read}
        return self.classifier(states[len(self._plan)])
