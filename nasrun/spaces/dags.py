"""Cells as graphs with operations on their vertices: the input of kernels and graph networks."""

from collections.abc import Sequence

import numpy as np

from nasrun.spec import Dag, Floats, Ints, Mask


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
    onehot = dag.operations[..., None] == np.arange(operations)
    flat = onehot.reshape(len(onehot), -1)
    return np.concatenate([_possible(dag), flat], axis=1).astype(np.float64)


def continuous_encoding(dag: Dag, operations: int) -> Floats:
    """``adjacency_encoding`` and, as the last feature, the number of edges.

    White et al., section 3: the continuous adjacency matrix encoding, in which a cell has as many
    edges as that number, those of the highest values.
    """
    edges = dag.adjacency.sum(axis=(1, 2)).astype(np.float64)
    return np.column_stack([adjacency_encoding(dag, operations), edges])


def categorical_encoding(dag: Dag, operations: int) -> Floats:
    """``(n, V (V - 1) / 2 + V)`` numbers of the edges that are there, and of the operations.

    White et al., section 3: the categorical adjacency matrix encoding. Edges are counted from 1,
    row by row, and stand in the first places, behind them zeros; so do operations, by vertex, with
    0 for one that a graph lacks.
    """
    edges = _possible(dag)
    numbers = np.where(edges, 1 + np.arange(edges.shape[1]), edges.shape[1] + 1)
    slots = np.sort(numbers, axis=1)
    slots[slots > edges.shape[1]] = 0
    return np.concatenate([slots, 1 + dag.operations], axis=1).astype(np.float64)


def _possible(dag: Dag) -> Mask:
    """``(n, V (V - 1) / 2)`` which edges to later vertices are there, row by row."""
    return dag.adjacency[:, *np.triu_indices(dag.operations.shape[1], 1)]


# By the name that ``encode`` takes.
DAG_ENCODINGS = {
    "adjacency": adjacency_encoding,
    "categorical": categorical_encoding,
    "continuous": continuous_encoding,
}
