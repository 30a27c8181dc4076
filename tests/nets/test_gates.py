"""Binary gates against enumerations, the formulas of the paper, and finite differences.

Statistical statements: 1,500 draws with a fixed seed; a share lies within 4 standard errors of its
probability in each of 12 cases (a true sampler fails that with a probability below 1e-3).
"""

import itertools

import pytest
import torch
from torch.nn import functional as F

from nasrun.nets.classification import Classification
from nasrun.nets.gates import binary_connect, draw_gates, rescaled
from nasrun.nets.nb201_supernet import NB201Supernet
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spaces.nb201 import OPERATIONS
from nasrun.spec import Scale, Task

ROW = torch.tensor([0.3, -0.5, 1.1, 0.0], dtype=torch.float64)
SLOPES = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=torch.float64)
PAIRS = list(itertools.combinations(range(4), 2))
DRAWS = 1500


def probability(pair):
    """Of drawing two without replacement, in either order."""
    p = F.softmax(ROW, -1)
    a, b = pair
    return float(p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b]))


def mask_of(pair):
    return torch.zeros(4, dtype=torch.float64).index_fill_(0, torch.tensor(pair), 1.0)


def test_pairs_compete_and_one_is_opened_as_often_as_the_paper_says():
    generator = torch.Generator().manual_seed(0)
    seen = dict.fromkeys(PAIRS, 0), dict.fromkeys(PAIRS, 0)
    for _ in range(DRAWS):
        gates = draw_gates([ROW], 2, generator)
        pair = tuple(gates.competing[0].nonzero()[:, 0].tolist())
        assert gates.active[0].sum() == 1
        assert int(gates.active[0].argmax()) in pair
        seen[0][pair] += 1
        seen[1][pair] += int(gates.active[0].argmax()) == pair[0]
    p = F.softmax(ROW, -1)
    for pair in PAIRS:
        first = float(p[pair[0]] / (p[pair[0]] + p[pair[1]]))
        for count, of, wanted in (
            (seen[0][pair], DRAWS, probability(pair)),
            (seen[1][pair], seen[0][pair], first),
        ):
            assert abs(count / of - wanted) < 4 * (wanted * (1 - wanted) / of) ** 0.5


def test_where_all_compete_the_softmax_opens_one():
    generator = torch.Generator().manual_seed(1)
    gates = [draw_gates([ROW, ROW[:1]], None, generator) for _ in range(DRAWS)]
    assert all(each.competing[0].all() and each.active[1].all() for each in gates)
    shares = torch.stack([each.active[0] for each in gates]).mean(0)
    p = F.softmax(ROW, -1)
    assert ((shares - p).abs() < 4 * (p * (1 - p) / DRAWS) ** 0.5).all()


def gradient(mask):
    leaf = ROW.clone().requires_grad_()
    slopes = torch.where(mask > 0, SLOPES, torch.tensor(99.0, dtype=torch.float64))
    return torch.autograd.grad(binary_connect([leaf], [mask], [slopes]), leaf)[0]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_gradient_is_equation_4_over_the_competitors(pair):
    a, b = pair
    p = float(F.softmax(ROW[[a, b]], -1)[0])
    wanted = torch.zeros(4, dtype=torch.float64)
    wanted[a] = SLOPES[a] * p * (1 - p) - SLOPES[b] * (1 - p) * p
    wanted[b] = SLOPES[b] * (1 - p) * p - SLOPES[a] * p * (1 - p)
    torch.testing.assert_close(gradient(mask_of(pair)), wanted)


def test_two_paths_on_average_point_as_all_paths_do():
    full = gradient(torch.ones(4, dtype=torch.float64))
    p = F.softmax(ROW, -1)
    torch.testing.assert_close(full, p * (SLOPES - (p * SLOPES).sum()))
    mean = sum(probability(pair) * gradient(mask_of(pair)) for pair in PAIRS)
    assert sum(map(probability, PAIRS)) == pytest.approx(1.0)
    assert float(F.cosine_similarity(mean, full, dim=0)) > 0.95


@pytest.mark.parametrize("pair", PAIRS)
def test_paths_that_did_not_compete_keep_their_probability(pair):
    mask = mask_of(pair)
    after = rescaled(ROW, ROW + mask * torch.tensor([0.7, -0.3, 0.2, -2.0]), mask)
    others = mask == 0
    before = F.softmax(ROW, -1)
    torch.testing.assert_close(F.softmax(after, -1)[others], before[others], atol=1e-9, rtol=0.0)
    assert not torch.allclose(F.softmax(after, -1)[~others], before[~others], atol=1e-3)


# The gates of a supernet


def nb201():
    return NB201Supernet(OPERATIONS, 4, 1, Classification(3))


def darts():
    names = ["skip_connect", "sep_conv_3x3", "max_pool_3x3"]
    space = DARTS(kind=Kind.factorised, nodes=2, operations=names)
    return space.supernet(Task("toy", 3, 8, "toy", "toy", 8, 8), Scale(4, 3))


@pytest.mark.parametrize("make", [nb201, darts])
def test_a_closed_gate_has_the_slope_of_what_it_would_let_through(make):
    """By differences, in double precision; without ``probing`` it can be zero."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = make().double()
        x, y = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    generator = torch.Generator().manual_seed(3)
    rows = [torch.zeros(len(names), dtype=torch.float64) for names in net.rows]
    gates = draw_gates(rows, 2, generator)

    def loss(mixing):
        return F.cross_entropy(net(x, mixing), y)

    opened = [row.requires_grad_() for row in gates.active]
    with net.probing(gates.competing):
        slopes = torch.autograd.grad(loss(opened), opened)
    assert net.probed is None
    blind = torch.autograd.grad(loss(opened), opened)
    with torch.no_grad():
        now = float(loss(opened))
    checked, step = 0, 1e-6
    for at, (row, mask) in enumerate(zip(gates.active, gates.competing, strict=True)):
        for option in (mask - row.detach()).nonzero()[:, 0].tolist():
            sides = []
            for sign in (1.0, -1.0):
                moved = [each.detach().clone() for each in gates.active]
                moved[at][option] += sign * step
                with torch.no_grad():
                    sides.append(sign * (float(loss(moved)) - now) / step)
            if abs(sides[0] - sides[1]) > 1e-4:
                continue  # a kink, where a node without another input meets a ReLU
            assert float(slopes[at][option]) == pytest.approx(sum(sides) / 2, abs=1e-5)
            checked += abs(sides[0]) > 1e-3 and float(blind[at][option]) == 0.0
    assert checked >= 2
