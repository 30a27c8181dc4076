"""Residual networks for small images, the baseline that cells are compared with."""

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.operations import pointwise


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Nothing, or a 1x1 convolution and normalisation if shapes change."""
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return nn.Sequential(pointwise(c_in, c_out, stride), nn.BatchNorm2d(c_out))


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the shortcut is a 1x1 convolution if shapes change.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        stride: 2 halves the image.
    """

    per_channel = True

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(c_out)
        self.second = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(c_out)
        self.shortcut = shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H', W')`` of ``x (B, c_in, H, W)``."""
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), Section 4.2.

    Three stages of ``blocks`` basic blocks, so ``6 * blocks + 2`` layers; 9 gives ResNet-56. The
    shortcuts between stages are projections (option B), where the paper pads with zeros (A).

    Args:
        blocks: in each of the three stages.
        classes: number of logits.
        channels: of the first stage; the others have two and four times as many.
    """

    def __init__(self, blocks: int, classes: int, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        parts, width = list[nn.Module](), channels
        for stage in range(3):
            for block in range(blocks):
                c_out = channels * 2**stage
                parts.append(Block(width, c_out, 2 if stage and not block else 1))
                width = c_out
        self.blocks = nn.Sequential(*parts)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``."""
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.classifier(x.mean(dim=(2, 3)))
