"""The skeleton of TransNAS-Bench-101's networks: modules of two cells that widen or halve maps.

A module is a digit: 1 plain, 2 twice the channels, 3 half the resolution, 4 both; the first of its
two cells makes the change. Duan et al., "TransNAS-Bench-101" (CVPR 2021), section 3.1.
"""

import numpy as np

from nasrun.spaces.skeleton import conv
from nasrun.spec import Ints

WIDENS, HALVES = (2, 4), (3, 4)  # digits
WIDTH = 64  # channels of the stem, which quarters the image in two steps
CELLS = 2  # of a module
MICRO = (4, 1, 4, 1, 4)  # modules of every micro network


def cells(modules: tuple[int, ...], width: int, count: int) -> list[tuple[int, int, int]]:
    """Channels into and out of each cell, and its stride."""
    found = list[tuple[int, int, int]]()
    for digit in modules:
        wide = width * (2 if digit in WIDENS else 1)
        found.append((width, wide, 2 if digit in HALVES else 1))
        found += [(wide, wide, 1)] * (count - 1)
        width = wide
    return found


def ends(modules: tuple[int, ...], classes: int, px: int) -> Ints:
    """``(2,)`` parameters and FLOPs of the stem and of a classifier, at the benchmark's width."""
    last = cells(modules, WIDTH, CELLS)[-1][1]
    stem = conv(3, 3, WIDTH // 2, halved(px)) + conv(3, WIDTH // 2, WIDTH, halved(halved(px)))
    return stem + np.int64((last + 1) * classes)  # a classifier with its bias


def halved(px: int) -> int:
    """Pixels after a stride of two."""
    return -(-px // 2)


def sides(modules: tuple[int, ...], px: int) -> list[tuple[int, int, int, int]]:
    """Channels into and out of each of the benchmark's cells, its stride, and its output's side."""
    side, found = halved(halved(px)), list[tuple[int, int, int, int]]()
    for c_in, c_out, stride in cells(modules, WIDTH, CELLS):
        side = halved(side) if stride == 2 else side
        found.append((c_in, c_out, stride, side))
    return found


def skip(c_in: int, c_out: int, stride: int, px: int) -> Ints:
    """``(2,)`` cost of a skip: nothing, or 1x1 convolutions (two of half the width at stride 2)."""
    if stride == 1 and c_in == c_out:
        return np.zeros(2, np.int64)
    return conv(1, c_in, c_out, px)
