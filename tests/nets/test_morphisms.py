"""Parts of morphisms by hand; whole networks stand in tests/spaces/test_net2net.py."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.nets.layer_chain import Chain, Layer, kept_layers
from nasrun.nets.morphisms import (
    Moments,
    Widening,
    generator_of,
    identity_depthwise,
    identity_kernel,
    identity_norm,
    perturbed,
)

DRAWS = torch.Generator().manual_seed(3)


def test_copies_share_the_outgoing_weights_of_their_channel():
    wider = Widening.none(4).wider(9, DRAWS)
    assert wider.source[:4].tolist() == [0, 1, 2, 3]
    assert len(wider.source) == 9
    for channel in range(4):
        copies = wider.share[wider.source == channel]
        assert copies.sum().item() == pytest.approx(1.0, abs=1e-15)
        assert (copies > 0).all()
        assert len(copies.unique()) == len(copies)  # so that copies learn different things
    first, second = (torch.randn(shape, dtype=torch.float64) for shape in [(4, 3), (5, 4)])
    x = torch.randn(7, 3, dtype=torch.float64)
    torch.testing.assert_close(
        x @ wider.outputs(first).T @ wider.inputs(second).T, x @ first.T @ second.T,
        rtol=0, atol=1e-12,
    )  # fmt: skip


def test_moments_behind_a_relu():
    found = Moments.rectified(torch.tensor([0.0, 100.0, -100.0]), torch.tensor([1.0, -2.0, 1.0]))
    assert found.mean.tolist() == pytest.approx([1 / math.sqrt(2 * math.pi), 100.0, 0.0])
    assert found.variance[:2].tolist() == pytest.approx([0.5 - 0.5 / math.pi, 4.0], rel=1e-3)
    drawn = (0.7 + 1.3 * torch.randn(400_000, generator=DRAWS)).relu()
    found = Moments.rectified(torch.tensor([0.7]), torch.tensor([1.3]))
    assert found.mean.item() == pytest.approx(drawn.mean().item(), abs=0.01)
    assert found.variance.item() == pytest.approx(drawn.var().item(), abs=0.01)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_new_layers_give_what_they_read(size):
    x = torch.randn(3, 6, 7, 7)
    like = torch.zeros(())
    kernel, by_channel = identity_kernel(6, size, like), identity_depthwise(6, size, like)
    torch.testing.assert_close(nn.functional.conv2d(x, kernel, padding=size // 2), x)
    y = nn.functional.conv2d(x, by_channel, padding=size // 2, groups=6)
    torch.testing.assert_close(y, x)


def test_a_new_normalisation_is_made_for_moments():
    x = 3.0 + 2.0 * torch.randn(64, 5, 4, 4, dtype=torch.float64)
    moments = Moments(x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0))
    norm = nn.BatchNorm2d(5).double()
    norm.load_state_dict(identity_norm(moments))
    torch.testing.assert_close(norm.eval()(x), x, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.train()(x), x, rtol=0, atol=1e-12)


def test_noise_and_its_numbers_belong_to_the_architectures():
    one, other = np.array([1, 2]), np.array([2, 1])
    weight = torch.zeros(1000)
    found = perturbed(weight, 0.1, generator_of(one, other))
    assert found.std().item() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(found, perturbed(weight, 0.1, generator_of(one, other)))
    assert not torch.equal(found, perturbed(weight, 0.1, generator_of(other, one)))
    assert perturbed(weight, 0.0, generator_of(one)) is weight


def test_which_layers_of_a_child_are_its_parents():
    a, b = Layer(3, 8), Layer(1, 8)
    parent = Chain([[a], [b]], [])
    kept = lambda *blocks, full=(): kept_layers(parent, Chain(list(blocks), list(full)))  # noqa: E731
    assert kept([a], [b]) == [True, True]
    assert kept([a, a], [b]) == [True, False, True]
    assert kept([a], [a, b]) == [True, False, True]  # behind the pooling
    assert kept([Layer(3, 16), a], [b]) == [True, False, True]  # wider after it was deeper
    assert kept([Layer(3, 8)], [Layer(1, 8, skip=True)]) == [True, True]
    assert kept([b, a], [b]) is None  # nothing new reads images
    assert kept([a], [a]) is None  # another kernel
    assert kept([Layer(3, 4)], [b]) is None
    assert kept([a, Layer(3, 4)], [b]) is None  # narrower than what it has to hand on
    assert kept_layers(Chain([[Layer(3, 8), Layer(3, 8, True)]], []), Chain([[a, a]], [])) is None
    assert kept([a], [b], full=[Layer(1, 8)]) == [True, True, False]
