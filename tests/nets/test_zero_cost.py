import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nasrun.nets.zen import REPEATS
from nasrun.nets.zero_cost import JACOV_K, PROXIES, _epe_nas, _jacov, proxies
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


def slow_jacobian(net, x):
    """Rows of the Jacobian by differences."""
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
    return rows


def slow_jacov(net, x, _):
    """Correlations by NumPy."""
    values = np.linalg.eigvals(np.corrcoef(slow_jacobian(net, x))).real + JACOV_K
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


def slow_plain(net, x, y):
    pairs = zip(layers(net), loss_gradients(net, x, y), strict=True)
    return sum((layer.weight.detach() * gradient).sum().item() for layer, gradient in pairs)


def slow_nwot(net, x, _):
    """How many ReLUs two images agree in, pair by pair, of those that the logits depend on."""
    kept, relu = [], functional.relu

    def keep(*args, **kwargs):
        kept.append(relu(*args, **kwargs))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "relu", keep)
        logits = net.train()(x)
    agree = np.zeros((len(x), len(x)))
    for output in kept:
        gradient = torch.autograd.grad(logits.sum(), output, retain_graph=True, allow_unused=True)
        if gradient[0] is None:
            continue
        on = output.detach().numpy().reshape(len(x), -1) > 0
        for one in range(len(x)):
            for other in range(len(x)):
                agree[one, other] += (on[one] == on[other]).sum()
    return math.log(np.linalg.det(agree))


def keep_in(kept):
    """A hook that keeps what a layer is given."""
    return lambda _, given: kept.append(given[0].clone())


def slow_zen(net, x, _):
    """The network itself with drawn weights, seen through hooks."""
    generator = torch.Generator().manual_seed(0)

    def normal(like):
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    scores = []
    for _ in range(REPEATS):
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                layer = net.get_submodule(name.rpartition(".")[0])
                if isinstance(layer, nn.Conv2d | nn.Linear) and name.endswith("weight"):
                    parameter.copy_(normal(parameter))
                else:
                    parameter.fill_(float(name.endswith("weight")))
            images = normal(x)
            moved = images + 0.01 * normal(x)
            sigmas, maps = [], []
            norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
            hooks = [norm.register_forward_pre_hook(keep_in(sigmas)) for norm in norms]
            hooks.append(layers(net)[-1].register_forward_pre_hook(keep_in(maps)))
            net.train()(images)
            first = len(sigmas)
            net(moved)
            for hook in hooks:
                hook.remove()
        change = (maps[0] - maps[1]).abs().sum(dim=(1, 2, 3)).mean().item()
        spreads = [x.numpy().var(axis=(0, 2, 3)).mean() ** 0.5 for x in sigmas[:first]]
        scores.append(math.log(change) + sum(math.log(s) for s in spreads if s > 0))
    return np.mean(scores)


SLOW = {
    "plain": slow_plain, "nwot": slow_nwot, "zen": slow_zen,
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


def test_jacov_of_two_images_by_hand():
    """Of a correlation of r the eigenvalues are 1 - r and 1 + r; here r is 1/2."""
    rows = torch.tensor([[1.0, 0.0, -1.0], [1.0, -1.0, 0.0]], dtype=torch.float64)
    wanted = -sum(math.log(v) + 1 / v for v in (0.5 + JACOV_K, 1.5 + JACOV_K))
    assert _jacov(rows) == pytest.approx(wanted)


@pytest.mark.slow
def test_jacov_equals_its_slow_definition_on_ten_random_cells():
    small = batch(4, 4)  # the slow definition needs two passes for every number in the batch
    for index in CELLS:
        expected = slow_jacov(network(index), *small)
        assert proxies(network(index), *small, ["jacov"])["jacov"] == pytest.approx(
            expected, rel=1e-3
        ), index


def test_epe_nas_equals_its_slow_definition_on_three_random_cells():
    x, _ = batch(5, 4)
    y = torch.tensor([2, 0, 2, 2, 3])
    for index in CELLS[:3]:
        rows = slow_jacobian(network(index), x)
        expected = 0.0
        for own in ([0, 2, 3], [1], [4]):
            expected += abs(np.log(np.abs(np.corrcoef(rows[own])) + JACOV_K).sum())
        found = proxies(network(index), x, y, ["epe_nas"])["epe_nas"]
        assert found == pytest.approx(expected, rel=1e-3), index


def test_epe_nas_of_many_classes_compares_them_in_pairs():
    rows = torch.tensor([[1.0, 2, 3, 5], [1, 2, 4, 4], [3, 1, 2, 0]], dtype=torch.float64)
    labels = torch.tensor([7, 7, 90])
    r = np.corrcoef(rows[:2])[0, 1]
    first = (2 * math.log(1 + JACOV_K) + 2 * math.log(r + JACOV_K)) / 2
    second = math.log(1 + JACOV_K)
    assert _epe_nas(rows, labels, 101) == pytest.approx(2 * abs(first - second) / 2)
    assert _epe_nas(rows, labels, 100) == pytest.approx(abs(2 * first) + abs(second))


def test_nwot_by_hand():
    """Two images, three ReLUs: codes 101 and 001 agree in two of three."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.eye(3))
    x = torch.tensor([[1.0, -1, 1], [-1, -1, 1]]).reshape(2, 3, 1, 1)
    found = proxies(net, x, torch.tensor([0, 1]), ["nwot"])["nwot"]
    assert found == pytest.approx(math.log(3 * 3 - 2 * 2))


def test_zen_of_a_linear_network_by_hand():
    """f(x) = w x, so f moves by alpha w e, whatever x is."""
    net = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)
    )
    x, generator = torch.zeros(2, 1, 2, 2), torch.Generator().manual_seed(5)
    expected = []
    for _ in range(REPEATS):
        weight = torch.randn(1, 1, 1, 1, generator=generator)
        torch.randn(2, 1, generator=generator)
        torch.randn(x.shape, generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        expected.append(math.log(0.01 * (weight * noise).abs().sum().item() / 2))
    found = proxies(net, x, torch.zeros(2), ["zen"], seed=5)["zen"]
    assert found == pytest.approx(np.mean(expected), abs=1e-4)
    assert found != proxies(net, x, torch.zeros(2), ["zen"], seed=6)["zen"]


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
