"""Cells of NAS-Bench-101 as arrays: pruning, keys that isomorphic cells share, widths, paths.

A cell has seven vertices: 0 the input, 1 to 5 operations, 6 the output. ``adjacency (n, 7, 7)`` has
True where an edge leads from row to column; ``operations (n, 5)`` number what stands on vertices 1
to 5 among ``OPERATIONS``. A smaller cell leaves vertices without edges.
"""

from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nasrun.spec import Floats, Ints, Mask

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")  # numbered as in the benchmark
CONV3X3, CONV1X1, MAXPOOL = range(len(OPERATIONS))
VERTICES = 7
INNER = VERTICES - 2
MOST_EDGES = 9
POSSIBLE = VERTICES * (VERTICES - 1) // 2  # edges
SOURCES, TARGETS = np.triu_indices(VERTICES, 1)  # of each possible edge, row by row
INPUT, OUTPUT = -1, -2  # what the benchmark calls the labels of the ends
# What vertices may a path pass: all 32 subsets of the inner ones, fewest first.
WAYS = [way for size in range(INNER + 1) for way in combinations(range(1, INNER + 1), size)]
PATHS = sum(len(OPERATIONS) ** size for size in range(INNER + 1))  # sequences of operations: 364
CHUNK = 4096  # cells whose keys are computed at a time, so that all fits the processor's cache
SHORT_PATHS = 40  # of up to three operations, which come first

Words = NDArray[np.uint64]
STEP, ONWARDS, BACK, WEIGH = (  # odd constants: pi, e, the golden ratio and root 2 in binary
    np.uint64(word)
    for word in (0x243F6A8885A308D3, 0xB7E151628AED2A6B, 0x9E3779B97F4A7C15, 0x6A09E667F3BCC909)
)


def adjacency_of(edges: Mask) -> Mask:
    """``(n, 7, 7)`` of ``edges (n, 21)``, the upper triangle row by row."""
    adjacency = np.zeros((len(edges), VERTICES, VERTICES), np.bool_)
    adjacency[:, SOURCES, TARGETS] = edges
    return adjacency


def pruned(adjacency: Mask) -> Mask:
    """``(n, 7, 7)`` without the vertices that lie on no path from input to output.

    Where there is no such path, nothing is left.
    """
    reached = np.zeros(adjacency.shape[:2], np.bool_)
    leads = reached.copy()
    reached[:, 0] = leads[:, -1] = True
    for vertex in range(1, VERTICES):
        reached[:, vertex] = (adjacency[:, :vertex, vertex] & reached[:, :vertex]).any(axis=1)
    for vertex in range(VERTICES - 2, -1, -1):
        leads[:, vertex] = (adjacency[:, vertex, vertex:] & leads[:, vertex:]).any(axis=1)
    used = reached & leads
    return adjacency & (used[:, :, None] & used[:, None, :])


def used_vertices(cells: Mask) -> Mask:
    """``(n, 7)`` which vertices of pruned ``cells (n, 7, 7)`` are left."""
    return np.asarray(cells.any(axis=1) | cells.any(axis=2))


def keys(cells: Mask, operations: Ints) -> Ints:
    """``(n,)`` 64-bit hashes that isomorphic cells share, and no others that were ever met.

    The benchmark's own fingerprint ([N1] ``lib/graph_util.py``) hashes the neighbourhoods of every
    vertex as often as the cell has vertices, by MD5 of sorted texts; this does the same by sums of
    mixed 64-bit words, whose order does not matter, for all cells at once. Equal cells give equal
    sums; that the 423,624 different ones give different keys is tested
    (``tests/spaces/test_nb101.py``), as is that both hashes tell the same cells apart.

    Args:
        cells: ``(n, 7, 7)`` pruned adjacency.
        operations: ``(n, 5)``.
    """
    if len(cells) > CHUNK:
        parts = range(0, len(cells), CHUNK)
        return np.concatenate(
            [keys(cells[at : at + CHUNK], operations[at : at + CHUNK]) for at in parts]
        )
    used = used_vertices(cells)
    labels = np.zeros(used.shape, np.int64)
    labels[:, 1:-1] = operations + 1
    labels[:, -1] = len(OPERATIONS) + 1
    onwards = cells.astype(np.uint64)
    back = np.ascontiguousarray(onwards.transpose(0, 2, 1))
    degrees = 8 * cells.sum(axis=2) + cells.sum(axis=1)
    words = _mixed((64 * labels + degrees).astype(np.uint64)) * used
    for _ in range(VERTICES):
        after = (onwards @ words[:, :, None])[:, :, 0]
        before = (back @ words[:, :, None])[:, :, 0]
        words = _mixed(words * STEP + after * ONWARDS + before * BACK) * used
    return _mixed(words.sum(axis=1, dtype=np.uint64)).view(np.int64)


