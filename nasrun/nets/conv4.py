"""MAML's networks: four modules of convolution, normalisation, ReLU and pooling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrun.nets.chain_network import start_by_glorot
from nasrun.spec import Objective


class Conv4Network(nn.Module):
    """Modules one after another, and the objective's head on all pixels of the last maps.

    Finn et al., "Model-Agnostic Meta-Learning" (ICML 2017), section 5.2: 3x3 convolution with a
    bias, batch normalisation, ReLU, 2x2 max-pooling. Weights by Glorot and Bengio, biases of zero.

    Args:
        filters: of each module.
        image_px: width and height of the images.
        objective: what the network is trained for.
    """

    def __init__(self, filters: Sequence[int], image_px: int, objective: Objective) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        width, side = 3, image_px
        for count in filters:
            conv = nn.Conv2d(width, count, 3, padding=1)
            parts += [conv, nn.BatchNorm2d(count), nn.ReLU(), nn.MaxPool2d(2)]
            width, side = count, side // 2
        self.layers = nn.Sequential(*parts)
        self.classifier = objective.head(width * side**2)
        start_by_glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.classifier(torch.flatten(self.layers(x), 1)[:, :, None, None])
