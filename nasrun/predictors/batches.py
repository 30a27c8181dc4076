"""Arrays of many trials for networks that are trained together, laid out line by line.

Widths, records of a batch and networks of a block are multiples of ``MULTIPLE``, so that every
matrix of 4-byte numbers starts on a cache line of 64 bytes: what a trial computes does not depend
on the others (see ``nets/cohort.py``).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from nasrun.spec import Floats, Streams

MULTIPLE = 4


def padded(features: Floats) -> Tensor:
    """``(T, N, F)`` features as single precision, with columns of zeros up to whole lines."""
    wider = np.pad(features, ((0, 0), (0, 0), (0, -features.shape[2] % MULTIPLE)))
    return torch.from_numpy(wider.astype(np.float32))


def with_records(features: Floats) -> Tensor:
    """``(T, M, F)`` features as single precision, with rows and columns up to whole lines."""
    return padded(np.pad(features, ((0, 0), (0, -features.shape[1] % MULTIPLE), (0, 0))))


def taken(batch: Tensor, weight: Tensor, *parts: Tensor) -> list[Tensor]:
    """The records ``batch (T, B)`` of each trial: their weights, then those of ``parts``.

    More of weight 0 follow up to whole lines.
    """
    surplus = -batch.shape[1] % MULTIPLE
    batch = torch.nn.functional.pad(batch, (0, surplus))
    rows = torch.arange(len(batch))[:, None]
    kept = weight[rows, batch]
    if surplus:
        kept[:, -surplus:] = 0.0
    return [kept, *(part[rows, batch] for part in parts)]


def of_members(part: Tensor, members: int) -> Tensor:
    """``(R, ...)``: what a trial has, for each of its members; rows as in ``filled``."""
    return filled(part.repeat_interleave(members, dim=0))


def filled(part: Tensor) -> Tensor:
    """``(R, ...)`` with the first row again up to a multiple of networks, so never one alone."""
    surplus = -len(part) % MULTIPLE
    return torch.cat([part, part[:1].expand(surplus, *part.shape[1:])]) if surplus else part


def glorot(streams: Streams, members: int, sizes: Sequence[int]) -> list[Tensor]:
    """First weights of ``members`` perceptrons a trial, uniform after Glorot; biases of zero.

    Weights ``(T, members, in, out)`` and biases ``(T, members, 1, out)`` in turn, for layers of
    ``sizes`` (inputs, hidden units, outputs), with rows and columns of zeros up to whole lines.
    """
    trials = len(streams)
    parts: list[Tensor] = []
    for fan_in, fan_out in pairwise(sizes):
        draws = 2.0 * streams.uniform(members * fan_in * fan_out) - 1.0
        draws = draws.reshape(trials, members, fan_in, fan_out)
        rows, columns = fan_in + -fan_in % MULTIPLE, fan_out + -fan_out % MULTIPLE
        weight = torch.zeros(trials, members, rows, columns)
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        weight[:, :, :fan_in, :fan_out] = torch.from_numpy(limit * draws)
        parts += [weight, torch.zeros(trials, members, 1, columns)]
    return parts
