"""Networks of inverted residual blocks: FBNet, NAS-Bench-Macro, ProxylessNAS, MobileNet."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.mobile_blocks import Block, Ends, Place
from nasrun.spec import Objective

ACTIVATIONS = {"relu": F.relu, "relu6": F.relu6, "h_swish": F.hardswish}


class SqueezeExcitation(nn.Module):
    """Channels weighed by what their means say: Hu et al., CVPR 2018, as in MobileNetV3.

    A ReLU between two 1x1 convolutions with biases, a hard sigmoid behind them.
    """

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze, 1)
        self.expand = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x (B, channels, H, W)``, each channel times a number between 0 and 1."""
        y = F.relu(self.reduce(x.mean(dim=(2, 3), keepdim=True)))
        return x * F.hardsigmoid(self.expand(y))


class InvertedResidual(nn.Module):
    """1x1 to ``block.wide`` channels, depthwise, 1x1: Sandler et al., "MobileNetV2".

    An activation after the first two, normalisation after each; the input is added where shapes
    allow. With ``block.groups`` both 1x1 convolutions are grouped, and channels are shuffled after
    the first, as in FBNet (Wu et al., CVPR 2019, Figure 3). Squeeze-and-excitation follows the
    depthwise convolution (Howard et al., "Searching for MobileNetV3", ICCV 2019, Figure 4).
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        place, wide, kernel, groups = block.place, block.wide, block.kernel, block.groups
        self._groups, self._adds = groups, not place.changes
        self._activation = ACTIVATIONS[block.activation]
        self.expand: nn.Conv2d | None = None
        if block.begins:
            self.expand = nn.Conv2d(place.c_in, wide, 1, groups=groups, bias=False)
            self.expand_norm = nn.BatchNorm2d(wide, block.epsilon)
        self.depthwise = nn.Conv2d(
            wide, wide, kernel, place.stride, kernel // 2, groups=wide, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(wide, block.epsilon)
        self.squeeze = SqueezeExcitation(wide, block.squeeze) if block.squeeze else nn.Identity()
        self.project = nn.Conv2d(wide, place.c_out, 1, groups=groups, bias=False)
        self.project_norm = nn.BatchNorm2d(place.c_out, block.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H / stride, W / stride)``, rounded up, of ``x (B, c_in, H, W)``."""
        y = x
        if self.expand is not None:
            y = self._activation(self.expand_norm(self.expand(y)))
        if self._groups > 1:
            y = y.unflatten(1, (self._groups, -1)).transpose(1, 2).flatten(1, 2)
        y = self.squeeze(self._activation(self.depthwise_norm(self.depthwise(y))))
        y = self.project_norm(self.project(y))
        return x + y if self._adds else y


class Skip(nn.Module):
    """The input itself or, where shapes change, every ``stride``-th pixel of it through a 1x1."""

    def __init__(self, place: Place, positive: bool) -> None:
        super().__init__()
        self._stride, self._positive = place.stride, positive
        self.conv: nn.Conv2d | None = None
        if place.changes:
            self.conv = nn.Conv2d(place.c_in, place.c_out, 1, bias=False)
            self.norm = nn.BatchNorm2d(place.c_out)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H / stride, W / stride)``, rounded up, of ``x (B, c_in, H, W)``."""
        if self.conv is None:
            return x
        y = self.norm(self.conv(x[:, :, :: self._stride, :: self._stride]))
        return F.relu(y) if self._positive else y


class Network(nn.Module):
    """A 3x3 convolution, blocks, a 1x1 convolution, the objective's head.

    Args:
        blocks: a block, or what a skip must do where it stands.
        ends: the layers before and after.
        objective: what the network is trained for.
        positive_skips: whether a skip that changes shapes ends in a ReLU.
        px: width that images are scaled to; None: they are taken as they are.
    """

    def __init__(
        self,
        blocks: Sequence[Block | Place],
        ends: Ends,
        objective: Objective,
        positive_skips: bool = False,
        px: int | None = None,
    ) -> None:
        super().__init__()
        self._px = px
        self._activation = ACTIVATIONS[ends.activation]
        self.stem = nn.Conv2d(3, ends.stem, 3, ends.stride, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(ends.stem, ends.epsilon)
        self.blocks = nn.Sequential(
            *(
                InvertedResidual(each) if isinstance(each, Block) else Skip(each, positive_skips)
                for each in blocks
            )
        )
        self.last = nn.Conv2d(ends.c_in, ends.last, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(ends.last, ends.epsilon)
        self.hidden: nn.Conv2d | None = None
        if ends.hidden:
            self.hidden = nn.Conv2d(ends.last, ends.hidden, 1, bias=ends.hidden_bias)
        self.classifier = objective.head(ends.hidden or ends.last)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.judged(self.opened(x))

    def features(self, x: Tensor) -> Tensor:
        """``(B, last, H', W')`` the feature maps after the last 1x1 convolution."""
        return self.closed(self.opened(x))

    def opened(self, x: Tensor) -> Tensor:
        """``(B, c, H', W')`` what leaves the blocks."""
        x = resized(x, self._px)
        return self.blocks(self._activation(self.stem_norm(self.stem(x))))

    def closed(self, x: Tensor) -> Tensor:
        """``(B, last, H', W')`` the last 1x1 convolution of what left the blocks."""
        return self._activation(self.last_norm(self.last(x)))

    def judged(self, x: Tensor) -> Tensor:
        """The head's output for what left the blocks."""
        x = self.closed(x)
        if self.hidden is not None:
            x = self._activation(self.hidden(x.mean(dim=(2, 3), keepdim=True)))
        return self.classifier(x)


def resized(x: Tensor, px: int | None) -> Tensor:
    """``(B, C, px, px)`` images, bilinearly and without aliasing; None: as they are."""
    if px is None or x.shape[-2:] == (px, px):
        return x
    return F.interpolate(x, (px, px), mode="bilinear", antialias=True)
