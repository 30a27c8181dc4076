"""Cells as graphs with operations on their vertices: the input of kernels and graph networks."""

from collections.abc import Sequence

import numpy as np

from nasrun.spec import Dag, Floats, Ints


def line_graph(
    sources: Ints,
    targets: Ints,
    operations: Ints,
    *,
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int],
    ends: Sequence[int] = (0, 1),
) -> Dag:
    """Cells whose operations stand on edges, each edge made a vertex.

    Vertices are the ``inputs``, the ``E`` edges in the order given, and one output. An input leads
    to the edges that start at it, an edge to those that start where it ends, and the edges that end
    at one of the ``outputs`` lead to the output.

    Args:
        sources: ``(n, E)`` or ``(E,)`` node at which each edge starts.
        targets: ``(E,)`` node at which it ends; no edge starts where a later one ends.
        operations: ``(n, E)`` numbers of the edges' operations among ``dag_operations``.
        inputs: nodes that no edge leads to.
        outputs: nodes that make the cell's output.
        ends: what stands on the inputs and on the output, by its number among ``dag_operations``.
    """
    n, edges = operations.shape
    first, last = len(inputs), len(inputs) + edges
    starts = np.broadcast_to(sources, (n, edges))[:, None, :]
    adjacency = np.zeros((n, last + 1, last + 1), np.bool_)
    adjacency[:, :first, first:last] = np.array(inputs)[:, None] == starts
    adjacency[:, first:last, first:last] = targets[:, None] == starts
    adjacency[:, first:last, last] = np.isin(targets, outputs)
    fixed = np.broadcast_to(np.array(ends, np.int64), (n, len(ends)))
    return Dag(adjacency, np.concatenate([fixed[:, :-1], operations, fixed[:, -1:]], axis=1))


def side_by_side(cells: Sequence[Dag]) -> Dag:
    """``n`` architectures of several cells each, as one graph each without edges between cells."""
    sizes = [cell.operations.shape[1] for cell in cells]
    ends = np.cumsum(sizes)
    adjacency = np.zeros((len(cells[0].operations), ends[-1], ends[-1]), np.bool_)
    for cell, size, end in zip(cells, sizes, ends, strict=True):
        adjacency[:, end - size : end, end - size : end] = cell.adjacency
    return Dag(adjacency, np.concatenate([cell.operations for cell in cells], axis=1))


def adjacency_encoding(dag: Dag, operations: int) -> Floats:
    """``(n, V (V - 1) / 2 + V operations)`` what can be an edge, row by row, then operations.

    White et al., "A Study on Neural Architecture Encodings" (NeurIPS 2020), section 3: the
    one-hot adjacency matrix encoding. A vertex that a graph lacks has zeros.
    """
    n, vertices = dag.operations.shape
    edges = dag.adjacency[:, *np.triu_indices(vertices, 1)]
    onehot = dag.operations[..., None] == np.arange(operations)
    return np.concatenate([edges, onehot.reshape(n, -1)], axis=1).astype(np.float64)
