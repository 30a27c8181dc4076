import math

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.nets.zero_cost import JACOV_K, PROXIES, proxies
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

SPACE = NB201()
TASK = Task("toy", 4, 8, "toy", "toy", 1, 1)
# Ten cells drawn at random, as most of the space is; all of them have a convolution.
CELLS = [
    int(at) for at in np.random.default_rng(11).integers(SPACE.size, size=40)
    if np.isin(SPACE.at(np.array(at)), (2, 3)).any()
][:10]  # fmt: skip


def network(index):
    with torch.random.fork_rng():
        torch.manual_seed(index)
        return SPACE.build(SPACE.at(np.array(index)), TASK, Scale(3, 1)).double()


def batch(n=6, px=8):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, px, px, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (n,), generator=generator)


def layers(net):
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def loss_gradients(net, x, y):
    """Gradient of each layer's weight, zeros where the loss does not depend on it."""
    net.zero_grad()
    nn.CrossEntropyLoss()(net.train()(x), y).backward()
    weights = [layer.weight for layer in layers(net)]
    return [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]


def slow_snip(net, x, y):
    """Connection sensitivity by its definition: a factor on each weight, at one."""
    total = 0.0
    for layer in layers(net):
        factor = torch.ones_like(layer.weight, requires_grad=True)
        call = torch.func.functional_call
        name = next(n for n, p in net.named_parameters() if p is layer.weight)
        logits = call(net.train(), {name: layer.weight.detach() * factor}, (x,))
        loss = nn.CrossEntropyLoss()(logits, y)
        gradient = torch.autograd.grad(loss, factor, allow_unused=True)[0]
        total += 0.0 if gradient is None else gradient.abs().sum().item()
    return total


def slow_grasp(net, x, y):
    """The Hessian product as the change of the gradient along the gradient."""
    weights = [layer.weight for layer in layers(net)]
    gradients = loss_gradients(net, x, y)
    start = [weight.detach().clone() for weight in weights]
    # As small as a change of the gradient can be told from rounding, along a unit direction.
    length = math.sqrt(sum(g.square().sum().item() for g in gradients))
    step = 1e-6 / length
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, begin, gradient in zip(weights, start, gradients, strict=True):
                weight.copy_(begin + sign * step * gradient)
        ends.append(loss_gradients(net, x, y))
    with torch.no_grad():
        for weight, begin in zip(weights, start, strict=True):
            weight.copy_(begin)
    return sum(
        -((up - down) / (2 * step) * begin).sum().item()
        for up, down, begin in zip(*ends, start, strict=True)
    )


def slow_fisher(net, x, y):
    """Channel by channel, image by image."""
    kept, hooks = [], []
    for layer in layers(net):
        hooks.append(layer.register_forward_hook(lambda _, __, out: kept.append(out)))
    loss = nn.CrossEntropyLoss()(net.train()(x), y)
    for hook in hooks:
        hook.remove()
    total = 0.0
    for activation in kept:
        gradient = torch.autograd.grad(loss, activation, retain_graph=True, allow_unused=True)[0]
        if gradient is None:
            continue
        for channel in range(activation.shape[1]):
            squares = [
                (activation[n, channel] * gradient[n, channel]).sum().item() ** 2
                for n in range(len(activation))
            ]
            total += 0.5 * np.mean(squares)
    return total


def slow_jacov(net, x, _):
    """Rows of the Jacobian by differences, correlations by NumPy."""
    net.train()
    rows, step = np.zeros((len(x), x[0].numel())), 1e-6
    with torch.no_grad():
        for image in range(len(x)):
            for pixel in range(x[0].numel()):
                ends = []
                for sign in (1, -1):
                    moved = x.clone()
                    moved[image].view(-1)[pixel] += sign * step
                    ends.append(net(moved).sum().item())
                rows[image, pixel] = (ends[0] - ends[1]) / (2 * step)
    values = np.linalg.eigvals(np.corrcoef(rows)).real + JACOV_K
    return -sum(math.log(v) + 1 / v for v in values)


def slow_synflow(net, x, _):
    """Each layer's share as the derivative of the flow when that layer alone grows."""
    bare = network_without_norms(net)
    with torch.no_grad():
        for parameter in bare.parameters():
            parameter.abs_()
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64)
    total, step = 0.0, 1e-6
    for layer in layers(bare):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                plain = layer.weight.clone()
                layer.weight.mul_(1 + sign * step)
                ends.append(bare(ones).sum().item())
                layer.weight.copy_(plain)
        total += (ends[0] - ends[1]) / (2 * step)
    return total


class Bare(nn.Module):
    """In the place of a normalisation: it has a bias, which is zero, and does nothing."""

    def __init__(self, channels):
        super().__init__()
        self.bias = torch.zeros(channels)

    def forward(self, x):
        return x


def network_without_norms(net):
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, Bare(child.num_features))
    return net


def slow_grad_norm(net, x, y):
    return sum(math.sqrt((g.numpy() ** 2).sum()) for g in loss_gradients(net, x, y))


def slow_l2(net, *_):
    return sum(math.sqrt((w.weight.detach().numpy() ** 2).sum()) for w in layers(net))


SLOW = {
    "jacov": slow_jacov, "synflow": slow_synflow, "snip": slow_snip, "grasp": slow_grasp,
    "fisher": slow_fisher, "grad_norm": slow_grad_norm, "l2": slow_l2,
}  # fmt: skip


@pytest.fixture(scope="module")
def together():
    return {index: proxies(network(index), *batch()) for index in CELLS}


@pytest.mark.parametrize("name", [name for name in SLOW if name != "jacov"])
def test_a_score_equals_its_slow_definition_on_ten_random_cells(name, together):
    assert len(CELLS) == 10
    for index in CELLS:
        expected = SLOW[name](network(index), *batch())
        assert together[index][name] == pytest.approx(expected, rel=1e-4, abs=1e-9), index


def test_jacov_equals_its_slow_definition_on_ten_random_cells():
    small = batch(4, 4)  # the slow definition needs two passes for every number in the batch
    for index in CELLS:
        expected = slow_jacov(network(index), *small)
        assert proxies(network(index), *small, ["jacov"])["jacov"] == pytest.approx(
            expected, rel=1e-3
        ), index


def test_sizes_are_those_of_the_network(together):
    for index in CELLS:
        count = sum(p.numel() for p in network(index).parameters())
        assert together[index]["params"] == count / 1e6
        assert together[index]["flops"] > 0


def test_scores_alone_are_scores_together_and_the_network_stays_as_it_is(together):
    for index in CELLS[:2]:
        net = network(index)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        for name in PROXIES:
            alone = proxies(net, *batch(), [name])
            assert list(alone) == [name]
            assert alone[name] == pytest.approx(together[index][name], rel=1e-9), name
        for name, tensor in net.state_dict().items():
            assert torch.equal(tensor, before[name]), name
