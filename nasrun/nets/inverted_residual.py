"""Networks of inverted residual blocks: those of NAS-Bench-Macro and FBNet."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.mobile_blocks import Kind, Place, Stage, places
from nasrun.spec import Objective


class InvertedResidual(nn.Module):
    """1x1 to ``kind.expansion`` times the channels, depthwise, 1x1: Sandler et al., "MobileNetV2".

    ReLU after the first two, normalisation after each; the input is added where shapes allow. With
    ``kind.groups`` both 1x1 convolutions are grouped, and channels are shuffled after the first, as
    in FBNet (Wu et al., CVPR 2019, Figure 3).
    """

    def __init__(self, kind: Kind, place: Place) -> None:
        super().__init__()
        wide, kernel, groups = place.c_in * kind.expansion, kind.kernel, kind.groups
        self._groups, self._adds = groups, not place.changes
        self.expand = nn.Conv2d(place.c_in, wide, 1, groups=groups, bias=False)
        self.expand_norm = nn.BatchNorm2d(wide)
        self.depthwise = nn.Conv2d(
            wide, wide, kernel, place.stride, kernel // 2, groups=wide, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(wide)
        self.project = nn.Conv2d(wide, place.c_out, 1, groups=groups, bias=False)
        self.project_norm = nn.BatchNorm2d(place.c_out)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H / stride, W / stride)``, rounded up, of ``x (B, c_in, H, W)``."""
        y = F.relu(self.expand_norm(self.expand(x)))
        if self._groups > 1:
            y = y.unflatten(1, (self._groups, -1)).transpose(1, 2).flatten(1, 2)
        y = F.relu(self.depthwise_norm(self.depthwise(y)))
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
        kinds: of the blocks.
        stages: how they are put together.
        width: channels of the first convolution.
        stem_stride: its stride.
        head: channels of the last convolution.
        objective: what the network is trained for.
        positive_skips: whether a skip that changes shapes ends in a ReLU.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        stages: Sequence[Stage],
        width: int,
        stem_stride: int,
        head: int,
        objective: Objective,
        positive_skips: bool,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stem_stride, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        layers = zip(kinds, places(stages, width), strict=True)
        self.blocks = nn.Sequential(
            *(
                InvertedResidual(kind, place) if kind.expansion else Skip(place, positive_skips)
                for kind, place in layers
            )
        )
        self.last = nn.Conv2d(stages[-1].channels, head, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(head)
        self.classifier = objective.head(head)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        return self.classifier(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """``(B, head, H', W')`` the feature maps that the head reads."""
        x = self.blocks(F.relu(self.stem_norm(self.stem(x))))
        return F.relu(self.last_norm(self.last(x)))
