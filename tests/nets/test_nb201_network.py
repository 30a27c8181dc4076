import zlib
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasrun.nets.classification import Classification
from nasrun.nets.nb201 import Cell, Skeleton
from nasrun.nets.operations import AvgPool, ReLUConvNorm, operation
from nasrun.nets.resnet import ResNet
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

SPACE, SIZES = NB201(), NATSSize()
SMALL = Scale(channels=4, cells=1)


def task_of(px=32, classes=10):
    return Task("toy", classes, px, "toy", "toy", 100, 100)


def flops_m(network, px):
    """Multiplications as the benchmark counts them: one each, and the classifier's biases."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, px, px))
    return (counter.get_total_flops() / 2 + network.classifier.out_features) / 1e6


def params_m(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def archs_by_op_counts():
    """An architecture for each number of 1x1 and 3x3 convolutions; its other edges are skips."""
    for ones in range(7):
        for threes in range(7 - ones):
            yield np.array([2] * ones + [3] * threes + [1] * (6 - ones - threes))


@pytest.mark.parametrize(("px", "classes", "every"), [(32, 10, 1), (16, 120, 9)])
def test_parameters_and_flops_are_the_benchmarks(px, classes, every):
    task = task_of(px, classes)
    archs = np.array(list(archs_by_op_counts()))
    assert len(archs) == 28
    archs = archs[::every]
    expected = SPACE.footprint(archs, task)
    for arch, params, flops in zip(archs, *expected, strict=True):
        network = SPACE.build(arch, task, Scale())
        assert params_m(network) == pytest.approx(params, abs=1e-9)
        assert flops_m(network, px) == pytest.approx(flops, abs=1e-9)


def test_size_space_networks_have_the_benchmarks_parameters_and_flops():
    archs = SIZES.at(np.random.default_rng(0).integers(SIZES.size, size=12))
    expected = SIZES.footprint(archs, task_of())
    for arch, params, flops in zip(archs, *expected, strict=True):
        network = SIZES.build(arch, task_of(), Scale())
        assert params_m(network) == pytest.approx(params, abs=1e-9)
        assert flops_m(network, 32) == pytest.approx(flops, abs=1e-9)


def test_the_size_space_refuses_a_scale():
    with pytest.raises(Exception, match=r"leave evaluator\.channels"):
        SIZES.build(np.zeros(5, int), task_of(), SMALL)


def by_expression(arch, cell):
    """Draw each operation's weights by what it computes, as ``NB201.canonical`` writes it.

    Equal expressions then are equal functions, whichever edge they stand on.
    """
    nodes, sums = {"0": "0"}, defaultdict(list)
    for start, end, name in SPACE.graph(arch):
        source = nodes.setdefault(start, "+".join(sorted(sums[start])))
        zero = name == "none" or source == "#"
        term = "#" if zero else source if name == "skip_connect" else f"({source})@{name}"
        sums[end].append(term)
        module = cell.operations[f"{start}-{end}"] if name != "none" else None
        if isinstance(module, ReLUConvNorm):
            torch.manual_seed(zlib.crc32(term.encode()))
            torch.nn.init.normal_(module.conv.weight)
            if not zero:
                torch.nn.init.normal_(module.norm.weight)
                torch.nn.init.normal_(module.norm.bias)


def test_equal_canonical_forms_compute_the_same():
    # A convolution of a zero node is zero to canonical() and the bias of its normalisation to the
    # network: the two agree as long as that bias is zero, which it is until it is trained. Biases
    # of all other operations are drawn.
    groups = defaultdict(list)
    for arch in SPACE.at(np.arange(SPACE.size)):
        groups[SPACE.canonical(arch)].append(arch)
    assert len(groups) == 6466
    several = sorted(key for key, group in groups.items() if len(group) > 1)
    rng = np.random.default_rng(0)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(), torch.no_grad():
        for key in rng.permutation(several)[:150]:
            outputs = []
            for at in rng.permutation(len(groups[key]))[:3]:
                arch = groups[key][at]
                cell = Cell(SPACE.graph(arch), 3, 3).double()
                by_expression(arch, cell)
                outputs.append(cell(x))
            for other in outputs[1:]:
                torch.testing.assert_close(other, outputs[0])


def straight(cell, edges, x):
    """A cell as the definition reads: every edge is computed, a sum over all incoming ones."""
    nodes = {"0": x}
    for target in ("1", "2", "3"):
        terms = [
            cell.operations[f"{start}-{end}"](nodes[start]) if name != "none" else 0 * x
            for start, end, name in edges
            if end == target
        ]
        nodes[target] = sum(terms)
    return nodes["3"]


def test_a_cell_that_leaves_out_dead_edges_computes_and_learns_the_definition():
    rng = np.random.default_rng(1)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for arch in SPACE.at(rng.integers(SPACE.size, size=120)):
        edges = SPACE.graph(arch)
        cell = Cell(edges, 3, 3).double()
        with torch.no_grad():
            for name, parameter in cell.named_parameters():
                if name.endswith("norm.bias"):
                    parameter.normal_(generator=torch.Generator().manual_seed(2))
        expected, found = straight(cell, edges, x), cell(x)
        torch.testing.assert_close(found, expected)
        parameters = list(cell.parameters())
        if not found.requires_grad:
            assert not expected.requires_grad or not any(
                g is not None and g.abs().max() > 1e-9
                for g in torch.autograd.grad(expected.sum(), parameters, allow_unused=True)
            )
            continue
        weight = torch.randn(found.shape, dtype=torch.float64)
        wanted = torch.autograd.grad((expected * weight).sum(), parameters, allow_unused=True)
        gradients = torch.autograd.grad((found * weight).sum(), parameters, allow_unused=True)
        for parameter, ours, theirs in zip(parameters, gradients, wanted, strict=True):
            zero = torch.zeros_like(parameter)
            torch.testing.assert_close(
                zero if ours is None else ours, zero if theirs is None else theirs
            )


def test_none_and_dead_ends_cost_nothing():
    nothing = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    dead = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    base = flops_m(SPACE.build(nothing, task_of(), Scale()), 32)
    assert flops_m(SPACE.build(dead, task_of(), Scale()), 32) == base
    zero = Cell(SPACE.graph(nothing), 3, 3)(torch.ones(2, 3, 4, 4))
    assert (zero == 0).all()


@pytest.mark.parametrize("px", [7, 16, 28, 33])
def test_any_scale_resolution_and_class_count(px):
    arch = SPACE.at(np.array(9000))
    network = SPACE.build(arch, task_of(px, 7), Scale(channels=6, cells=2))
    assert network(torch.zeros(3, 3, px, px)).shape == (3, 7)
    assert sum(isinstance(module, Cell) for module in network.modules()) == 6


def test_a_skeleton_hands_what_is_shared_to_every_cell():
    class Scaled(torch.nn.Module):
        def forward(self, x, factor):
            return x * factor

    network = Skeleton(lambda c_in, c_out: Scaled(), [[4], [8]], Classification(5)).eval()
    x = torch.randn(2, 3, 8, 8)
    assert network(x, 1.0).shape == (2, 5)
    assert not torch.equal(network(x, 1.0), network(x, 3.0))


@pytest.mark.parametrize(
    "name", ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
)
@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(4, 4, 1), (4, 6, 1), (4, 6, 2)])
def test_operations_have_the_shape_asked_for(name, c_in, c_out, stride):
    for affine in (True, False):
        module = operation(name, c_in, c_out, stride, affine, track=affine)
        assert module(torch.randn(2, c_in, 7, 7)).shape == (2, c_out, *(2 * [-(-7 // stride)]))


def test_a_pool_does_not_count_its_padding():
    assert torch.equal(AvgPool(2, 2, 1, True, True)(torch.ones(1, 2, 5, 5)), torch.ones(1, 2, 5, 5))


def test_resnet_56_has_the_papers_layers():
    network = ResNet(9, 10)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(m.kernel_size == (3, 3) for m in convolutions) == 55
    assert params_m(network) == pytest.approx(0.85, abs=0.01)  # 0.85 M, Table 6
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
