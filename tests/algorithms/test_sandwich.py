"""The sandwich rule's step against its gradients, computed one by one."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nasrun.algorithms.sandwich import Sandwich
from nasrun.errors import ConfigError
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = MobileNetV3(
    name="tiny", depths=[1, 2], channels=[8, 8, 8, 8, 8, 8, 8, 16, 16],
    strides=[1, 1, 2, 2, 1, 2], resolutions=[8, 12],
)  # fmt: skip
TASK = Task("cifar10", 3, 16, "t", "t", 1, 1)
LARGEST = "7" * 10 + "," + "6" * 10 + ",22222,12"
SMALLEST = "3030303030,3030303030,11111,8"


def prepared(**settings):
    method = Sandwich(max_gradient=None, **settings)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        method.network = SPACE.supernet(TASK, Scale())
    method.weights = list(method.network.parameters())
    method.weight_optimizer = torch.optim.SGD(method.weights, 1.0)
    method.processor = SimpleNamespace(autocast=nullcontext, processor="cpu")
    method.problem, method.draws = SimpleNamespace(space=SPACE), Streams([0], "draws")
    method.prepare()
    return method


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 16, 16, generator=generator), torch.arange(6) % 3


def test_largest_and_smallest_are_made_of_the_sizes_of_options():
    method = prepared()
    assert SPACE.text(method.largest) == LARGEST
    assert SPACE.text(method.smallest) == SMALLEST


@pytest.mark.parametrize("distil", [True, False])
def test_gradients_of_all_networks_are_summed(distil):
    method, (x, y) = prepared(randoms=1, distil=distil), batch()
    before = [weight.detach().clone() for weight in method.weights]
    twin = Streams([0], "draws")
    largest = method.network(x, method.single_path(method.largest))
    target = F.softmax(largest.detach(), -1) if distil else y
    others = [method.smallest, SPACE.sample(twin)[0]]
    losses = [F.cross_entropy(largest, y)]
    losses += [F.cross_entropy(method.network(x, method.single_path(a)), target) for a in others]
    gradients = torch.autograd.grad(sum(losses), method.weights, allow_unused=True)
    method.update(x, y)
    for weight, old, gradient in zip(method.weights, before, gradients, strict=True):
        step = 0 if gradient is None else gradient
        torch.testing.assert_close(weight.detach(), old - step, atol=1e-5, rtol=1e-4)
    assert np.array_equal(SPACE.sample(twin), SPACE.sample(method.draws))  # one draw was used


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.randoms"):
        Sandwich(randoms=-1)
