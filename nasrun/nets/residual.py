"""Residual networks whose widths and resolutions change where a code says: the residual space's."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.headed import head_on
from nasrun.nets.resnet import Block, shortcut
from nasrun.spec import Objective


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, which is a 1x1 one if shapes change.

    He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), Figure 5. The stride is
    that of the 3x3 convolution, as torchvision has it; the paper's is that of the first.

    Args:
        c_in: channels of the input.
        width: channels between the convolutions; the output has four times as many.
        stride: 2 halves the image.
    """

    per_channel = True

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        c_out = 4 * width
        self.reduce = nn.Conv2d(c_in, width, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.expand = nn.Conv2d(width, c_out, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(c_out)
        self.shortcut = shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 4 width, H / stride, W / stride)`` of ``x (B, c_in, H, W)``."""
        inner = F.relu(self.reduce_norm(self.reduce(x)))
        inner = F.relu(self.norm(self.conv(inner)))
        return F.relu(self.expand_norm(self.expand(inner)) + self.shortcut(x))


def convolutions(channels: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions, to half of the channels and to all, which share the stride."""
    first, second = min(stride, 2), max(stride // 2, 1)
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(3, half, 3, first, 1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, channels, 3, second, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def convolution_and_pool(channels: int, stride: int) -> nn.Sequential:
    """ResNet's: a 7x7 convolution, and for a stride of 4 a 3x3 maximum."""
    conv = nn.Conv2d(3, channels, 7, min(stride, 2), 3, bias=False)
    pool = nn.MaxPool2d(3, 2, 1) if stride == 4 else nn.Identity()
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(), pool)


BLOCKS: dict[str, type[Block | Bottleneck]] = {"basic": Block, "bottleneck": Bottleneck}
STEMS = {"convs": convolutions, "resnet": convolution_and_pool}


class ResidualNetwork(nn.Module):
    """A stem, stages as direct children ``stage1``, ``stage2``, ..., the objective's head.

    ``widths (S,)`` and ``strides (S,)`` are the channels of each stage's last maps, and how many
    times smaller than the image they are. Weights are drawn as in He et al., "Delving Deep into
    Rectifiers" (ICCV 2015).

    Args:
        block: ``basic`` or ``bottleneck``.
        stem: ``convs`` or ``resnet``.
        stem_stride: 1, 2 or 4.
        stages: of each stage its blocks: channels into one, its width, its stride.
        objective: what the network is trained for.
    """

    per_channel = True

    def __init__(
        self,
        block: str,
        stem: str,
        stem_stride: int,
        stages: Sequence[Sequence[tuple[int, int, int]]],
        objective: Objective,
    ) -> None:
        super().__init__()
        self.stem = STEMS[stem](stages[0][0][0], stem_stride)
        widths, strides, stride = list[int](), list[int](), stem_stride
        for number, sizes in enumerate(stages, 1):
            self.add_module(f"stage{number}", nn.Sequential(*(BLOCKS[block](*s) for s in sizes)))
            stride *= sizes[0][2]
            widths.append(sizes[-1][1] * (4 if block == "bottleneck" else 1))
            strides.append(stride)
        self.widths, self.strides = tuple(widths), tuple(strides)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        self.classifier = head_on(objective, self.widths, self.strides)

    def maps(self, x: Tensor) -> list[Tensor]:
        """``S`` maps ``(B, widths[i], H / strides[i], W / strides[i])`` of ``x (B, 3, H, W)``."""
        x, found = self.stem(x), list[Tensor]()
        for number in range(1, len(self.widths) + 1):
            x = self.get_submodule(f"stage{number}")(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.classifier(self.maps(x), x)
