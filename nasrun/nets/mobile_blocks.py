"""Which blocks a network of inverted residuals is made of, without torch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """A block's kernel, expansion (0: a skip) and groups."""

    kernel: int
    expansion: int
    groups: int = 1


# By the names of Wu et al., "FBNet" (CVPR 2019), Table 2.
KINDS = {
    "k3_e1": Kind(3, 1),
    "k3_e1_g2": Kind(3, 1, 2),
    "k3_e3": Kind(3, 3),
    "k3_e6": Kind(3, 6),
    "k5_e1": Kind(5, 1),
    "k5_e1_g2": Kind(5, 1, 2),
    "k5_e3": Kind(5, 3),
    "k5_e6": Kind(5, 6),
    "skip": Kind(1, 0),
}


class Stage(NamedTuple):
    """Layers of a stage, its channels, and the stride of its first layer."""

    layers: int
    channels: int
    stride: int


class Place(NamedTuple):
    """What a block must do where it stands: channels in and out, and a stride."""

    c_in: int
    c_out: int
    stride: int

    @property
    def changes(self) -> bool:
        """Whether the output has another shape than the input."""
        return self.stride > 1 or self.c_in != self.c_out


class Block(NamedTuple):
    """An inverted residual block: 1x1 to ``wide`` channels, depthwise, 1x1.

    ``expands``: whether the first convolution is there where it need not be. ``squeeze``: channels
    that squeeze-and-excitation reduces to; 0: none. ``activation`` is one of ``relu``, ``relu6``
    and ``h_swish``, ``epsilon`` that of the normalisation.
    """

    kernel: int
    wide: int
    place: Place
    groups: int = 1
    squeeze: int = 0
    activation: str = "relu"
    epsilon: float = 1e-5
    expands: bool = True

    @property
    def begins(self) -> bool:
        """Whether it begins with a 1x1 convolution."""
        return self.expands or self.wide != self.place.c_in


def block_or_skip(kind: Kind, place: Place) -> Block | Place:
    """A kind of FBNet's where it stands: its block, or the place alone of a skip."""
    if not kind.expansion:
        return place
    return Block(kind.kernel, place.c_in * kind.expansion, place, kind.groups)


class Ends(NamedTuple):
    """The layers around a network's blocks.

    A 3x3 convolution to ``stem`` channels with ``stride``; a 1x1 convolution from the ``c_in``
    channels of the last block to ``last``; where ``hidden`` is not 0, a 1x1 convolution to as many
    channels of the maps' means, without normalisation.
    """

    stem: int
    stride: int
    c_in: int
    last: int
    hidden: int = 0
    hidden_bias: bool = False
    activation: str = "relu"
    epsilon: float = 1e-5


class MobileLayers(NamedTuple):
    """All layers of a network of inverted residual blocks, and the width of its images."""

    blocks: tuple[Block, ...]
    ends: Ends
    px: int


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of ``by``, but not below 0.9 of ``channels``: MobileNetV3's rounding."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by * (nearest < 0.9 * channels)


def places(stages: Sequence[Stage], width: int) -> Iterator[Place]:
    """Those of all layers; ``width`` channels go into the first."""
    for stage in stages:
        for layer in range(stage.layers):
            yield Place(width, stage.channels, 1 if layer else stage.stride)
            width = stage.channels


class Skeleton(NamedTuple):
    """What FBNet's networks share: stages, the stem's width and stride, the head's channels."""

    stages: tuple[Stage, ...]
    width: int
    stem_stride: int
    head: int


def fbnet_skeleton(px: int) -> Skeleton:
    """That of images with ``px`` pixels, in HW-NAS-Bench's two variants ([HW] fbnet_models).

    For ImageNet (224 pixels; here from 128 on), and for CIFAR-100, where the image is halved three
    times in place of five.
    """
    large = px >= LARGE
    strides = (1, 2, 2, 2, 1, 2, 1) if large else (1, 1, 2, 2, 1, 2, 1)
    stages = tuple(map(Stage, LAYERS, CHANNELS, strides))
    return Skeleton(stages, WIDTH, 2, 1984) if large else Skeleton(stages, WIDTH, 1, 1504)


LAYERS = (1, 4, 4, 4, 4, 4, 1)
CHANNELS = (16, 24, 32, 64, 112, 184, 352)
WIDTH = 16
LARGE = 128  # pixels from which an image is taken for one of ImageNet
