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


def test_the_difference_is_taken_at_a_hundredth_of_the_length_of_the_validation_gradient():
    """The validation gradient is (3, 4), of length 5; nothing moves by the step itself."""
    weights = [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)]
    arch, places = torch.tensor(1.0, requires_grad=True), []

    def train_loss():
        places.append([float(weight.detach()) for weight in weights])
        return arch * (weights[0] + weights[1])

    still = lambda gradients: [torch.zeros_like(gradient) for gradient in gradients]  # noqa: E731
    valid_loss = lambda: arch * (3.0 * weights[0] + 4.0 * weights[1])  # noqa: E731
    unrolled_gradient(weights, [arch], train_loss, valid_loss, still, RATE)
    ahead, behind = [1.006, 2.008], [0.994, 1.992]
    assert places == [pytest.approx(place, rel=1e-5) for place in ([1.0, 2.0], ahead, behind)]
