"""Network morphisms: weights of a larger network that computes what a smaller one did.

Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016), section 2: wider
and deeper layers; Cai et al., "Path-Level Network Transformation for Efficient Architecture Search"
(ICML 2018), section 3.1: a layer as several branches, which are averaged or stand side by side.

All hold in evaluation mode, to rounding. In training mode batch normalisation uses the batch's own
moments. A wider layer and branches compute the same there, too: copies have equal moments. A new
normalised layer does not, as it was made for the moments that the running statistics promise.

Departures from the authors' code: the copies of a channel share its outgoing weights unevenly, in
place of noise on even shares, so that they learn different things and nothing else changes; the
moments for which a new layer's normalisation is the identity come from the normalisation before it
and not from a batch, so that no images are needed.
"""

import math
import zlib
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nasrun.spec import Archs

State = dict[str, Tensor]
EPSILON = 1e-5  # of batch normalisation, PyTorch's own


@dataclass(frozen=True)
class Widening:
    """How ``new`` channels come from old ones.

    ``source (new,)`` the old channel that each is a copy of; ``share (new,)`` the part of the old
    channel's outgoing weights that it takes. The shares of one channel's copies add up to 1.
    """

    source: Tensor
    share: Tensor

    @classmethod
    def none(cls, channels: int) -> "Widening":
        """All channels stay as they are."""
        return cls(torch.arange(channels), torch.ones(channels, dtype=torch.float64))

    def wider(self, channels: int, generator: Generator) -> "Widening":
        """The same, with copies of random channels behind: ``channels`` in all."""
        more = channels - len(self.source)
        if not more:
            return self
        picked = torch.randint(len(self.source), (more,), generator=generator)
        source = torch.cat([self.source, self.source[picked]])
        weight = 0.5 + torch.rand(channels, generator=generator, dtype=torch.float64)
        total = torch.zeros(int(source.max()) + 1, dtype=torch.float64)
        return Widening(source, weight / total.index_add(0, source, weight)[source])

    def outputs(self, of_channels: Tensor) -> Tensor:
        """``(new, ...)`` what belongs to each output channel, of ``(old, ...)``."""
        return of_channels[self.source]

    def inputs(self, weight: Tensor) -> Tensor:
        """``(C, new, ...)`` weights of a layer that reads the channels, of ``(C, old, ...)``."""
        share = self.share.to(weight.dtype).reshape(1, -1, *[1] * (weight.dim() - 2))
        return weight[:, self.source] * share


@dataclass(frozen=True)
class Moments:
    """Mean and variance ``(C,)`` of what flows through channels, as far as the weights tell."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def rectified(cls, mean: Tensor, deviation: Tensor) -> "Moments":
        """Those of normal numbers after a ReLU: what a normalised layer gives."""
        sigma = deviation.abs().clamp(min=1e-12)
        ratio = mean / sigma
        below = 0.5 * torch.special.erfc(-ratio / math.sqrt(2.0))
        density = sigma * torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
        first = mean * below + density
        second = (mean.square() + sigma.square()) * below + mean * density
        return cls(first, (second - first.square()).clamp(min=0.0))

    def of(self, channels: slice | Tensor) -> "Moments":
        """Those of some channels."""
        return Moments(self.mean[channels], self.variance[channels])


def identity_kernel(channels: int, size: int, like: Tensor) -> Tensor:
    """``(C, C, size, size)`` weights of a convolution that changes nothing, at an odd size."""
    weight = like.new_zeros(channels, channels, size, size)
    weight[:, :, size // 2, size // 2] = torch.eye(channels).to(like)
    return weight


def identity_depthwise(channels: int, size: int, like: Tensor) -> Tensor:
    """``(C, 1, size, size)`` weights of a convolution by channel that changes nothing."""
    weight = like.new_zeros(channels, 1, size, size)
    weight[:, :, size // 2, size // 2] = 1.0
    return weight


def identity_norm(moments: Moments) -> State:
    """A batch normalisation that changes nothing in evaluation mode.

    Nor in training mode, on a batch with just these moments.
    """
    return {
        "weight": (moments.variance + EPSILON).sqrt(),
        "bias": moments.mean.clone(),
        "running_mean": moments.mean.clone(),
        "running_var": moments.variance.clone(),
        "num_batches_tracked": torch.zeros((), dtype=torch.int64),
    }


def perturbed(weight: Tensor, noise: float, generator: Generator) -> Tensor:
    """``weight`` with normal numbers of the deviation ``noise`` on top."""
    if not noise:
        return weight
    drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return weight + noise * drawn.to(weight)


def generator_of(*archs: Archs) -> Generator:
    """Random numbers that depend on these architectures alone, so that trainings repeat."""
    code = 0
    for arch in archs:
        code = zlib.crc32(arch.tobytes(), code)
    return torch.Generator().manual_seed(code)


def below(prefix: str, state: State) -> State:
    """The entries of ``prefix.``, without it."""
    return {
        key.removeprefix(f"{prefix}."): value
        for key, value in state.items()
        if key.startswith(f"{prefix}.")
    }


def under(prefix: str, state: State) -> State:
    """The same entries, with ``prefix.`` before their names."""
    return {f"{prefix}.{key}": value for key, value in state.items()}
