"""How cells of NAS-Bench-101 are drawn and changed in each of White et al.'s encodings.

"A Study on Neural Architecture Encodings" (NeurIPS 2020), section 3 and 4; the numbers are those of
[Z] ``sample_random.py`` and ``mutations.py``. Where those leave it open: a categorical slot holds
any of the 21 edges, whether another slot has it or not; and operations change alike in all three
encodings by edges.
"""

from enum import Enum
from functools import cache

import numpy as np

from nasrun.nets import nb101_cells as cells
from nasrun.nets.nb101_cells import INNER, MOST_EDGES, OPERATIONS, POSSIBLE
from nasrun.spaces.path_sets import PathSets
from nasrun.spec import Archs, Floats, Mask

FEW = 8  # the most edges that a continuous encoding begins with
RATE = 1.0  # edges and operations that change at a time, on average
# Chance of a path in a random cell, by its number of operations.
CHANCES = (0.2, 0.127, 0.0336, 0.00392, 0.00015, 6.4e-7)


class Sampling(Enum):
    """The encoding in which random cells are drawn."""

    adjacency = "adjacency"  # every edge at even odds: uniform over encodings
    categorical = "categorical"  # nine edges out of 21, with repetition
    continuous = "continuous"  # 1 to 8 edges: those of the highest of 21 values
    path = "path"  # every path at its chance
    truncated_path = "truncated_path"  # every path of up to three operations


class Mutation(Enum):
    """The encoding in which a cell is changed."""

    decision = "decision"  # one edge or one operation, uniformly
    adjacency = "adjacency"  # each edge flips with 1/21, each operation changes with 1/5
    categorical = "categorical"  # each edge moves with 1/9, each operation changes with 1/5
    continuous = "continuous"  # an edge goes, comes, or both; each operation changes with 1/5
    path = "path"  # a path goes or comes
    truncated_path = "truncated_path"  # a path of up to three operations goes or comes


# Uniforms that each of these takes.
TO_DRAW = {"adjacency": POSSIBLE, "categorical": MOST_EDGES, "continuous": POSSIBLE + 1}
TO_CHANGE = {"adjacency": POSSIBLE, "categorical": 2 * POSSIBLE, "continuous": 1 + POSSIBLE}


def drawn(encoding: str, uniforms: Floats) -> Archs:
    """``(n, 26)`` random encodings, of ``uniforms (n, TO_DRAW[encoding] + 5)``."""
    own, rest = np.split(uniforms, [TO_DRAW[encoding]], axis=1)
    if encoding == "adjacency":
        edges = own < 0.5
    elif encoding == "categorical":
        edges = np.zeros((len(own), POSSIBLE), np.bool_)
        np.put_along_axis(edges, (own * POSSIBLE).astype(np.int64), True, axis=1)
    else:
        edges = _highest(own[:, 1:], 1 + (own[:, 0] * FEW).astype(np.int64))
    operations = (rest * len(OPERATIONS)).astype(np.int64)
    return np.concatenate([edges, operations], axis=1).astype(np.int64)


def changed(encoding: str, archs: Archs, uniforms: Floats) -> Archs:
    """``(n, 26)`` changed copies, of ``uniforms (n, TO_CHANGE[encoding] + 10)``.

    One that is equal to its parent is no cell, so that it is drawn again.
    """
    own, which, other = np.split(
        uniforms, [TO_CHANGE[encoding], TO_CHANGE[encoding] + INNER], axis=1
    )
    edges, operations = archs[:, :POSSIBLE] == 1, archs[:, POSSIBLE:]
    if encoding == "adjacency":
        edges = edges ^ (own < RATE / POSSIBLE)
    elif encoding == "categorical":
        goes = edges & (own[:, :POSSIBLE] < RATE / MOST_EDGES)
        edges = (edges & ~goes) | _highest(np.where(edges, -1, own[:, POSSIBLE:]), goes.sum(axis=1))
    else:
        kind, scores = own[:, 0], own[:, 1:]
        goes, comes = kind < 2 / 3, kind >= 1 / 3
        lost = _highest(np.where(edges, scores, -1.0), goes.astype(np.int64)) & edges
        won = _highest(np.where(edges, -1.0, scores), comes.astype(np.int64)) & ~edges
        edges = (edges & ~lost) | won
    step = 1 + (other * (len(OPERATIONS) - 1)).astype(np.int64)
    operations = np.where(which < RATE / INNER, (operations + step) % len(OPERATIONS), operations)
    children = np.concatenate([edges, operations], axis=1).astype(np.int64)
    children[(children == archs).all(axis=1), :POSSIBLE] = 0
    return children


def _highest(scores: Floats, counts: np.ndarray) -> Mask:
    """``(n, 21)`` which edges have the ``counts (n,)`` highest scores."""
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
    return ranks < counts[:, None]


@cache
def path_sets(kept: int) -> PathSets:
    """All cells by their first ``kept`` paths; takes ten seconds, once a process."""
    sizes = np.repeat(np.arange(len(CHANCES)), len(OPERATIONS) ** np.arange(len(CHANCES)))
    edges, operations = cells.enumerated()

    def features(archs: Archs) -> Floats:
        adjacency = cells.pruned(cells.adjacency_of(archs[:, :POSSIBLE] == 1))
        return cells.paths(adjacency, archs[:, POSSIBLE:])[:, :kept]

    archs = np.concatenate([edges, operations], axis=1, dtype=np.int64)
    return PathSets(archs, features, np.array(CHANCES)[sizes[:kept]])
