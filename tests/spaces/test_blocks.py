"""The NASNet family: NASNet, AmoebaNet, PNAS."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch
from test_space_contract import OWN
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.nets.block_cells import INPUTS, Block
from nasrun.nets.footprint import footprint
from nasrun.spaces.nasnet import NASNet
from nasrun.spaces.pnas import PNAS
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

FAMILY = ("nasnet", "amoebanet", "pnas")
every_space = pytest.mark.parametrize("name", FAMILY)
# As DARTS's authors have the published cells in their genotypes.py.
NASNET_A = """NASNet = Genotype(
  normal = [('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0),
    ('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0),
    ('sep_conv_3x3', 1), ('skip_connect', 1), ], normal_concat = [2, 3, 4, 5, 6],
  reduce = [('sep_conv_5x5', 1), ('sep_conv_7x7', 0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0),
    ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), ('avg_pool_3x3', 2),
    ('sep_conv_3x3', 2), ('max_pool_3x3', 1), ], reduce_concat = [4, 5, 6],
)"""
AMOEBANET_A = """AmoebaNet = Genotype(
  normal = [('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2),
    ('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1),
    ('skip_connect', 0), ('avg_pool_3x3', 1), ], normal_concat = [4, 5, 6],
  reduce = [('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2),
    ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1),
    ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5), ], reduce_concat = [3, 4, 6])"""
# The same NASNet-A as its authors' code has it ([NU]), where state 0 is the last cell and 1 the one
# before: operations and states of either cell.
AUTHORS = (
    ("sep5 sep3 sep5 sep3 avg id avg avg sep3 id", "0 1 1 1 0 1 1 1 0 0"),
    ("sep5 sep7 max sep7 avg sep5 id avg sep3 max", "0 1 0 1 0 1 3 2 2 0"),
)
SHORT = {
    "sep3": "sep_conv_3x3", "sep5": "sep_conv_5x5", "sep7": "sep_conv_7x7", "id": "skip_connect",
    "avg": "avg_pool_3x3", "max": "max_pool_3x3",
}  # fmt: skip


def flat(text):
    return "".join(text.replace(",]", "]").replace(",)", ")").split()).partition("=")[2]


@pytest.mark.parametrize(("name", "text"), [("nasnet", NASNET_A), ("amoebanet", AMOEBANET_A)])
def test_published_cells_are_read_and_written(name, text):
    space = OWN[name]
    written = "".join(space.text(space.parse(text)).split())
    assert written == flat(text).replace(",]", "]").replace(",)", ")")


def test_the_authors_own_lists_say_the_same():
    space = OWN["nasnet"]
    cells = []
    for operations, states in AUTHORS:
        names = [space.operations.index(SHORT[one]) for one in operations.split()]
        sources = [{0: 1, 1: 0}.get(int(state), int(state)) for state in states.split()]
        branches = list(zip(names, sources, strict=True))
        pairs = zip(branches[::2], branches[1::2], strict=True)
        cells.append([Block(pair, space.combiners.index("add")) for pair in pairs])
    np.testing.assert_array_equal(space.of_cells(cells), space.parse(NASNET_A))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[4, 5, 6]", "[3, 4, 5, 6]", "expected '4' at character"),
        ("[4, 5, 6]", "range(3, 7)", "expected '4' at character"),
        ("('max_pool_3x3', 1), ]", "('max_pool_3x3', 6)]", "a node from 0 to 5"),
        ("sep_conv_7x7", "sep_conv_9x9", "expected one of skip_connect"),
        ("('sep_conv_3x3', 2)", "'multiply', ('sep_conv_3x3', 2)", "expected one of add, concat"),
        ("('sep_conv_3x3', 2), ", "", "expected '[(]' or"),
    ],
)
def test_other_texts_are_refused_with_the_place(old, new, words):
    assert old in NASNET_A
    with pytest.raises(ConfigError, match=words):
        OWN["nasnet"].parse(NASNET_A.replace(old, new, 1))


def test_a_concatenation_is_named_behind_its_branches():
    space = NASNet(blocks=1, operations=["conv_1x1"], combiners=["add", "concat"])
    text = (
        "Genotype(normal=[('conv_1x1', 0), ('conv_1x1', 1), 'concat'], normal_concat=[2], "
        "reduce=[('conv_1x1', 1), ('conv_1x1', 1)], reduce_concat=[2])"
    )
    arch = space.parse(text.replace("1)], reduce", '1), "add",], reduce'))
    assert arch.tolist() == [0, 1, 0, 0, 1, 1, 1, 0, 0, 0]
    assert space.text(arch) == text
    assert space.graph(arch)[:3] == [
        ("N-2", "N0|", "conv_1x1"), ("N-1", "N0|", "conv_1x1"), ("N0|", "N", "concat"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"operations": ["skip"]}, "space.operations must name some of skip_connect"),
        ({"operations": []}, "space.operations"),
        ({"operations": ["conv_1x1"] * 2}, "each once"),
        ({"combiners": ["multiply"]}, "space.combiners must name some of add, concat"),
        ({"blocks": 0}, "space.blocks"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        NASNet(**{"operations": ["conv_1x1"], "combiners": ["add"], **settings})


# Canonical keys.


def by_brute_force(cell):
    """The least of all ways to number the blocks and to order the branches."""
    numbered = []
    for order in permutations(range(len(cell))):
        new = {INPUTS + old: INPUTS + at for at, old in enumerate(order)}
        blocks = [
            ([(op, new.get(source, source)) for op, source in cell[old].branches], cell[old][1])
            for old in order
        ]
        if all(s < INPUTS + at for at, (pair, _) in enumerate(blocks) for _, s in pair):
            numbered += list(product(*[[(p, c), (p[::-1], c)] for p, c in blocks]))
    return min(numbered)


def test_keys_are_equal_exactly_for_isomorphic_cells():
    """Few operations, so that many of 400 cells are the same network."""
    space = PNAS(blocks=4, operations=["skip_connect", "conv_1x1"], combiners=["add", "concat"])
    some = space.sample(Streams(range(150), "cells"))
    alike = [space.neighbours(arch)[:3] for arch in some[:40]]
    archs = np.unique(np.concatenate([some, *alike]), axis=0)
    keys = [space.canonical(arch) for arch in archs]
    truth = [repr(by_brute_force(space.cells_of(arch)[0])) for arch in archs]
    assert len(set(keys)) == len(set(truth)) == len(set(zip(keys, truth, strict=True)))
    assert len(set(keys)) < len(archs)
    assert [space.canonical(space.parse(key)) for key in keys] == keys


def test_which_of_two_equal_blocks_is_read_matters():
    """A, B equal: C and D read A twice and B with A; or each reads A and B."""
    space = PNAS(blocks=4, operations=["conv_1x1"], combiners=["add"])

    def key(*pairs):
        return space.canonical(space.of_cells([[Block(((0, a), (0, b))) for a, b in pairs]]))

    assert key((0, 0), (0, 0), (2, 2), (3, 2)) != key((0, 0), (0, 0), (2, 3), (2, 3))
    assert key((0, 0), (0, 0), (2, 2), (3, 2)) == key((0, 0), (0, 0), (2, 3), (3, 3))


# PNAS.


def test_pnas_counts_136_cells_of_one_block_and_40800_of_two():
    """Liu et al., section 3.2."""
    space = OWN["pnas"]
    ones = space.extended()
    twos = np.concatenate([space.extended(arch) for arch in ones])
    assert (len(ones), len(space.extended(ones[7])), len(twos)) == (136, 300, 40_800)
    assert len(np.unique(twos, axis=0)) == 40_800
    assert space.exists(twos).all()
    assert (space.sizes(ones) == 1).all()
    assert (space.sizes(twos) == 2).all()


def test_blocks_that_do_not_read_each_other_are_interchangeable():
    """Two operations: 10 first blocks, 21 second ones; 100 of the 210 pairs read no block."""
    space = PNAS(blocks=2, operations=["conv_1x1", "conv_3x3"], combiners=["add"])
    twos = np.concatenate([space.extended(arch) for arch in space.extended()])
    assert len(twos) == 210
    assert len({space.canonical(arch) for arch in twos}) == 210 - 100 + 10 * 11 // 2
    assert len(space.extended(twos[0])) == 0


def test_nothing_follows_an_absent_block():
    space = OWN["pnas"]
    arch = space.extended(space.extended()[0])[5]
    assert space.live(arch[None])[0].tolist() == [True] * 9 + [False] * 11
    assert space.live(arch[None, :])[0, 8]  # whether there is a third block is a choice
    gap = arch.copy()
    gap[12] = 1
    assert space.exists(np.stack([arch, gap])).tolist() == [True, False]
    [adjacency], [operations] = space.dag(arch[None])
    assert (operations[8:17] == -1).all()
    assert not adjacency[8:17].any()
    assert not adjacency[:, 8:17].any()


# Graphs.


def test_a_published_cell_as_a_graph():
    """Inputs, then by block its two operations and their sum, then the output."""
    space = OWN["amoebanet"]
    [adjacency], [operations] = space.dag(space.parse(AMOEBANET_A)[None])
    assert len(operations) == 36
    names = [space.dag_operations[operation] for operation in operations]
    assert names[:9] == [
        "input-2", "input-1", "avg_pool_3x3", "max_pool_3x3", "add", "sep_conv_3x3",
        "sep_conv_5x5", "add", "sep_conv_3x3",
    ]  # fmt: skip
    assert (names[17], names[35]) == ("normal", "reduce")
    assert np.flatnonzero(adjacency[4]).tolist() == [6]  # the first block is read by sep_conv_5x5
    assert np.flatnonzero(adjacency[:, 17]).tolist() == [10, 13, 16]
    assert np.flatnonzero(adjacency[:, 35]).tolist() == [18 + 7, 18 + 10, 18 + 16]
    assert not adjacency[:18, 18:].any()


# Networks.


@every_space
def test_formulas_count_what_networks_have_and_ten_random_cells_learn(name):
    """On images whose width is even at first and odd when it is halved."""
    space, px = replace(OWN[name], channels=4, cells=1), 6
    task = Task("toy", 3, px, "toy", "toy", 10, 10)
    archs = space.sample(Streams(range(10), "networks"))
    params, flops = space.footprint(archs, task)
    x, y = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0)), torch.arange(2)
    for arch, millions in zip(archs, zip(params, flops, strict=True), strict=True):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            network = space.build(arch, task, Scale())
        assert footprint(network, px) == pytest.approx(millions, rel=1e-9)
        network.drop_path = 0.1
        optimizer = torch.optim.SGD(network.parameters(), 0.05)
        for _ in range(2):
            output, second = network(x)
            optimizer.zero_grad()
            (F.cross_entropy(output, y) + F.cross_entropy(second, y)).backward()
            optimizer.step()
        assert torch.isfinite(network.eval()(x)).all()
        cells = space.cells_of(arch)
        if all(1 in {source for block in cell for _, source in block.branches} for cell in cells):
            assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "text", "millions"),
    # Published: 3.3 for NASNet-A, whose normal cell has the cell before beside its blocks, and 3.2.
    [("nasnet", NASNET_A, 3.06), ("amoebanet", AMOEBANET_A, 3.15)],
)
def test_published_cells_have_about_the_published_parameters(name, text, millions):
    space = OWN[name]
    task = Task("cifar10", 10, 32, "", "", 1, 1)
    [params], _ = space.footprint(space.parse(text)[None], task)
    assert round(params, 2) == millions
