"""MetaQNN's networks: chains of convolutions, poolings and fully connected layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrun.nets.chain import Layer, dropouts, pooled_side
from nasrun.spec import Objective


class ChainNetwork(nn.Module):
    """Layers one after another, dropout between them, the objective's head.

    Baker et al., "Designing Neural Network Architectures using Reinforcement Learning" (ICLR 2017),
    section 5: no batch normalisation, weights by Glorot and Bengio, dropout after every second
    layer with a rising rate. ReLU follows convolutions and fully connected layers. The head reads
    all pixels as channels, or after ``GAP`` the feature maps.

    Args:
        layers: without the classifier, unless it is ``GAP``.
        image_px: width and height of the images.
        objective: what the network is trained for.
    """

    def __init__(self, layers: Sequence[Layer], image_px: int, objective: Objective) -> None:
        super().__init__()
        self._flat = not layers or layers[-1].kind != "GAP"
        rates = {each.after: each.rate for each in dropouts(layers)}
        width, side, is_flat = 3, image_px, False
        parts: list[nn.Module] = []
        for at, layer in enumerate(layers, 1):
            if layer.kind == "C":
                conv = nn.Conv2d(width, layer.units, layer.size, padding=layer.size // 2)
                parts += [conv, nn.ReLU()]
                width = layer.units
            elif layer.kind == "P":
                parts.append(nn.MaxPool2d(layer.size, layer.stride))
                side = pooled_side(side, layer.size, layer.stride)
            elif layer.kind == "FC":
                if not is_flat:
                    parts.append(nn.Flatten())
                    width, side, is_flat = width * side**2, 1, True
                parts += [nn.Linear(width, layer.units), nn.ReLU()]
                width = layer.units
            if at in rates:
                parts.append(nn.Dropout(rates[at]))
        self.layers = nn.Sequential(*parts)
        self.classifier = objective.head(width * side**2 if self._flat else width)
        start_by_glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        x = self.layers(x)
        return self.classifier(torch.flatten(x, 1)[:, :, None, None] if self._flat else x)


def start_by_glorot(network: nn.Module) -> None:
    """Draw weights after Glorot and Bengio, and set biases to zero."""
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
