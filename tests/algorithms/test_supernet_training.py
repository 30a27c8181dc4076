"""How a supernet's weights learn, by hand: rates, optimisers, steps and losses."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from tiny_supernet import TinyNet, tiny
from torch.nn import functional as F

from nasrun.algorithms.gdas import GDAS
from nasrun.algorithms.reduction import Optimizer
from nasrun.algorithms.supernet_training import SupernetTraining
from nasrun.errors import ConfigError
from nasrun.streams import Streams


@pytest.mark.parametrize("key", ["epochs", "batch", "learning_rate"])
def test_what_must_be_positive(key):
    with pytest.raises(ConfigError, match=rf"algorithm\.{key} must be .*, got 0"):
        GDAS(**{key: 0})


@pytest.mark.parametrize("key", ["final_rate", "momentum", "weight_decay"])
def test_what_must_not_be_negative(key):
    GDAS(**{key: 0.0})
    with pytest.raises(ConfigError, match=rf"algorithm\.{key} must .*, got -0\.1"):
        GDAS(**{key: -0.1})


@pytest.mark.parametrize(
    ("progress", "half_period", "rate"),
    [
        (0, None, 0.9),
        (4, None, 0.5),
        (8, None, 0.1),
        (2, 2, 0.1),
        (4, 2, 0.9),
        (1, 4, 0.5 + 0.4 * math.sqrt(0.5)),
    ],
)
def test_the_cosine(progress, half_period, rate):
    method = tiny(GDAS(epochs=8))
    method.progress = progress
    assert method.cosine(0.9, 0.1, half_period) == pytest.approx(rate)
    method.learning_rate, method.final_rate, method.half_period = 0.9, 0.1, half_period
    method._set_rate()
    assert method.weight_optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_weights_go_down_their_own_gradient_alone_clipped_to_a_norm():
    method = tiny(GDAS())
    weight = method.network.weight
    other = torch.ones((), requires_grad=True)
    for limit, step in ((None, 30.0), (5.0, 5.0), (50.0, 30.0)):
        method.max_gradient, before = limit, weight.item()
        method.weight_step(30.0 * weight * other)
        assert weight.item() == pytest.approx(before - step, rel=1e-5)
        assert other.grad is None
        assert not method._last_loss.requires_grad  # it is said, and would hold the batch's graph


def test_optimisers_of_the_weights():
    method = tiny(GDAS(learning_rate=0.1, momentum=0.7, weight_decay=0.2, nesterov=False))
    sgd = method._optimizer()
    assert isinstance(sgd, torch.optim.SGD)
    found = [sgd.defaults[key] for key in ("lr", "momentum", "weight_decay", "nesterov")]
    assert found == [0.1, 0.7, 0.2, False]
    method.optimizer = Optimizer.adam
    adam = method._optimizer()
    assert isinstance(adam, torch.optim.Adam)
    assert [adam.defaults[key] for key in ("lr", "betas", "weight_decay")] == [
        0.1,
        (0.7, 0.999),
        0.2,
    ]


LOGITS = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 1.0], [5.0, 0.0, 0.0]])


def test_losses_are_cross_entropies_and_the_loss_their_mean():
    method = tiny(GDAS())
    method.processor = SimpleNamespace(autocast=nullcontext)
    method.network.forward = lambda x, rows: LOGITS[x]
    y = torch.tensor([2, 1])
    wanted = [-float(F.log_softmax(LOGITS[at], -1)[label]) for at, label in enumerate((2, 1))]
    found = SupernetTraining.losses(method, torch.tensor([0, 1]), y, [])
    assert found.tolist() == pytest.approx(wanted)
    method.losses = lambda x, y, rows: found
    assert float(method.loss(None, y, [])) == pytest.approx(sum(wanted) / 2)


def test_a_supernet_that_is_made_after_some_epochs_has_first_weights_of_its_own():
    method = tiny(GDAS())
    seeds, made = [], []
    method.processor = SimpleNamespace(
        seeded=lambda seed: seeds.append(seed) or nullcontext(), on_gpu=False
    )
    supernet = lambda *given, **more: made.append((given, more)) or TinyNet()  # noqa: E731
    method.problem = SimpleNamespace(space=SimpleNamespace(supernet=supernet), task="task")
    method._streams, method._records = Streams([7]), []
    for epochs in (0, 2):
        method._records = [{}] * epochs
        method.build("scale", 4)
    assert seeds == [int(Streams([7]).fork(f"seed/{n}").integers(2**48)[0, 0]) for n in (1, 3)]
    assert made == [(("task", "scale"), {"share": 4, "track": True})] * 2
    assert [weight.item() for weight in method.weights] == [2.0]
    assert method.weight_optimizer.param_groups[0]["params"] == method.weights
