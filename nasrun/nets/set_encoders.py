"""Networks that turn a data set, a set of classes of pictures' features, into one vector.

Everywhere ``features (U, k, d)`` are those of ``k`` pictures of each of ``U`` classes, and
``classes (B, C)`` says which of them each of ``B`` data sets has: a class that many data sets share
is encoded once. What comes back is ``(B, width)`` and depends neither on the order of the classes
nor on that of the pictures in a class.
"""

from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 4  # of attention; [MC] set_encoder/setenc_models.py
SCALE = 20.0  # of an outline; OUR CHOICE


class SetEncoding(Enum):
    """Which set encoder a network has."""

    hierarchical = "hierarchical"  # intra-class, then inter-class: the paper's own
    deep_set = "deep_set"  # Zaheer et al. (NeurIPS 2017)
    set_transformer = "set_transformer"  # Lee et al. (ICML 2019), over all pictures at once
    statistics = "statistics"  # statistics pooling, Lee et al. (ICLR 2020)
    none = "none"  # nothing is told about the data set


class Attention(nn.Module):
    """Multi-head attention with a residual layer: from queries ``(B, n, p)`` to ``(B, n, width)``.

    Lee et al., "Rapid Neural Architecture Search by Learning to Generate Graphs from Datasets"
    (ICLR 2021), equation (9), as the authors' code has it, which departs from the paper: there is
    no layer normalisation, the residual adds the projected query, and the scale is one over the
    root of the full width, not of a head's.

    Args:
        queries: features of a query.
        keys: features of what is attended to.
        width: of the result; a multiple of the number of heads.
    """

    def __init__(self, queries: int, keys: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(queries, width)
        self.key = nn.Linear(keys, width)
        self.value = nn.Linear(keys, width)
        self.last = nn.Linear(width, width)
        self._scale = width**-0.5

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``(B, n, width)`` of queries ``x (B, n, p)`` that attend to ``y (B, m, q)``."""
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(-2, -3)
            for part in (self.query(x), self.key(y), self.value(y))
        )
        weights = (query @ key.transpose(-1, -2) * self._scale).softmax(-1)
        joined = (query + weights @ value).transpose(-2, -3).flatten(-2)
        return joined + self.last(joined).relu()


class SetPool(nn.Module):
    """Two self-attention blocks and pooling by attention to one learnt seed: ``(B, n, d)`` to one.

    The authors' ``SetPool``: unlike the paper's equation (10), no layers stand before the keys.

    Args:
        features: of a member of the set.
        width: of the result.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.first = Attention(features, features, width)
        self.second = Attention(width, width, width)
        self.pool = Attention(width, width, width)
        self.seed = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, width)))
        self.last = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width)`` of sets ``x (B, n, d)``."""
        x = self.first(x, x)
        x = self.second(x, x)
        return self.last(self.pool(self.seed.expand(len(x), 1, -1), x)[:, 0])


class Hierarchical(nn.Module):
    """The paper's set encoder (section 3.1.3): class prototypes of pictures, then one code of them.

    Args:
        features: of a picture.
        width: of prototypes and code.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.intra = SetPool(features, width)
        self.inter = SetPool(width, width)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` of ``features (U, k, d)`` and ``classes (B, C)``."""
        return self.inter(self.intra(features)[classes])


class DeepSet(nn.Module):
    """The mean of a network's answers to all pictures, and a network on it.

    Args:
        features: of a picture.
        width: of the code.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.each = _two_layers(features, width)
        self.all = _two_layers(width, width)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` of ``features (U, k, d)`` and ``classes (B, C)``."""
        return self.all(self.each(features).mean(1)[classes].mean(1))


class SetTransformer(nn.Module):
    """Attention over all pictures, whatever their classes.

    Args:
        features: of a picture.
        width: of the code.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.pool = SetPool(features, width)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` of ``features (U, k, d)`` and ``classes (B, C)``."""
        return self.pool(features[classes].flatten(1, 2))


class Statistics(nn.Module):
    """Mean, variance and logarithm of the size: of a class's pictures, then of the classes.

    Args:
        features: of a picture.
        width: of prototypes and code.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.each = _two_layers(features, width)
        self.prototype = _two_layers(2 * width + 1, width)
        self.all = _two_layers(2 * width + 1, width)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` of ``features (U, k, d)`` and ``classes (B, C)``."""
        prototypes = self.prototype(_statistics(self.each(features)))
        return self.all(_statistics(prototypes[classes]))


class Uninformed(nn.Module):
    """Zeros, whatever the data set.

    Args:
        features: of a picture.
        width: of the zeros.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self._width = width

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` zeros."""
        return features.new_zeros(len(classes), self._width)


class Outline(nn.Module):
    """What can be said of a data set without learning: the mean of its classes, and how alike.

    A class is the mean of its pictures, at length 1. How alike are the classes: the mean cosine of
    any two, and that of a class and its nearest, averaged over the classes; 0 where there is but
    one class. All is multiplied by ``SCALE``, because it varies by a hundredth among sets of 20
    classes of ImageNet.

    Args:
        features: of a picture.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features + 2

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, features + 2)`` of ``features (U, k, d)`` and ``classes (B, C)``."""
        means = F.normalize(features.mean(1), dim=-1)[classes]
        count = means.shape[1]
        if count == 1:
            return SCALE * torch.cat([means.mean(1), means.new_zeros(len(means), 2)], -1)
        same = torch.eye(count, dtype=torch.bool, device=means.device)
        cosines = means @ means.transpose(1, 2)
        alike = cosines.masked_fill(same, 0.0).sum((1, 2)) / (count * (count - 1))
        nearest = cosines.masked_fill(same, -1.0).amax(2).mean(1)
        return SCALE * torch.cat([means.mean(1), torch.stack([alike, nearest], -1)], -1)


def set_encoder(kind: SetEncoding, features: int, width: int) -> nn.Module:
    """A set encoder for pictures with so many features, whose codes have ``width``."""
    return KINDS[kind](features, width)


KINDS: dict[SetEncoding, Callable[[int, int], nn.Module]] = {
    SetEncoding.hierarchical: Hierarchical,
    SetEncoding.deep_set: DeepSet,
    SetEncoding.set_transformer: SetTransformer,
    SetEncoding.statistics: Statistics,
    SetEncoding.none: Uninformed,
}


def _statistics(x: Tensor) -> Tensor:
    """``(..., 2 d + 1)`` of sets ``x (..., n, d)``; the variance of one member is zero."""
    size = x.new_full((*x.shape[:-2], 1), float(x.shape[-2])).log()
    return torch.cat([x.mean(-2), x.var(-2, correction=0), size], -1)


def _two_layers(features: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width))
