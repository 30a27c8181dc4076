"""Networks and supernets of DARTS cells."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.nets.darts_supernet import DARTSSupernet
from nasrun.nets.footprint import footprint
from nasrun.nets.operations import HalvedSkip, pointwise
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spec import Scale, Task

OPERATIONS = ["skip_connect", "sep_conv_3x3", "max_pool_3x3", "dil_conv_3x3", "avg_pool_3x3"]
TASK = Task("toy", 3, 16, "toy", "toy", 10, 10)
KINDS = pytest.mark.parametrize("kind", Kind)
# The best cells of the DARTS paper (second order), as its authors published them.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
ALL = [
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
    "dil_conv_3x3", "dil_conv_5x5",
]  # fmt: skip


def seeded(make):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return make()


def space(kind=Kind.standard, nodes=2):
    return DARTS(kind=kind, nodes=nodes, operations=OPERATIONS)


def net(kind, **more) -> DARTSSupernet:
    return seeded(lambda: space(kind).supernet(TASK, Scale(4, 3), **more))


def images(count=4):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def soft_rows(network, batch=(), seed=2):
    generator = torch.Generator().manual_seed(seed)
    return [
        F.softmax(torch.randn(*batch, len(options), generator=generator), -1)
        for options in network.rows
    ]


def one_hot(network, arch):
    options = network.rows_of(arch)
    return [
        F.one_hot(torch.tensor(int(option)), len(names)).float()
        for option, names in zip(options, network.rows, strict=True)
    ]


def some_archs(kind, count=6):
    made = space(kind)
    return [made.at(np.array(made.size * at // count + at, object)) for at in range(count)]


def test_the_published_network_has_the_published_number_of_weights():
    """3.3 million by the paper's Table 1, its auxiliary head not counted."""
    sizes = []
    for auxiliary in (False, True):
        made = DARTS(operations=ALL, auxiliary=auxiliary)
        task = Task("cifar10", 10, 32, "", "", 1, 1)
        with torch.device("meta"):
            network = made.build(made.parse(DARTS_V2), task, Scale())
        sizes.append(footprint(network, 32))
    assert round(sizes[0][0], 2) == 3.35
    assert sizes[1] == sizes[0]


def test_published_genotypes_are_read_whatever_the_order_of_branches():
    made = DARTS(operations=ALL)
    arch = made.parse(DARTS_V2)
    assert made.text(made.parse(made.text(arch))) == made.text(arch)
    assert made.canonical(arch) == made.text(arch)
    assert ("N-2", "N0", "sep_conv_3x3") in made.graph(arch)
    assert ("R0", "R1", "skip_connect") in made.graph(arch)


def test_in_training_the_network_has_a_second_head_and_drops_paths():
    made = DARTS(operations=ALL)
    network = seeded(
        lambda: made.build(made.parse(DARTS_V2), Task("t", 5, 32, "", "", 1, 1), Scale(4, 6))
    )
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits, second = network.train()(x)
    assert logits.shape == second.shape == (2, 5)
    assert network.eval()(x).shape == (2, 5)
    network.train().drop_path = 0.5
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        first, other = network(x)[0], network(x)[0]
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("px", [8, 16, 32])
def test_images_of_any_size_fit(px):
    made = space()
    network = made.build(made.at(np.array(7)), TASK, Scale(4, 3))
    assert network.train()(torch.zeros(2, 3, px, px))[1].shape == (2, 3)


@KINDS
def test_cells_that_are_written_one_way_are_read_the_same(kind):
    made = space(kind)
    for arch in some_archs(kind):
        assert made.layout.arch(made.layout.branches(arch)).tolist() == arch.tolist()


def test_equal_branches_in_another_order_are_one_network():
    made = space(Kind.factorised, nodes=1)
    one, two = np.array([0, 1, 1, 3] * 2), np.array([1, 3, 0, 1] * 2)
    assert made.canonical(one) == made.canonical(two)
    assert made.text(one) != made.text(two)


@KINDS
def test_one_hot_rows_are_the_architecture(kind):
    """The architecture derived from an architecture's own rows is that architecture."""
    network = net(kind)
    for arch in some_archs(kind):
        scores = [row.double().numpy() for row in one_hot(network, arch)]
        assert network.derive(scores).tolist() == arch.tolist()


@KINDS
def test_only_the_operations_of_an_architecture_are_computed(kind):
    network = net(kind)
    for arch in some_archs(kind, 3):
        network.zero_grad()
        network(images(), one_hot(network, arch)).sum().backward()
        for cell, reduces in zip(network.cells, network.reduces, strict=True):
            branches = space(kind).layout.branches(arch)[reduces]
            used = {
                (network.layout.edge(source, node), OPERATIONS[op])
                for node, pair in enumerate(branches)
                for op, source in pair
            }
            for at, edge in enumerate(cell.edges):
                for option, module in edge.options.items():
                    name = OPERATIONS[int(option) - (0 if network.layout.factorised else 1)]
                    touched = any(p.grad is not None for p in module.parameters())
                    assert not touched or (at, name) in used


