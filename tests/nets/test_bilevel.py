"""The finite difference of DARTS against the exact gradient through one step of training."""

import pytest
import torch

from nasrun.nets.bilevel import unrolled_gradient

RATE, MOMENTUM, DECAY = 0.1, 0.9, 5e-4


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    tensor = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    weights = [tensor(4, 3).requires_grad_(), tensor(3).requires_grad_()]
    arch, buffers = tensor(5).requires_grad_(), [tensor(4, 3), tensor(3)]
    train, valid, mixer = tensor(8, 4), tensor(8, 4), tensor(5, 3)

    def loss(x, matrix, bias):
        return (torch.tanh(x @ matrix + bias) * torch.softmax(arch @ mixer, 0)).pow(2).sum()

    return weights, arch, buffers, train, valid, loss


def exact(weights, arch, buffers, train, valid, loss):
    """By second derivatives, as autograd has them."""
    gradients = torch.autograd.grad(loss(train, *weights), weights, create_graph=True)
    moved = [
        weight - RATE * (gradient + DECAY * weight + MOMENTUM * buffer)
        for weight, gradient, buffer in zip(weights, gradients, buffers, strict=True)
    ]
    return torch.autograd.grad(loss(valid, *moved), arch)[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_finite_difference_is_the_second_order_gradient(seed):
    weights, arch, buffers, train, valid, loss = problem(seed)
    before = [weight.detach().clone() for weight in weights]
    found = unrolled_gradient(
        weights,
        [arch],
        lambda: loss(train, *weights),
        lambda: loss(valid, *weights),
        lambda gradients: [
            gradient + DECAY * weight.detach() + MOMENTUM * buffer
            for weight, gradient, buffer in zip(weights, gradients, buffers, strict=True)
        ],
        RATE,
    )
    truth = exact(weights, arch, buffers, train, valid, loss)
    first_order = torch.autograd.grad(loss(valid, *weights), arch)[0]
    assert (found[0] - truth).norm() < 1e-3 * truth.norm(), (found[0], truth)
    assert (found[0] - truth).norm() < 0.01 * (first_order - truth).norm()
    for weight, origin in zip(weights, before, strict=True):
        assert torch.equal(weight, origin)