def _mixed(words: Words) -> Words:
    """Words of which every bit depends on every bit (the finaliser of splitmix64)."""
    words = words + WEIGH
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def widths(cells: Mask, channels: int) -> Ints:
    """``(n, 7)`` channels of the vertices of cells that return ``channels``; 0 of unused ones.

    The vertices that lead to the output share its channels, the first ones getting one more where
    they do not divide; any other has the most of those that it leads to. The input's are not here.
    """
    n, found = len(cells), np.zeros(cells.shape[:2], np.int64)
    found[:, -1] = channels
    ends = cells[:, 1:-1, -1]
    shared = np.maximum(ends.sum(axis=1), 1)
    more = np.cumsum(ends, axis=1) <= (channels % shared)[:, None]
    found[:, 1:-1] = np.where(ends, (channels // shared)[:, None] + more, 0)
    for vertex in range(VERTICES - 3, 0, -1):
        onwards = np.where(cells[:, vertex, 1:-1], found[:, 1:-1], 0).max(axis=1)
        inside = np.where(ends[:, vertex - 1], found[:, vertex], onwards)
        found[np.arange(n), vertex] = inside
    return found


def paths(cells: Mask, operations: Ints) -> Floats:
    """``(n, 364)`` which sequences of operations lead from input to output.

    White et al., "BANANAS" (AAAI 2021), section 3, in the numbering of [Z] ``encodings.py``: the
    sequence ``o_1 ... o_k`` has number sum of ``3^(i-1) (o_i + 1)``, and ``o_1`` is the operation
    next to the input. So the shortest come first: 1, 3, 9, 27, 81 and 243 of them.
    """
    found = np.zeros((len(cells), PATHS))
    for way in WAYS:
        whole = (0, *way, VERTICES - 1)
        there = cells[:, list(whole[:-1]), list(whole[1:])].all(axis=1)
        weights = len(OPERATIONS) ** np.arange(len(way))
        number = (operations[:, [vertex - 1 for vertex in way]] + 1) @ weights
        found[there, number[there]] = 1.0
    return found


@cache
def enumerated() -> tuple[Mask, Ints]:
    """One encoding of each of the 423,624 cells: ``edges (n, 21)`` and ``operations (n, 5)``.

    Graphs are told apart without their operations first, of which each class gets all. Ordered by
    number of vertices. Takes some seconds, once a process.
    """
    edges, operations = zip(*map(_of_size, range(2, VERTICES + 1)), strict=True)
    return np.concatenate(edges), np.concatenate(operations)


def _of_size(vertices: int) -> tuple[Mask, Ints]:
    """The cells of exactly ``vertices``, all of which are used."""
    inner = vertices - 2
    graphs = _graphs(vertices)
    plain = np.zeros((len(graphs), INNER), np.int64)
    first = np.unique(keys(adjacency_of(graphs), plain), return_index=True)[1]
    graphs = graphs[np.sort(first)]
    choices = np.zeros((len(OPERATIONS) ** inner, INNER), np.int64)
    if inner:
        grid = np.meshgrid(*[np.arange(len(OPERATIONS))] * inner, indexing="ij")
        choices[:, :inner] = np.stack(grid, axis=-1).reshape(-1, inner)
    edges = np.repeat(graphs, len(choices), axis=0)
    operations = np.tile(choices, (len(graphs), 1))
    first = np.sort(np.unique(keys(adjacency_of(edges), operations), return_index=True)[1])
    return edges[first], operations[first]


def _graphs(vertices: int) -> Mask:
    """``(n, 21)`` edges of all graphs whose ``vertices`` are each on a path, of at most nine.

    In a graph without circles these are those in which every vertex but the input has an edge that
    leads to it, and every one but the output one that leads on.
    """
    place = np.append(np.arange(vertices - 1), VERTICES - 1)  # the output is always the last
    sources, targets = np.triu_indices(vertices, 1)
    numbers = np.arange(2 ** len(sources))
    kept = np.bitwise_count(numbers) <= MOST_EDGES
    for ends in (targets, sources):
        for vertex in np.unique(ends):
            kept &= numbers & int((1 << np.flatnonzero(ends == vertex)).sum()) > 0
    numbers = numbers[kept]
    adjacency = np.zeros((len(numbers), VERTICES, VERTICES), np.bool_)
    bits = (numbers[:, None] >> np.arange(len(sources))) & 1
    adjacency[:, place[sources], place[targets]] = bits
    return adjacency[:, SOURCES, TARGETS]
