"""Exact parameters and FLOPs of the parts that NAS-Bench's networks are made of.

Every function returns ``int64 (2, ...)``: parameters, then FLOPs. FLOPs are counted as in the
official records of NAS-Bench-201 and NATS-Bench: one per multiplication of a convolution or of the
classifier plus one per bias; batch normalisation, pooling, activations and sums are free.
"""

import numpy as np
from numpy.typing import ArrayLike

from nasrun.spec import Floats, Ints


def conv(kernel: int, c_in: ArrayLike, c_out: ArrayLike, px: int, *, norm: bool = True) -> Ints:
    """A convolution without bias onto ``px`` x ``px`` pixels, batch normalisation included."""
    c_in, c_out = np.asarray(c_in, np.int64), np.asarray(c_out, np.int64)
    weights = kernel * kernel * c_in * c_out
    return np.stack([weights + 2 * c_out * norm, weights * px * px])


def residual(c_in: ArrayLike, c_out: ArrayLike, px: int) -> Ints:
    """The block between two stages: two 3x3 convolutions, and a 1x1 one without normalisation.

    ``px`` is the width of its output, half that of its input.
    """
    shortcut = conv(1, c_in, c_out, px, norm=False)
    return conv(3, c_in, c_out, px) + conv(3, c_out, c_out, px) + shortcut


def head(channels: ArrayLike, classes: int) -> Ints:
    """Batch normalisation, global pooling and the classifier, whose bias costs FLOPs too."""
    channels = np.asarray(channels, np.int64)
    linear = (channels + 1) * classes
    return np.stack([linear + 2 * channels, linear])


def in_millions(cost: Ints) -> tuple[Floats, Floats]:
    """Parameters and FLOPs ``(...)``, each in millions."""
    return cost[0] / 1e6, cost[1] / 1e6
