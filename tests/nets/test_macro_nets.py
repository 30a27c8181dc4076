"""ENAS's shared network and its controller, against the same thing written out."""

import itertools
import math

import numpy as np
import pytest
import torch
from differences import check_gradients
from torch.nn import functional as F

from nasrun.nets.anchor_controller import AnchorController
from nasrun.nets.classification import Classification
from nasrun.nets.macro_supernet import MacroSupernet
from nasrun.spaces.enas_macro import ENASMacro

SPACE = ENASMacro(layers=4, operations=["conv_3x3", "sep_conv_3x3", "max_pool_3x3"])


@pytest.fixture
def net():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return MacroSupernet(SPACE.decisions, 4, 4, Classification(3), track=False)


def one_hot(arch):
    return [torch.eye(n)[option] for n, option in zip(SPACE.arity, arch, strict=True)]


def images(count=6):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def written_out(net, x):
    """Of ``0 1 0 2 1 1 0 0 0 1``: halved after layers 1 and 2; layer 3 reads states 0 and 1."""
    halve = net.halved
    first = net.layers[0].options[0](net.stem(x))
    stem, first = halve["0_1"](net.stem(x)), halve["1_1"](first)
    second = net.layers[1].norm(net.layers[1].options[1](first))
    stem, first, second = halve["0_2"](stem), halve["1_2"](first), halve["2_2"](second)
    third = net.layers[2].norm(net.layers[2].options[2](second) + stem + first)
    fourth = net.layers[3].norm(net.layers[3].options[0](third) + second)
    return net.classifier(fourth)


ARCH = SPACE.parse("0 1 0 2 1 1 0 0 0 1")


def test_the_shared_network_is_what_the_paper_says(net):
    x = images()
    torch.testing.assert_close(net(x, one_hot(ARCH)), written_out(net, x))
    by_image = [row.expand(len(x), -1) for row in one_hot(ARCH)]
    torch.testing.assert_close(net(x, by_image), written_out(net, x))


def test_only_what_is_chosen_gets_a_gradient(net):
    F.cross_entropy(net(images(), one_hot(ARCH)), torch.zeros(6, dtype=torch.int64)).backward()
    reached = {name for name, weight in net.named_parameters() if weight.grad is not None}
    parts = {".".join(name.split(".")[:4]) for name in reached if name.startswith("layers")}
    layers = {tuple(part.split(".")[1:4:2]) for part in parts}
    assert layers == {("0", "0"), ("1", "1"), ("2", "2"), ("3", "0")}
    halved = {name.split(".")[1] for name in reached if name.startswith("halved")}
    assert halved == {"0_1", "1_1", "0_2", "1_2", "2_2"}


def test_what_nobody_skips_to_is_not_halved(net):
    plain = SPACE.parse("0 1 0 2 0 0 0 0 0 0")
    F.cross_entropy(net(images(), one_hot(plain)), torch.zeros(6, dtype=torch.int64)).backward()
    reached = {name for name, weight in net.named_parameters() if weight.grad is not None}
    halved = {name.split(".")[1] for name in reached if name.startswith("halved")}
    assert halved == {"1_1", "2_2"}


def test_sizes_stand_in_the_order_of_the_decisions(net):
    sizes = net.sizes()
    assert [len(row) for row in sizes] == SPACE.arity.tolist()
    conv = sum(w.numel() for w in net.layers[1].options[0].parameters())
    assert float(sizes[1][0]) == conv
    assert float(sizes[2].sum()) == 0.0


# The controller


def controller(layers=3, operations=2, prior=0.4, temperature=1.0):
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        made = AnchorController(layers, operations, 5, 1.5, temperature, prior)
        for parameter in made.parameters():
            parameter.data.mul_(10.0)  # so that anchors matter
    return made.double()


def everyone(layers, operations):
    arity = [n for layer in range(layers) for n in (operations, *[2] * layer)]
    return torch.tensor(list(itertools.product(*map(range, arity))))


