"""Parameters and FLOPs of NAS-Bench-101's networks, whole cohorts at once."""

from collections.abc import Sequence

import numpy as np

from nasrun.nets.nb101_cells import CONV1X1, CONV3X3, VERTICES, widths
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Floats, Ints, Mask, Task


def footprint(
    cells: tuple[Mask, Ints], channels: int, stacks: Sequence[int], task: Task
) -> tuple[Floats, Floats]:
    """``(n,)`` parameters and FLOPs in millions of networks of ``cells``.

    Args:
        cells: pruned adjacency ``(n, 7, 7)`` and operations ``(n, 5)``.
        channels: of the first stack; each further one has twice as many on half the pixels.
        stacks: number of cells of each.
        task: whose images and classes the network takes.
    """
    px = task.image_px
    cost = np.repeat(conv(3, 3, channels, px)[:, None], len(cells[0]), axis=1)
    wide = channels
    for number, count in enumerate(stacks):
        narrow = wide
        if number:
            wide, px = 2 * wide, px // 2
        cost += _cell(*cells, narrow, wide, px) + (count - 1) * _cell(*cells, wide, wide, px)
    return in_millions(cost + np.int64((wide + 1) * task.classes))


def _cell(adjacency: Mask, operations: Ints, c_in: int, c_out: int, px: int) -> Ints:
    """``(2, n)`` cost of a cell: an operation a vertex, and a projection an edge from the input."""
    width = widths(adjacency, c_out)
    cost = np.zeros((2, len(adjacency)), np.int64)
    for vertex in range(1, VERTICES):
        own = width[:, vertex]
        cost += conv(1, c_in, own, px) * adjacency[:, 0, vertex]
        if vertex < VERTICES - 1:
            for kernel, option in ((3, CONV3X3), (1, CONV1X1)):
                cost += conv(kernel, own, own, px) * (operations[:, vertex - 1] == option)
    return cost
