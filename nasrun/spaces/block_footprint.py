"""Exact parameters and FLOPs of the networks of the NASNet family (``nets/nasnet.py``)."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from nasrun.nets.block_cells import INPUTS, OPERATIONS, CellArrays
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Floats, Ints, Mask, Task

STAGES, STEM = 3, 3  # the stem has so many times the channels of the first cells


def block_footprint(
    archs: CellArrays,
    operations: Sequence[str],
    combiners: Sequence[str],
    channels: int,
    cells: int,
    task: Task,
) -> tuple[Floats, Floats]:
    """``(n,)`` parameters and FLOPs in millions, the auxiliary head not counted.

    The head of a task that is no classification is counted as a classifier of ``task.classes``.
    """
    concat = np.array(combiners)[archs.combiners] == "concat"  # (n, C, B)
    ends = (archs.unread() * (1 + concat)).sum(axis=2)  # (n, C) times the channels
    n, px = len(concat), task.image_px
    read = np.stack([archs.read(state) for state in range(INPUTS)])  # (2, n, C)
    before = last = np.full(n, STEM * channels)
    cost = np.repeat(conv(3, 3, STEM * channels, px)[:, None], n, axis=1)
    for number in range(STAGES * (cells + 1) - 1):
        halves = (number + 1) % (cells + 1) == 0
        channels, px_in, px = (2 * channels, px, -(-px // 2)) if halves else (channels, px, px)
        kind = -1 if halves else 0
        cost += read[0, :, kind] * conv(1, before, channels, px_in)
        cost += read[1, :, kind] * conv(1, last, channels, px_in)
        by_option = _costs(tuple(operations), channels, px, px_in)
        cost += _branches(archs, kind, concat[:, kind], by_option, halves)
        before, last = last, ends[:, kind] * channels
    head = (last + 1) * task.classes
    return in_millions(cost + head)


def _branches(archs: CellArrays, kind: int, concat: Mask, costs: Ints, halves: bool) -> Ints:
    """``(2, n)`` of all operations of one cell."""
    sources, there = archs.sources[:, kind], archs.there[:, kind]
    read = sources >= INPUTS
    blocks = np.maximum(sources - INPUTS, 0).reshape(len(sources), -1)
    wide = read & np.take_along_axis(concat, blocks, axis=1).reshape(sources.shape)
    strided = ~read & halves
    each = costs[archs.operations[:, kind], wide.astype(int), strided.astype(int)]
    return (each * there[..., None, None]).sum(axis=(1, 2)).T


@cache
def _costs(operations: tuple[str, ...], channels: int, px: int, px_in: int) -> Ints:
    """``(operations, 2, 2, 2)``: of a state as wide or twice as wide; at stride 1 or 2; figures."""
    return np.array(
        [
            [
                [_operation(name, times * channels, channels, px, px_in, by) for by in (1, 2)]
                for times in (1, 2)
            ]
            for name in operations
        ]
    )


def _operation(name: str, c_in: int, c_out: int, px: int, px_in: int, stride: int) -> Ints:
    """``(2,)`` of one operation onto ``px`` x ``px`` pixels, from ``px_in`` at stride 2."""
    kind, kernel = OPERATIONS[name]
    pointwise, nothing = conv(1, c_in, c_out, px), np.zeros(2, np.int64)
    if kind == "skip":
        return nothing if c_in == c_out and stride == 1 else pointwise
    if kind in {"avg", "max"}:
        return nothing if c_in == c_out else pointwise
    if kind == "conv":
        return conv(kernel, c_in, c_out, px)
    if kind == "lines":  # the first one is as high as the input
        rows, columns = kernel * c_in * c_out, kernel * c_out * c_out
        high = px_in if stride == 2 else px
        return np.array([rows + columns + 2 * c_out, rows * high * px + columns * px * px])
    single = _depthwise(kernel, c_in, c_out, px)
    return single if kind == "dil" else single + _depthwise(kernel, c_out, c_out, px)


def _depthwise(kernel: int, c_in: int, c_out: int, px: int) -> Ints:
    weights = kernel * kernel * c_in + c_in * c_out
    return np.array([weights + 2 * c_out, weights * px * px])