@KINDS
def test_rows_by_image_equal_images_one_by_one(kind):
    network, x = net(kind).eval(), images()
    for rows in (
        soft_rows(network, (4,)),
        [F.one_hot(r.argmax(-1), r.shape[-1]).float() for r in soft_rows(network, (4,), 3)],
    ):
        alone = [network(x[i : i + 1], [row[i] for row in rows]) for i in range(4)]
        torch.testing.assert_close(network(x, rows), torch.cat(alone), atol=1e-5, rtol=1e-4)


@KINDS
def test_every_weight_gets_a_gradient(kind):
    network = net(kind)
    rows = [row.requires_grad_() for row in soft_rows(network)]
    gradients = torch.autograd.grad(network(images(), rows).square().sum(), rows)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all((gradient != 0).any() for gradient in gradients)


def test_edges_of_factorised_cells_are_sums_of_products():
    network = net(Kind.factorised)
    rows = soft_rows(network)
    edges = network.by_edge(rows)
    source, operation, other_source, other = rows[4:8]  # node 1 of the normal cell: 3 sources
    wanted = torch.outer(source, operation) + torch.outer(other_source, other)
    torch.testing.assert_close(torch.stack(list(edges[2:5])), wanted)


def test_overlap_is_one_for_a_node_with_equal_branches():
    network = net(Kind.factorised)
    same = space(Kind.factorised).at(np.array(0))  # all first options
    assert float(network.branch_overlap(one_hot(network, same))) == 4.0  # nodes of both cells
    apart = same.copy()
    apart[1] = 1
    assert float(network.branch_overlap(one_hot(network, apart))) == 3.0
    assert net(Kind.standard).branch_overlap([]) is None


def test_shared_channels_keep_the_shape():
    network = net(Kind.standard, share=4)
    assert network(images(), soft_rows(network)).shape == (4, 3)


@KINDS
def test_sizes_count_the_weights_of_an_option(kind):
    network = net(kind)
    sizes = network.sizes()
    assert len(sizes) == len(network.rows)
    for row, names in zip(sizes, network.rows, strict=True):
        if "sep_conv_3x3" in names:
            assert row[names.index("sep_conv_3x3")] > row[names.index("dil_conv_3x3")] > 0
            assert row[names.index("max_pool_3x3")] == 0


@KINDS
@pytest.mark.parametrize("batch", [(), (4,)])
def test_short_numbers_give_nearly_the_same(kind, batch):
    network, x = net(kind).eval(), images()
    rows = soft_rows(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        short = network(x, rows)
        hard = network(x, [F.one_hot(r.argmax(-1), r.shape[-1]).float() for r in rows])
    assert short.dtype == hard.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), network(x, rows), atol=0.05, rtol=0.05)


@KINDS
def test_pools_are_normalised_as_in_the_code_of_the_paper_that_the_cells_are_of(kind):
    pools = (torch.nn.MaxPool2d, torch.nn.AvgPool2d)
    found = [
        isinstance(option, torch.nn.Sequential)
        for cell in net(kind).cells
        for edge in cell.edges
        for name, option in edge.options.items()
        if (OPERATIONS if kind is Kind.factorised else ["none", *OPERATIONS])[int(name)].endswith(
            "pool_3x3"
        )
        and any(isinstance(part, pools) for part in option.modules())
    ]
    assert len(found) > 0
    assert set(found) == {kind is Kind.standard}


@pytest.mark.parametrize("channels", [3, 4, 8])
def test_a_skip_at_stride_2_by_hand_however_narrow(channels):
    """Channels last, where torch 2.13 wrote past the gradient of a narrow weight and aborted."""
    torch.manual_seed(0)
    skip = HalvedSkip(channels, 4, True, True).to(memory_format=torch.channels_last)
    strides = {conv.stride for conv in skip.convs}
    assert strides == ({(1, 1)} if channels < 8 else {(2, 2)})
    x = torch.randn(6, channels, 5, 6).contiguous(memory_format=torch.channels_last)
    positive = x.clamp(min=0)
    shifted = torch.zeros_like(positive)
    shifted[:, :, :-1, :-1] = positive[:, :, 1:, 1:]
    halves = [
        torch.einsum("bchw,oc->bohw", part[:, :, ::2, ::2], conv.weight[:, :, 0, 0])
        for part, conv in zip((positive, shifted), skip.convs, strict=True)
    ]
    expected = torch.cat(halves, dim=1)
    found = skip(x)
    mean = expected.mean((0, 2, 3), keepdim=True)
    spread = expected.var((0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(found, (expected - mean) / (spread + skip.norm.eps).sqrt())
    found.square().mul(torch.arange(found.numel()).view_as(found) % 7).sum().backward()
    assert all(conv.weight.grad.isfinite().all() for conv in skip.convs)


@pytest.mark.parametrize("channels", [4, 8])
def test_a_pointwise_convolution_is_the_strided_one_and_trains_with_channels_last(channels):
    torch.manual_seed(0)
    plain, own = nn.Conv2d(channels, 16, 1, 2, bias=False), pointwise(channels, 16, 2)
    own.load_state_dict(plain.state_dict())
    own.to(memory_format=torch.channels_last)
    x = torch.randn(8, channels, 9, 6)
    weights = torch.arange(8 * 16 * 5 * 3).view(8, 16, 5, 3) % 7
    (plain(x) * weights).sum().backward()
    found = own(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, plain(x))
    (found * weights).sum().backward()
    torch.testing.assert_close(own.weight.grad, plain.weight.grad)
