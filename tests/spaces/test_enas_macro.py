"""ENAS's macro space: the authors' architecture, counts, and footprints against the networks."""

import numpy as np
import pytest

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.nets.macro_plan import MacroLayer, halvings, read_later
from nasrun.spaces.enas_macro import OPERATIONS, ENASMacro
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

TASK = Task("toy", 7, 9, "toy", "toy", 10, 10)
# [EN] scripts/cifar10_macro_final.sh, layer by layer.
PUBLISHED = """
0 | 3 0 | 0 1 0 | 2 0 0 1 | 2 0 0 0 0 | 3 1 1 0 1 0 | 2 0 0 0 0 0 1 | 2 0 1 1 0 1 1 1
| 1 0 1 1 1 0 1 0 1 | 0 0 0 0 0 0 0 0 0 0 | 2 0 0 0 0 0 1 0 0 0 0 | 0 1 0 0 1 1 0 0 0 0 1 1
| 2 0 1 0 0 0 0 0 1 0 1 1 0 | 1 0 0 1 0 0 0 1 1 1 0 1 0 1 | 0 1 1 0 1 0 1 0 0 0 0 0 1 0 0
| 2 0 0 1 0 0 0 0 0 0 0 1 0 1 0 1 | 2 0 1 0 0 0 1 0 0 1 1 1 1 0 0 1 0
| 2 0 0 0 0 1 0 1 0 1 0 0 1 0 1 0 0 1 | 3 0 1 1 0 1 0 0 0 0 0 1 0 1 0 1 0 0 0
| 3 0 1 1 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1 | 0 1 0 0 1 0 1 1 0 0 0 1 0 0 0 0 0 1 1 0 0
| 3 0 1 0 1 1 0 0 1 0 1 1 0 1 1 0 1 0 0 1 0 0 | 0 1 0 1 0 1 0 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0 0
| 0 1 1 0 0 0 1 1 1 0 1 0 0 0 1 0 1 0 0 1 1 0 0 0
"""


def test_twelve_layers_are_twelve_operations_and_66_skips():
    space = ENASMacro()
    assert len(space.decisions) == 78
    assert sum(options == ("none", "skip") for options in space.decisions) == 66
    assert space.size == 6**12 * 2**66


def test_the_published_architecture_is_read():
    space = ENASMacro(layers=24, operations=list(OPERATIONS[:4]))
    text = " ".join(PUBLISHED.replace("|", " ").split())
    arch = space.parse(text)
    assert space.text(arch) == text
    plan = space.plan(arch)
    assert len(plan) == 24
    assert plan[0] == MacroLayer("conv_3x3", ())
    assert plan[3] == MacroLayer("conv_5x5", (2,))
    assert plan[5] == MacroLayer("sep_conv_5x5", (0, 1, 3))
    assert halvings(24) == (8, 16)


def test_what_no_layer_reads_is_not_kept():
    layers = [MacroLayer("conv_3x3", skips) for skips in ((), (0,), (1,), (0, 3), (3,), ())]
    assert [read_later(layers, after) for after in (2, 4)] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("layers", [3, 7])
def test_footprints_are_those_of_the_networks(layers):
    space = ENASMacro(layers=layers)
    archs = space.sample(Streams(range(6)))
    params, flops = space.footprint(archs, TASK)
    for arch, *figures in zip(archs, params, flops, strict=True):
        network = space.build(arch, TASK, Scale())
        assert footprint(network, TASK.image_px) == pytest.approx(tuple(figures), abs=1e-12)


def test_a_graph_has_an_edge_for_each_layer_and_each_skip():
    space = ENASMacro(layers=3)
    arch = space.parse("0 3 1 5 0 1")
    dag = space.dag(arch[None])
    edges = np.argwhere(dag.adjacency[0]).tolist()
    assert edges == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [3, 4]]
    names = [space.dag_operations[at] for at in dag.operations[0]]
    assert names == ["input", "conv_3x3", "sep_conv_5x5", "max_pool_3x3", "output"]
    assert space.graph(arch) == [
        ("0", "1", "conv_3x3"), ("1", "2", "sep_conv_5x5"), ("0", "2", "skip"),
        ("2", "3", "max_pool_3x3"), ("1", "3", "skip"),
    ]  # fmt: skip


def test_what_it_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"space\.layers must be in \[3, 99\], got 2"):
        ENASMacro(layers=2)
    with pytest.raises(ConfigError, match=r"different ones of conv_3x3, .* got conv_3x3, conv_3x3"):
        ENASMacro(operations=["conv_3x3", "conv_3x3"])
    with pytest.raises(UnsupportedError, match=r"set space\.layers"):
        ENASMacro().build(np.zeros(78, np.int64), TASK, Scale(cells=2))
    with pytest.raises(UnsupportedError, match="could bypass"):
        ENASMacro().supernet(TASK, Scale(), share=2)
