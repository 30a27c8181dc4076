"""The grouped supernet against one module per operation, and its promises about mixing rows."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.nets.classification import Classification
from nasrun.nets.nb201 import Skeleton, topology_stages
from nasrun.nets.nb201_supernet import EDGES, NB201Supernet, SharedCell, edge
from nasrun.nets.operations import operation
from nasrun.spaces.nb201 import OPERATIONS

CHANNELS, CELLS, CLASSES, BATCH = 4, 1, 3, 6
OBJECTIVE = Classification(CLASSES)


class PlainCell(nn.Module):
    """A module for every operation of every edge, and a loop over all of them."""

    def __init__(self, channels):
        super().__init__()
        self.options = nn.ModuleList(
            nn.ModuleList(operation(name, channels, channels, 1, False) for name in OPERATIONS)
            for _ in EDGES
        )

    def forward(self, x, rows):
        nodes = [x]
        for target in range(1, 4):
            edges = [edge(target, source) for source in range(target)]
            terms = [
                rows[at][option] * module(node)
                for node, at in zip(nodes, edges, strict=True)
                for option, module in enumerate(self.options[at])
            ]
            nodes.append(sum(terms))
        return nodes[-1]


@pytest.fixture(scope="module")
def nets():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        ours = NB201Supernet(OPERATIONS, CHANNELS, CELLS, OBJECTIVE)
        plain = Skeleton(lambda _, c: PlainCell(c), topology_stages(CHANNELS, CELLS), OBJECTIVE)
    for name in ("stem", "norm", "classifier"):
        getattr(plain, name).load_state_dict(getattr(ours.skeleton, name).state_dict())
    for one, two in zip(ours.skeleton.cells, plain.cells, strict=True):
        if not isinstance(one, SharedCell):
            two.load_state_dict(one.state_dict())
            continue
        width = one._width
        for at, (target, source) in enumerate(EDGES):
            part = slice((target - source - 1) * width, (target - source) * width)
            for option, name in ((2, "nor_conv_1x1"), (3, "nor_conv_3x3")):
                weight = one.fans[name][source].conv.weight[part]
                two.options[at][option].conv.weight.data.copy_(weight.detach())
                two.options[at][option].conv.bias.data.zero_()
    return ours, plain


def images(count=BATCH):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def soft_rows(seed=0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    return [F.softmax(torch.randn(*batch, 5, generator=generator), -1) for _ in EDGES]


def one_hot(options):
    return [F.one_hot(torch.tensor(option), 5).float() for option in options]


@pytest.mark.parametrize("training", [True, False])
def test_a_mixture_equals_the_plain_sum_over_options(nets, training):
    ours, plain = (net.train(training) for net in nets)
    rows = [row.requires_grad_() for row in soft_rows()]
    x = images()
    first, second = ours(x, rows), plain(x, rows)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    weigh = torch.linspace(-1, 1, CLASSES)
    gradients = [torch.autograd.grad((y @ weigh).sum(), rows) for y in (first, second)]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [(3, 1, 2, 4, 0, 3), (0, 0, 2, 1, 3, 0), (0,) * 6, (1,) * 6])
def test_a_one_hot_row_equals_the_plain_network(nets, options):
    ours, plain = (net.train() for net in nets)
    rows = one_hot(options)
    torch.testing.assert_close(ours(images(), rows), plain(images(), rows), atol=1e-5, rtol=1e-4)


def test_rows_by_image_equal_images_one_by_one(nets):
    ours = nets[0].eval()  # batch statistics would be of other batches
    x = images()
    for rows in (
        soft_rows(2, (BATCH,)),
        [F.one_hot(r.argmax(-1), 5).float() for r in soft_rows(3, (BATCH,))],
    ):
        together = ours(x, rows)
        alone = [ours(x[i : i + 1], [row[i] for row in rows]) for i in range(BATCH)]
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("hard", [True, False])
def test_an_option_that_some_image_wants_is_normalised_over_the_whole_batch(nets, hard):
    ours, plain = (net.train() for net in nets)
    rows = soft_rows(3, (BATCH,))
    if hard:
        rows = [F.one_hot(row.argmax(-1), 5).float() for row in rows]
    ours.least = 0.05
    try:
        found = ours(images(), rows)
    finally:
        ours.least = None
    by_option = [(row * (row >= 0.05).any(dim=0)).T[:, :, None, None, None] for row in rows]
    torch.testing.assert_close(found, plain(images(), by_option), atol=1e-5, rtol=1e-4)


def test_options_that_no_image_gives_the_least_weight_are_not_computed(nets):
    ours, rows = nets[0].train(), soft_rows(5, (BATCH,))
    low = torch.tensor([0.24, 0.24, 0.24, 0.04, 0.24]).expand(BATCH, 5).clone().requires_grad_()
    rows[edge(1, 0)] = low
    ours.least = 0.05
    try:
        gradient = torch.autograd.grad(ours(images(), rows).square().sum(), low)[0]
    finally:
        ours.least = None
    assert (gradient[:, 3] == 0).all()  # it has its place, but no effect
    assert (gradient[:, 2] != 0).all()


def test_options_of_weight_zero_are_not_computed(nets):
    ours = nets[0].train()
    for options in ((3, 1, 2, 4, 0, 3), (1,) * 6):
        ours.zero_grad()
        ours(images(), one_hot(options)).sum().backward()
        cell = ours.skeleton.cells[0]
        for name, kernel in (("nor_conv_1x1", 2), ("nor_conv_3x3", 3)):
            used = {source for at, (_, source) in enumerate(EDGES) if options[at] == kernel}
            touched = {
                s for s, fan in enumerate(cell.fans[name]) if fan.conv.weight.grad is not None
            }
            assert touched <= used


def test_zero_weights_keep_their_gradient(nets):
    rows = [row.requires_grad_() for row in one_hot((3, 1, 2, 4, 0, 3))]
    gradients = torch.autograd.grad(nets[0](images(), rows).square().sum(), rows)
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_a_straight_through_row_is_the_single_path_with_a_gradient_for_all_logits(nets):
    from nasrun.nets.estimators import straight_through, uniforms

    ours = nets[0].train()
    logits = [
        torch.randn(5, generator=torch.Generator().manual_seed(i)).requires_grad_()
        for i in range(6)
    ]
    noise = uniforms([5] * 6, 1, torch.Generator().manual_seed(4))
    rows = [row[0] for row in straight_through(logits, noise, 1.0)]
    options = [int(row.argmax()) for row in rows]
    assert any(options)
    y = ours(images(), rows)
    torch.testing.assert_close(y, ours(images(), one_hot(options)))
    gradients = torch.autograd.grad((y @ torch.linspace(-1, 1, CLASSES)).sum(), logits)
    live = [at for at, option in enumerate(options) if option]
    assert any((gradients[at] != 0).all() for at in live)


def test_channels_that_bypass_the_operations_get_the_weight_of_the_row():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        cell = NB201Supernet(OPERATIONS, 8, 1, OBJECTIVE, share=4).skeleton.cells[0]
    from nasrun.nets.supernet import plan

    x = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    skips = [torch.tensor([0.0, 0.5, 0.0, 0.0, 0.0])] * 6
    y = cell(x, plan(skips))
    # Skip-connections alone: node 3 is a linear function of x with a shuffle at every node.
    shuffle = lambda t: t.view(2, 4, 2, 4, 4).transpose(1, 2).reshape(2, 8, 4, 4)  # noqa: E731
    one = shuffle(0.5 * x)
    two = shuffle(0.5 * x + 0.5 * one)
    torch.testing.assert_close(y, shuffle(0.5 * x + 0.5 * one + 0.5 * two))


def test_drop_path_and_skip_dropout_act_in_training_alone(nets):
    ours = nets[0]
    rows, x = soft_rows(5), images()
    ours.noise = torch.Generator().manual_seed(0)
    for knob in ("drop_path", "skip_dropout"):
        plainly = ours.eval()(x, rows)
        setattr(ours, knob, 0.5)
        torch.testing.assert_close(ours.eval()(x, rows), plainly)
        with_noise = [ours.train()(x, rows) for _ in range(2)]
        assert not torch.allclose(*with_noise)
        setattr(ours, knob, 0.0)
    ours.noise = None


def test_sizes_count_the_weights_of_an_option(nets):
    ours = nets[0]
    kernels = {
        "none": 0,
        "skip_connect": 0,
        "nor_conv_1x1": 1,
        "nor_conv_3x3": 9,
        "avg_pool_3x3": 0,
    }
    widths = [CHANNELS * factor for factor in (1, 2, 4)]
    for row in ours.sizes():
        for option, name in enumerate(OPERATIONS):
            assert row[option] == kernels[name] * sum(width**2 for width in widths)


def test_derived_architectures_are_the_rows_best_options(nets):
    scores = [row.numpy() for row in soft_rows(6)]
    assert nets[0].derive(scores).tolist() == [int(row.argmax()) for row in scores]
    assert len(list(itertools.chain(*nets[0].groups))) == len(EDGES)


@pytest.mark.parametrize("kind", ["shared", "by image", "hard by image"])
def test_short_numbers_give_nearly_the_same(nets, kind):
    ours, x = nets[0].eval(), images()
    rows = soft_rows(7, () if kind == "shared" else (BATCH,))
    if kind == "hard by image":
        rows = [F.one_hot(row.argmax(-1), 5).float() for row in rows]
    with torch.autocast("cpu", torch.bfloat16):
        short = ours(x, [row.requires_grad_() for row in rows])
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), ours(x, rows), atol=0.05, rtol=0.05)
    gradients = torch.autograd.grad(short.float().sum(), rows)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