@torch.no_grad()
def test_probabilities_of_all_networks_sum_to_one():
    made, archs = controller(), everyone(3, 2)
    judged = made.judge(archs, None)
    p = judged.log_p.exp()
    assert len(archs) == 64
    assert float(p.sum()) == pytest.approx(1.0)
    assert torch.equal(judged.archs, archs)
    # The entropies on the way are, on average, that of the whole distribution.
    assert float((p * judged.entropy).sum()) == pytest.approx(-float((p * judged.log_p).sum()))


@torch.no_grad()
def test_draws_come_as_often_as_the_policy_says():
    """3,000 draws, a fixed seed: the most probable network's share within 4 standard errors."""
    made = controller()
    drawn = made(3000, torch.Generator().manual_seed(0), None)
    torch.testing.assert_close(made.judge(drawn.archs, None).log_p, drawn.log_p)
    archs = everyone(3, 2)
    p = made.judge(archs, None).log_p.exp()
    best = int(p.argmax())
    share = float((drawn.archs == archs[best]).all(dim=1).double().mean())
    wanted = float(p[best])
    assert abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 3000)


def test_a_layer_reads_the_anchors_that_it_skips_to():
    """Written out for one network of three layers."""
    made, arch = controller(prior=0.3, temperature=2.0), [1, 0, 1, 1, 1, 1]
    judged = made.judge(torch.tensor([arch]), None)
    zero = torch.zeros(1, 5, dtype=torch.float64)

    def bounded(logits):
        return 1.5 * torch.tanh(logits / 2.0)

    def step(x, option, state):
        state = made.lstm(x, state)
        p = F.log_softmax(bounded(made.operation(state[0])), -1)[0, option]
        return p, made.lstm(made.taken(torch.tensor([option])), state)

    def skip(anchor, here):
        return made.weigh(torch.tanh(made.earlier(anchor) + made.here(here)))[0, 0]

    def distance(q):
        found = [torch.sigmoid(bounded(sign * q)) for sign in (-1, 1)]
        return sum(s * torch.log(s / p) for s, p in zip(found, (0.7, 0.3), strict=True))

    one, state = step(made.start, 1, (zero, zero))
    anchors = [state[0]]
    two, state = step(made.start, 0, state)
    q = skip(anchors[0], state[0])
    total = one + two + F.logsigmoid(2 * bounded(q))
    distances = [distance(q)]
    x = anchors[0] / 2
    anchors.append(state[0])
    three, state = step(x, 1, state)
    qs = [skip(anchor, state[0]) for anchor in anchors]
    total = total + three + sum(F.logsigmoid(2 * bounded(q)) for q in qs)
    distances.append(sum(map(distance, qs)))
    torch.testing.assert_close(judged.log_p[0], total)
    torch.testing.assert_close(judged.skip_kl[0], sum(distances) / 2)


@pytest.mark.parametrize("name", ["log_p", "entropy", "skip_kl"])
def test_gradients_are_those_of_differences(name):
    made, archs = controller(), everyone(3, 2)[[11, 38, 61]]
    weights = list(made.parameters())
    check_gradients(lambda: getattr(made.judge(archs, None), name).sum(), weights)


@pytest.mark.parametrize("weight", [0.0, 50.0])
def test_a_reward_for_skips_is_held_back_by_the_prior(weight):
    """Reward: the share of skips. Without the penalty nearly all are set, with it under 0.6."""
    made, generator = controller(layers=4), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(made.parameters(), 0.02)
    skips = np.concatenate([[0], *[[0] + [1] * layer for layer in range(1, 4)]]).astype(bool)
    for _ in range(60):
        drawn = made(30, generator, None)
        share = drawn.archs[:, skips].double().mean(dim=1)
        loss = weight * drawn.skip_kl.mean() - (drawn.log_p * (share - share.mean())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = float(made(200, generator, None).archs[:, skips].double().mean())
    assert (found > 0.8) == (weight == 0.0), found
