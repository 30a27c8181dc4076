import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_space_contract import OWN

from nasrun.errors import ConfigError
from nasrun.nets.footprint import footprint
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

# DARTS_V2 (Liu et al., "DARTS", ICLR 2019, Figures 4 and 5).
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)

# As the authors' code has them (genotypes.py of DARTS, SNAS's and P-DARTS's as usually copied).
PUBLISHED = {
    "DARTS_V1": """DARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
        ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1),
        ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5],
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0),
        ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)],
        reduce_concat=[2, 3, 4, 5])""",
    "DARTS_V2": """DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
        ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0),
        ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5],
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
        ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)],
        reduce_concat=[2, 3, 4, 5])""",
    "SNAS": """SNAS = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
                        ('skip_connect', 0), ('dil_conv_3x3', 1),
                        ('skip_connect', 1), ('skip_connect', 0),\x20
                        ('skip_connect',0),  ('sep_conv_3x3', 1)], normal_concat=range(2, 6),
                reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1),
                 ('max_pool_3x3', 1), ('skip_connect', 2),
                 ('skip_connect', 2), ('max_pool_3x3', 1),
                 ('max_pool_3x3', 0), ('dil_conv_5x5', 2)], reduce_concat=range(2, 6))""",
    "PDARTS": """genotype = Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1),
        ('skip_connect', 0),('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3),
        ('sep_conv_3x3',0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6),
        reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2),
        ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)],
        reduce_concat=range(2, 6))""",
}
TASK = Task("cifar10", 10, 32, "cifar10", "cifar10", 50_000, 10_000)


# Millions of parameters: DARTS_V2 by the authors' code; the others as later papers count them.
@pytest.mark.parametrize(
    ("name", "params_m", "digits"),
    [("DARTS_V2", 3.349342, 6), ("PDARTS", 3.43, 2), ("SNAS", 2.66, 2)],
)
def test_published_genotypes_have_the_published_parameters(name, params_m, digits):
    space = OWN["darts"]
    with torch.device("meta"):
        network = space.build(space.parse(PUBLISHED[name]), TASK, Scale(channels=36, cells=20))
    assert round(footprint(network, 32)[0], digits) == round(params_m, digits)


WRITTEN = {
    "authors'": PUBLISHED["DARTS_V2"],
    "ours": DARTS_V2,
    "quotes": DARTS_V2.replace("'", '"'),
    "tight": DARTS_V2.replace(" ", ""),
    "wide": DARTS_V2.replace("(", " (\n ").replace("=", " =\t").replace("[", "[\r\n") + "\n",
    "assigned": f"\n  genotype_1={DARTS_V2}  \n",
    "commas": DARTS_V2.replace(")]", "),\n]").replace("range(2, 6))", "(2, 3, 4, 5,),)"),
    "list": DARTS_V2.replace("range(2, 6)", "list(range(2, 6))"),
    "by node": re.sub(r"(\('\w+', \d\), \('\w+', \d\))", r"[\1]", DARTS_V2),
    "node tuples": re.sub(r"(\('\w+', \d\)), (\('\w+', \d\))", r"(\1, \2)", DARTS_V2),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_genotype_may_be_written_as_the_field_does(text):
    space = OWN["darts"]
    assert space.text(space.parse(text)) == space.text(space.parse(DARTS_V2))


# The normal cell of UNAS on ImageNet and the reduction cell on CIFAR-10, in numbers and in names.
UNAS = """UNAS_CIFAR10 = Genotype(normal=[[{'inputs': [0, 1], 'ops': [1, 0]},
        {'inputs': [0, 1], 'ops': [1, 0]}, {'inputs': [1, 0], 'ops': [1, 4]},
        {'inputs': [0, 1], 'ops': [1, 3]}]], normal_concat=range(2, 6),
    reduce=[[{'inputs': [0, 0], 'ops': [1, 4]}, {'inputs': [1, 0], 'ops': [0, 1]},
        {'inputs': [1, 0], 'ops': [5, 0]}, {"inputs": [3, 1], "ops": [4, 5]}]],
    reduce_concat=range(2, 6), alphas_normal=None, alphas_reduce=None)"""
UNAS_NAMED = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 1), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1)], normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), "
    "('sep_conv_5x5', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), ('avg_pool_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_5x5', 3), ('avg_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def test_unas_numbers_its_operations():
    space = OWN["darts_unas"]
    assert space.text(space.parse(UNAS)) == UNAS_NAMED
    # Another space with those operations, in another order, reads them by what they mean.
    other = DARTS(
        kind=Kind.factorised, operations=["avg_pool_3x3", *reversed(space.operations[:5])]
    )
    assert other.text(other.parse(UNAS)) == UNAS_NAMED


def test_bananas_numbers_nodes_first():
    """The pairs of DARTS_V2: 3 is skip_connect, 1 max_pool_3x3, because 0 is none."""
    pairs = """([(0, 4), (1, 4), (0, 4), (1, 4), (0, 3), (1, 4), (0, 3), (2, 6)],
        [(0, 1), (1, 1), (1, 1), (2, 3), (0, 1), (2, 3), (2, 3), (1, 1)])"""
    space = OWN["darts"]
    for text in (pairs, pairs.replace("[", "(").replace("]", ")"), f"arch = {pairs}\n"):
        assert space.text(space.parse(text)) == space.text(space.parse(DARTS_V2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("([(0, 0), (1, 4)", "in BANANAS's numbers this is none, which the space lacks at char"),
        ("([(0, 8), (1, 4)", "expected an operation from 0 to 7"),
        ("([(0, 4), (0, 4)", "the node reads node 0 already"),
        ("([(2, 4), (0, 4)", "expected a node from 0 to 1"),
        ("Genotype(normal=[[{'inputs': [0, 1], 'ops': [6, 0]", "this is sep_conv_7x7, which"),
        ("Genotype(normal=[[{'inputs': [0, 0], 'ops': [1, 0]}", "the node reads node 0 already"),
        ("Genotype(normal=[[{'input': [0, 0]", "expected 'inputs'"),
    ],
)
def test_other_numbers_are_refused_with_the_place(text, message):
    with pytest.raises(ConfigError, match=message):
        OWN["darts"].parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("range(2, 6), reduce", "range(2, 5), reduce", r"expected '6' at character 210"),
        ("range(2, 6), reduce", "[2, 3, 5], reduce", r"expected '4' at character"),
        ("range(2, 6), reduce", "[2, 3, 4, 5, 6], reduce", r"expected ']' at character"),
        ("('sep_conv_3x3', 0)", "('none', 0)", "expected one of max_pool_3x3"),
        ("('sep_conv_3x3', 0)", "('sep_conv_3x3\", 0)", "expected one of max_pool_3x3"),
        ("('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)", "expected a node from 0 to 1"),
        ("('sep_conv_3x3', 0)", "('sep_conv_3x3', -1)", "expected a node from 0 to 1"),
        ("('sep_conv_3x3', 0)", f"('sep_conv_3x3', {'9' * 9000})", "expected a node from 0 to 1"),
        ("('sep_conv_3x3', 0)", "('sep_conv_3x3', 1)", "the node reads node 1 already"),
        ("Genotype", "a b = Genotype", "expected 'Genotype'"),
        ("reduce_concat", "reduced", "expected 'reduce_concat'"),
    ],
)
def test_other_genotypes_are_refused_with_the_place(old, new, message):
    with pytest.raises(ConfigError, match=message.replace("]", r"\]")):
        OWN["darts"].parse(DARTS_V2.replace(old, new, 1))


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
