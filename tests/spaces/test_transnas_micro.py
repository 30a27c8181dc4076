import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nasrun.errors import ConfigError
from nasrun.nets.footprint import footprint
from nasrun.spaces.transnas_micro import EDGES, TransNASMicro
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = TransNASMicro()
TASK = Task("class_object", 75, 64, "t", "t", 1, 1)
ARCHS = arrays.arrays(np.int64, 6, elements=st.integers(0, 3))


def of(text):
    return SPACE.parse(f"64-41414-{text}")


def test_there_are_4096_cells_and_as_many_texts():
    archs = SPACE.at(np.arange(SPACE.size))
    assert SPACE.size == 4096
    assert len({SPACE.text(arch) for arch in archs}) == 4096


def test_the_example_of_the_authors():
    """Their README: node 1 skips node 0; node 2 = none(0) + 1x1(1); node 3 = 3x3 of all three."""
    arch = of("1_02_333")
    assert arch.tolist() == [1, 0, 2, 3, 3, 3]
    assert SPACE.text(arch) == "64-41414-1_02_333"
    assert SPACE.graph(arch) == [
        ("0", "1", "skip_connect"), ("0", "2", "none"), ("1", "2", "nor_conv_1x1"),
        ("0", "3", "nor_conv_3x3"), ("1", "3", "nor_conv_3x3"), ("2", "3", "nor_conv_3x3"),
    ]  # fmt: skip


@given(ARCHS)
def test_texts_and_naslibs_tuples_are_read_back(arch):
    np.testing.assert_array_equal(SPACE.parse(f" {SPACE.text(arch)}\n"), arch)
    np.testing.assert_array_equal(SPACE.parse(str(tuple(arch.tolist()))), arch)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("64-41414-1_02_334", "digit from 0 to 3 at character 17"),
        ("64-41414-1_0233", "expected '_' at character 14"),
        ("64-1234-basic", "expected '64-41414-' at character 1"),
        ("64-41414-1_02_3333", "should end"),
        ("(0, 1, 2)", "expected ','"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_cells_that_are_one_function_have_one_key():
    same = [
        ("3_00_300", "0_00_300"),  # what leads nowhere leaves no trace
        ("2_03_001", "2_00_030"),  # a skip between inner nodes is the node that it comes from
        ("2_13_001", "2_10_031"),  # also one that is a sum
    ]
    for one, other in same:
        assert SPACE.canonical(of(one)) == SPACE.canonical(of(other)), (one, other)
    differ = [
        ("1_00_030", "0_00_300"),  # a skip on the input has weights in a halving cell
        ("0_00_030", "0_00_000"),  # the normalisation of a convolution of zeros learns a bias
        ("3_00_010", "2_00_010"),
    ]
    for one, other in differ:
        assert SPACE.canonical(of(one)) != SPACE.canonical(of(other)), (one, other)


@pytest.mark.slow
def test_one_key_means_one_function():
    """Cells of a key, given the same weights by what they compute, have the same output."""
    _same_outputs(200)


def test_one_key_means_one_function_in_some_cells():
    _same_outputs(12)


def _same_outputs(groups):
    from nasrun.nets.nb201 import Cell

    by_key = {}
    for arch in SPACE.at(np.random.default_rng(0).permutation(SPACE.size)):
        by_key.setdefault(SPACE.canonical(arch), []).append(arch)
    shared = [archs for archs in by_key.values() if len(archs) > 1][:groups]
    assert len(shared) == groups
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    for archs in shared:
        outputs = [_output(Cell(SPACE.graph(arch), 4, 8, 2), arch, x) for arch in archs]
        for other in outputs[1:]:
            torch.testing.assert_close(other, outputs[0], rtol=1e-4, atol=1e-5)


def _output(cell, arch, x):
    """The cell's output, with weights that depend on an operation and on what it reads alone."""
    nodes, sums = {0: ("0",)}, {1: [], 2: [], 3: []}
    for option, (node, source) in zip(arch, EDGES, strict=True):
        name = f"{source}-{node}"
        read = f"({'+'.join(nodes[source])})@{option}"
        if option == 1 and source:
            sums[node] += nodes[source]
        elif option:
            sums[node].append(read)
        if option and name in cell.operations:
            generator = torch.Generator().manual_seed(zlib.crc32(read.encode()))
            for parameter in cell.operations[name].parameters():
                parameter.data = torch.randn(parameter.shape, generator=generator) / 4
        if source == node - 1:
            nodes[node] = tuple(sorted(sums[node]))
    with torch.no_grad():
        return cell.eval()(x)


def test_formulas_count_what_networks_have():
    """FLOPs of dead ends count in the formula, as the benchmark's networks compute them."""
    archs = SPACE.sample(Streams(range(10), "networks"))
    archs = np.concatenate([archs, 1 + archs % 3])  # the latter have no dead ends
    params, flops = SPACE.footprint(archs, TASK)
    for at, arch in enumerate(archs):
        with torch.device("meta"):
            network = SPACE.build(arch, TASK, Scale())
        counted = footprint(network, TASK.image_px)
        assert counted[0] == pytest.approx(params[at], rel=1e-9)
        if at >= 10:
            assert counted[1] == pytest.approx(flops[at], rel=1e-9)
        assert counted[1] <= flops[at] * (1 + 1e-9)


def test_networks_halve_five_times():
    network = SPACE.build(of("1_02_333"), TASK, Scale(channels=8, cells=2))
    x = torch.randn(4, 3, 64, 64)
    assert network.features(x).shape == (4, 64, 2, 2)
    assert len(network.cells) == 10


def test_ten_networks_learn():
    for arch in SPACE.sample(Streams(range(10), "learn")):
        network = SPACE.build(arch, TASK, Scale(channels=4, cells=1))
        x = torch.randn(4, 3, 16, 16)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()


@pytest.mark.data
def test_the_published_table_lists_every_cell(data_dir):
    import pandas as pd

    table = pd.read_csv(data_dir / "transnas" / "transbench101_micro.csv.gz")
    archs = np.array([SPACE.parse(text) for text in table["arch"]])
    np.testing.assert_array_equal(np.sort(SPACE.index(archs)), np.arange(4096))
    tuples = np.array([SPACE.parse(text) for text in table["naslib_op_indices"]])
    np.testing.assert_array_equal(tuples, archs)
