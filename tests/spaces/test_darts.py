import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_space_contract import OWN

from nasrun.spaces.darts import DARTS, Kind
from nasrun.streams import Streams

# DARTS_V2 (Liu et al., "DARTS", ICLR 2019, Figures 4 and 5).
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def edges(adjacency):
    return sorted(zip(*map(np.ndarray.tolist, np.nonzero(adjacency)), strict=True))


def test_a_published_genotype_as_a_graph():
    """Vertices 0 and 1 are the inputs, 2 and 3 the operations of the first node, 10 the output."""
    space = OWN["darts"]
    [adjacency], [operations] = space.dag(space.parse(DARTS_V2)[None])
    names = [space.dag_operations[operation] for operation in operations]
    assert names == [
        "input-2", "input-1", "sep_conv_3x3", "sep_conv_3x3", "sep_conv_3x3", "sep_conv_3x3",
        "skip_connect", "sep_conv_3x3", "skip_connect", "dil_conv_3x3", "normal",
        "input-2", "input-1", "max_pool_3x3", "max_pool_3x3", "max_pool_3x3", "skip_connect",
        "max_pool_3x3", "skip_connect", "max_pool_3x3", "skip_connect", "reduce",
    ]  # fmt: skip
    to_output = [(vertex, 10) for vertex in range(2, 10)]
    normal = [(0, 2), (1, 3), (0, 4), (1, 5), (0, 6), (1, 7), (0, 8), (2, 9), (3, 9)]
    assert edges(adjacency[:11, :11]) == sorted(normal + to_output)
    # The last node of the reduction cell reads nodes 1 and 2: its branches stand in that order.
    reduce = [
        (0, 2),
        (1, 3),
        (1, 4),
        (2, 5),
        (3, 5),
        (0, 6),
        (2, 7),
        (3, 7),
        (1, 8),
        (2, 9),
        (3, 9),
    ]
    assert edges(adjacency[11:, 11:]) == sorted(reduce + to_output)
    assert not adjacency[:11, 11:].any()


def test_exchanging_the_cells_gives_another_graph():
    space = OWN["darts"]
    arch = space.parse(DARTS_V2)
    swapped = np.concatenate(np.split(arch, 2)[::-1])
    one, other = space.dag(arch[None]), space.dag(swapped[None])
    assert (one.operations[0, :11] != other.operations[0, 11:]).sum() == 1  # the output


@given(seed=st.integers(0, 2**40))
def test_both_branches_may_read_the_same_node(seed):
    """Then an input leads to two operations, and an operation to two."""
    space = DARTS(kind=Kind.factorised, nodes=2, operations=["a", "b"])
    [arch] = space.sample(Streams([seed]))
    [adjacency], _ = space.dag(arch[None])
    sources = arch.reshape(2, 2, 2, 2)[..., 0]  # cell, node, branch
    for cell, block in zip(sources, (adjacency[:7, :7], adjacency[7:, 7:]), strict=True):
        for vertex, source in enumerate(cell.reshape(-1), start=2):
            readers = {0: [0], 1: [1], 2: [2, 3]}[int(source)]
            assert np.flatnonzero(block[:, vertex]).tolist() == readers


@pytest.mark.parametrize("kind", Kind)
@given(seed=st.integers(0, 2**40), swaps=st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_order_of_a_nodes_branches_does_not_matter(kind, seed, swaps):
    space = DARTS(kind=kind, operations=["a", "b", "c"])
    [arch] = space.sample(Streams([seed]))
    branches = [pair for cell in space.layout.branches(arch) for pair in cell]
    turned = [pair[::-1] if swap else pair for pair, swap in zip(branches, swaps, strict=True)]
    other = space.layout.arch([turned[:4], turned[4:]])
    assert space.canonical(other) == space.canonical(arch)
    assert space.layout.branches(arch) == [branches[:4], branches[4:]]
