"""MAML's gradients by formula: softmax regression, whose Hessian is known."""

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.nets.maml import BatchMoments, Episodes, InnerLoop, accuracies, functional, meta_loss

FEATURES, WAYS, RATE = 3, 4, 0.7
DRAWS = np.random.default_rng(0)


def pictures(n):
    return DRAWS.normal(size=(n, FEATURES)), DRAWS.integers(WAYS, size=n)


def linear(weights, x):
    return x @ weights["w"]


def probabilities(w, x):
    logits = x @ w.reshape(FEATURES, WAYS)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def gradient(w, x, labels):
    return (x.T @ (probabilities(w, x) - np.eye(WAYS)[labels]) / len(x)).ravel()


def hessian(w, x):
    """``(F W, F W)``: the mean of the outer product of x kron that of the classes' covariance."""
    p = probabilities(w, x)
    covariance = np.eye(WAYS) * p[:, None] - p[:, :, None] * p[:, None]
    return np.einsum("na,nb,nij->aibj", x, x, covariance).reshape(2 * (FEATURES * WAYS,)) / len(x)


def by_hand(w, support, query, steps, second_order):
    """Chain rule: the product of I - rate * H along the path times the query's last gradient."""
    path = np.eye(len(w))
    for _ in range(steps):
        if second_order:
            path = path @ (np.eye(len(w)) - RATE * hessian(w, support[0]))
        w = w - RATE * gradient(w, *support)
    return path @ gradient(w, *query)


def meta_gradient(w, episodes, loop):
    weights = {"w": torch.from_numpy(w.reshape(FEATURES, WAYS).copy()).requires_grad_()}
    meta_loss(loop.logits(linear, weights, episodes), episodes.query_labels).backward()
    return weights["w"].grad.numpy().ravel()


def stacked(parts):
    support, query = zip(*parts, strict=True)
    arrays = [np.stack([each[at] for each in own]) for own in (support, query) for at in (0, 1)]
    return Episodes(*map(torch.from_numpy, arrays))


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_of_the_first_weights_by_formula(steps, second_order):
    w = DRAWS.normal(size=FEATURES * WAYS)
    parts = [(pictures(5), pictures(6)) for _ in range(2)]
    expected = np.mean([by_hand(w, *part, steps, second_order) for part in parts], axis=0)
    found = meta_gradient(w, stacked(parts), InnerLoop(steps, RATE, second_order))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    other = np.mean([by_hand(w, *part, steps, not second_order) for part in parts], axis=0)
    assert np.abs(found - other).max() > 0.01 * np.abs(expected).max()


def test_the_formula_of_the_hessian_is_right():
    w, (x, labels) = DRAWS.normal(size=FEATURES * WAYS), pictures(5)
    step = 1e-6 * np.eye(len(w))
    numeric = [(gradient(w + h, x, labels) - gradient(w - h, x, labels)) / 2e-6 for h in step]
    np.testing.assert_allclose(hessian(w, x), numeric, atol=1e-8)


def test_adapted_weights_are_those_of_gradient_descent():
    w, support = DRAWS.normal(size=FEATURES * WAYS), pictures(5)
    x, labels = map(torch.from_numpy, support)
    start = {"w": torch.from_numpy(w.reshape(FEATURES, WAYS))}
    found = InnerLoop(2, RATE).adapted(linear, start, x, labels)["w"].numpy().ravel()
    for _ in range(2):
        w = w - RATE * gradient(w, *support)
    np.testing.assert_allclose(found, w, rtol=1e-12)


def test_accuracies_by_hand():
    logits = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [3.0, 1.0]]])
    labels = torch.tensor([[0, 1], [0, 0]])
    assert accuracies(logits, labels).tolist() == [100.0, 50.0]


def test_normalisation_takes_the_moments_of_the_batch_and_keeps_none():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2), nn.Flatten())
    weights, forward = functional(network)
    x = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    maps = torch.einsum("oc,nchw->nohw", weights["0.weight"][:, :, 0, 0], x)
    mean = maps.mean((0, 2, 3), keepdim=True)
    spread = (maps.var((0, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = ((maps - mean) / spread).flatten(1)
    for _ in range(2):  # nothing of the first batch is left
        torch.testing.assert_close(forward(weights, x), expected, rtol=1e-4, atol=1e-5)
        forward(weights, 5 + 3 * x)


def test_given_weights_are_used_and_those_of_the_network_stay():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    weights, forward = functional(network)
    before = network[1].weight.detach().clone()
    doubled = {name: 2 * own for name, own in weights.items()}
    x = torch.ones(1, 1, 2, 2)
    torch.testing.assert_close(forward(doubled, x), 2 * forward(weights, x))
    torch.testing.assert_close(network[1].weight, before)


def test_the_meta_gradient_through_normalisation_is_the_slope_of_the_meta_loss():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 2)
    ).double()
    weights, forward = functional(network)
    picture, label = torch.randn(2, 6, 3, 4, 4).double(), torch.arange(6).repeat(2, 1) % 2
    episodes = Episodes(picture[:, :2], label[:, :2], picture[:, 2:], label[:, 2:])

    def loss(own):
        return meta_loss(InnerLoop(2, RATE).logits(forward, own, episodes), label[:, 2:])

    own = {name: each.requires_grad_() for name, each in weights.items()}
    loss(own).backward()
    way = {name: torch.randn_like(each) for name, each in own.items()}
    slope = sum(float((way[name] * each.grad).sum()) for name, each in own.items())
    with torch.no_grad():
        ends = [
            float(loss({name: each + step * way[name] for name, each in own.items()}))
            for step in (1e-6, -1e-6)
        ]
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("affine", [True, False])
def test_moments_of_a_batch_are_those_of_torchs_normalisation(affine):
    """Also of a batch whose variance is less than what keeps it from zero."""
    norm = nn.BatchNorm2d(2, affine=affine)
    if affine:
        norm.weight.data, norm.bias.data = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    x = torch.from_numpy(np.random.default_rng(1).normal(5.0, 1e-3, (4, 2, 3, 3))).float()
    torch.testing.assert_close(BatchMoments(norm)(x), norm(x), rtol=1e-4, atol=1e-4)
