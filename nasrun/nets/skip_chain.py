"""Networks of convolutions that read any layers before them, as NAS-RL's controller writes them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.chain import SkipLayer, unread
from nasrun.spec import Objective


class SkipChainNetwork(nn.Module):
    """Convolution, batch normalisation and ReLU a layer, each on what its skips bring.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017), section 3.3:
    a layer without inputs reads the picture, several inputs are concatenated, smaller ones padded
    with zeros; the classifier reads all outputs that no layer has read.

    Args:
        layers: in their order.
        objective: what the network is trained for.
    """

    def __init__(self, layers: Sequence[SkipLayer], objective: Objective) -> None:
        super().__init__()
        self._inputs = [layer.inputs for layer in layers]
        self._unread = unread(layers)
        widths = [3, *(layer.filters for layer in layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    sum(widths[source] for source in layer.inputs or (0,)),
                    layer.filters,
                    layer.kernel,
                    layer.stride,
                    (layer.kernel[0] // 2, layer.kernel[1] // 2),
                    bias=False,
                ),
                nn.BatchNorm2d(layer.filters),
                nn.ReLU(),
            )
            for layer in layers
        )
        self.classifier = objective.head(sum(widths[source] for source in self._unread))

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        outputs = [x]
        for layer, sources in zip(self.layers, self._inputs, strict=True):
            outputs.append(layer(_joined([outputs[source] for source in sources or (0,)])))
        return self.classifier(_joined([outputs[source] for source in self._unread]))


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """``(B, C, H, W)`` channels of all, smaller ones with zeros below and to the right."""
    height, width = (max(own.shape[side] for own in maps) for side in (2, 3))
    return torch.cat(
        [F.pad(own, (0, width - own.shape[3], 0, height - own.shape[2])) for own in maps], dim=1
    )
