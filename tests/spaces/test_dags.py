import numpy as np

from nasrun.spaces.dags import (
    adjacency_encoding,
    categorical_encoding,
    continuous_encoding,
    side_by_side,
)
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Dag


def edges(adjacency):
    return sorted(zip(*map(np.ndarray.tolist, np.nonzero(adjacency)), strict=True))


def test_a_cell_of_nas_bench_201():
    """0 is the input, 1 to 6 are the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2, 7 is the output."""
    space = NB201()
    [adjacency], [operations] = space.dag(np.array([[3, 0, 2, 1, 4, 0]]))
    names = [space.dag_operations[operation] for operation in operations]
    assert names == [
        "input", "nor_conv_3x3", "none", "nor_conv_1x1", "skip_connect", "avg_pool_3x3", "none",
        "output",
    ]  # fmt: skip
    from_input, to_output = [(0, 1), (0, 2), (0, 4)], [(4, 7), (5, 7), (6, 7)]
    assert edges(adjacency) == sorted([*from_input, (1, 3), (1, 5), (2, 6), (3, 6), *to_output])


def test_channels_are_a_chain():
    space = NATSSize()
    [adjacency], [operations] = space.dag(space.parse("8:16:64:8:32")[None])
    names = [space.dag_operations[operation] for operation in operations]
    assert names == ["input", "8", "16", "64", "8", "32", "output"]
    assert edges(adjacency) == [(vertex, vertex + 1) for vertex in range(6)]


def test_graphs_side_by_side_have_no_edges_between():
    two = Dag(np.triu(np.ones((3, 2, 2), bool), 1), np.array([[0, 1]] * 3))
    three = Dag(np.triu(np.ones((3, 3, 3), bool), 1), np.array([[2, 3, 4]] * 3))
    both = side_by_side([two, three])
    assert edges(both.adjacency[1]) == [(0, 1), (2, 3), (2, 4), (3, 4)]
    assert both.operations.tolist() == [[0, 1, 2, 3, 4]] * 3


def test_continuous_and_categorical_encodings_by_hand():
    """The number of edges; and which edges, counted from 1, then operations, 0 for none."""
    adjacency = np.zeros((2, 3, 3), bool)
    adjacency[0, 0, 2] = adjacency[0, 1, 2] = adjacency[1, 0, 1] = True
    dag = Dag(adjacency, np.array([[0, -1, 1], [0, 1, -1]]))
    assert categorical_encoding(dag, 2).tolist() == [[2, 3, 0, 1, 0, 2], [1, 0, 0, 1, 2, 0]]
    continuous = continuous_encoding(dag, 2)
    np.testing.assert_array_equal(continuous[:, :-1], adjacency_encoding(dag, 2))
    assert continuous[:, -1].tolist() == [2, 1]


def test_adjacency_encoding_by_hand():
    """The upper triangle row by row, then one block a vertex; a vertex that is not there is 0."""
    adjacency = np.zeros((1, 3, 3), bool)
    adjacency[0, 0, 2] = adjacency[0, 1, 2] = True
    code = adjacency_encoding(Dag(adjacency, np.array([[0, -1, 1]])), 2)
    assert code.tolist() == [[*(0, 1, 1), *(1, 0), *(0, 0), *(0, 1)]]
