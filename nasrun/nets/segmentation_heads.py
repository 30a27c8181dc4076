"""Heads that give every pixel a class, on the maps of all stages of a backbone.

They normalise by groups, as CATCH's laboratory does with BiSeNet: batches of such pictures are
small. What has been pooled to one pixel is not normalised at all, as a single number a channel
would become a constant (by groups) or, in a batch of one, an error (by batches).
"""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32  # of channels that are normalised together
LEAST_OF_A_GROUP = 4
COARSEST_DETAIL = 8  # stride of BiSeNet's spatial path
RATES = (3, 6, 9)  # of atrous convolutions; DeepLab's 12, 24, 36 leave maps of 32 cells and less


def enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    """``(B, C, *size)``, resized bilinearly without aligning corners."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class ConvNorm(nn.Sequential):
    """Convolution, normalisation by groups of at least four channels, ReLU."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, rate: int = 1
    ) -> None:
        padding = rate * (kernel // 2)
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, padding, rate, bias=False),
            nn.GroupNorm(_groups(c_out), c_out),
            nn.ReLU(),
        )


def _groups(channels: int) -> int:
    """How many groups of at least four channels, if there are as many."""
    groups = gcd(GROUPS, channels)
    while groups > 1 and channels // groups < LEAST_OF_A_GROUP:
        groups //= 2
    return groups


class Pooled(nn.Module):
    """``(B, c_out, 1, 1)``: the mean over all pixels, a 1x1 convolution, and an activation."""

    def __init__(self, c_in: int, c_out: int, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.activation = nn.Conv2d(c_in, c_out, 1), activation

    def forward(self, x: Tensor) -> Tensor:
        """Of ``x (B, c_in, h, w)``."""
        return self.activation(self.conv(x.mean(dim=(2, 3), keepdim=True)))


class Logits(nn.Sequential):
    """A 3x3 convolution to ``width`` channels and a 1x1 one to the classes."""

    def __init__(self, c_in: int, width: int, classes: int) -> None:
        super().__init__(ConvNorm(c_in, width), nn.Conv2d(width, classes, 1))


class Refined(nn.Module):
    """BiSeNet's attention refinement: maps weighted by what their mean says."""

    def __init__(self, c_in: int, width: int) -> None:
        super().__init__()
        self.conv, self.weights = ConvNorm(c_in, width), Pooled(width, width, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, h, w)`` of ``x (B, c_in, h, w)``."""
        x = self.conv(x)
        return x * self.weights(x)


class BiSeNetHead(nn.Module):
    """The paths of Yu et al., "BiSeNet" (ECCV 2018), Figure 2, but for the backbone.

    The backbone is the context path: its last two maps are refined by attention, and joined from
    the coarsest, with its mean, to the finest. The spatial path reads the images: strided
    convolutions to a stride of 8, or to half of the second last map's where that is less. Their
    channels are joined and weighted by what their mean says. In training the two refined maps give
    logits of their own.

    Args:
        widths: channels of the backbone's maps; at least two.
        strides: of the maps.
        width: of the head; the spatial path has half of it inside, the joined paths twice.
        classes: of pixels.
    """

    def __init__(
        self, widths: Sequence[int], strides: Sequence[int], width: int, classes: int
    ) -> None:
        super().__init__()
        detail = min(COARSEST_DETAIL, strides[-2] // 2)
        halvings, half = max(detail.bit_length() - 1, 0), max(width // 2, 1)
        sizes = [3, *[half] * max(halvings, 1)]
        steps = [(7 if at == 0 else 3, 2 if halvings else 1) for at in range(len(sizes) - 1)]
        self.spatial = nn.Sequential(
            *(ConvNorm(a, b, *how) for a, b, how in zip(sizes, sizes[1:], steps, strict=False)),
            ConvNorm(half, width, 1),
        )
        self.mean = Pooled(widths[-1], width, nn.ReLU())
        self.refine = nn.ModuleList(Refined(c_in, width) for c_in in widths[:-3:-1])
        self.smooth = nn.ModuleList(ConvNorm(width, width) for _ in range(2))
        self.joined = ConvNorm(2 * width, 2 * width, 1)
        self.weights = nn.Sequential(
            Pooled(2 * width, 2 * width, nn.ReLU()),
            nn.Conv2d(2 * width, 2 * width, 1),
            nn.Sigmoid(),
        )
        self.logits = Logits(2 * width, 2 * width, classes)
        self.auxiliary = nn.ModuleList(Logits(width, half, classes) for _ in range(2))

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``(B, classes, H, W)`` logits of ``images (B, 3, H, W)``; in training, more beside."""
        detail = self.spatial(images)
        context = self.mean(maps[-1])
        levels = list[Tensor]()
        sizes = (maps[-2].shape[2:], detail.shape[2:])
        parts = zip(maps[:-3:-1], self.refine, self.smooth, sizes, strict=True)
        for own, refine, smooth, size in parts:
            refined = refine(own)
            refined = refined + enlarged(context, refined.shape[2:])
            context = smooth(enlarged(refined, size))
            levels.append(context)
        joined = self.joined(torch.cat([detail, context], dim=1))
        logits = self.logits(joined + joined * self.weights(joined))
        output = enlarged(logits, images.shape[2:])
        if not self.training:
            return output
        return output, *(head(x) for head, x in zip(self.auxiliary, levels, strict=True))


class DeepLabHead(nn.Module):
    """Chen et al., "Encoder-Decoder with Atrous Separable Convolution" (ECCV 2018): DeepLabv3+.

    Atrous convolutions of several rates and the mean read the last maps, which are enlarged to the
    first ones and joined with them. Our choices: plain convolutions; the rates, which fit maps of
    32 cells and less; the backbone's own strides, where theirs is made to end at 16. In training,
    logits of the second last maps stand beside.

    Args:
        widths: channels of the backbone's maps; at least two.
        strides: of the maps; not asked for.
        width: of the head; the first maps are brought to three eighths of it.
        classes: of pixels.
    """

    def __init__(
        self, widths: Sequence[int], strides: Sequence[int], width: int, classes: int
    ) -> None:
        super().__init__()
        last, few = widths[-1], max(3 * width // 8, 1)
        self.branches = nn.ModuleList(
            [ConvNorm(last, width, 1), *(ConvNorm(last, width, 3, 1, rate) for rate in RATES)]
        )
        self.mean = Pooled(last, width, nn.ReLU())
        self.project = ConvNorm((2 + len(RATES)) * width, width, 1)
        self.low = ConvNorm(widths[0], few, 1)
        self.smooth = ConvNorm(width + few, width)
        self.logits = Logits(width, width, classes)
        self.auxiliary = Logits(widths[-2], max(width // 2, 1), classes)

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``(B, classes, H, W)`` logits of ``images (B, 3, H, W)``; in training, more beside."""
        last = maps[-1]
        found = [branch(last) for branch in self.branches]
        found.append(self.mean(last).expand_as(found[0]))
        low = self.low(maps[0])
        context = enlarged(self.project(torch.cat(found, dim=1)), low.shape[2:])
        logits = self.logits(self.smooth(torch.cat([context, low], dim=1)))
        output = enlarged(logits, images.shape[2:])
        return (output, self.auxiliary(maps[-2])) if self.training else output


HEADS = {"bisenet": BiSeNetHead, "deeplab": DeepLabHead}
