import math

import numpy as np
import torch
from torch import nn

from nasrun.nets.maml import Episodes, InnerLoop
from nasrun.nets.meta_trainer import MetaTraining, judged

FEATURES = 8
INNER = InnerLoop(2, 0.1)


def episodes(generator):
    """Two classes that differ in the first feature alone; which is called 0 is drawn."""

    def draw(count):
        side = torch.randint(2, (count, 1), generator=generator)
        labels = torch.arange(2).repeat(count, 5)
        signs = 2.0 * ((labels + side) % 2) - 1.0
        x = torch.randn(count, 10, FEATURES, generator=generator)
        x[..., 0] = 1.5 * signs + 0.3 * x[..., 0]
        return Episodes(x[:, :2], labels[:, :2], x[:, 2:], labels[:, 2:])

    return draw


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, 2))


def accuracy(batches):
    training = MetaTraining(INNER, 0.01, batches, 8)
    trained = training.train(network(), episodes(torch.Generator().manual_seed(1)))
    draw = episodes(torch.Generator().manual_seed(2))
    return judged(trained, INNER, draw, 100, 30)[0]


def test_meta_training_finds_what_all_episodes_have_in_common():
    """800 judged queries: the standard error is below 2 %."""
    untrained, trained = accuracy(1), accuracy(150)
    assert untrained < 75.0
    assert trained > 90.0


def test_the_same_draws_give_the_same_weights():
    runs = [
        MetaTraining(INNER, 0.01, 3, 2).train(network(), episodes(torch.Generator().manual_seed(1)))
        for _ in range(2)
    ]
    for name, own in runs[0].weights.items():
        assert torch.equal(runs[1].weights[name], own)


def test_adam_moves_along_the_meta_gradient():
    """Its first step is the rate times the gradient's sign."""
    draw = episodes(torch.Generator().manual_seed(1))
    start, moved = network(), MetaTraining(INNER, 0.01, 1, 2).train(network(), draw).weights
    for name, own in start.named_parameters():
        np.testing.assert_allclose((moved[name] - own.detach()).abs(), 0.01, rtol=1e-2)


def test_a_training_that_fails_ends_and_has_no_accuracy():
    asked = []

    def draw(count):
        asked.append(count)
        own = episodes(torch.Generator().manual_seed(1))(count)
        return own._replace(query=own.query * (math.inf if len(asked) == 2 else 1.0))

    trained = MetaTraining(INNER, 0.01, 5, 2).train(network(), draw)
    assert trained.failed
    assert asked == [2, 2]
    assert math.isnan(judged(trained, INNER, draw, 4, 2)[0])


def test_the_mean_is_over_all_episodes():
    """Of three, judged two at a time: the last batch is smaller and counts by its episodes."""
    trained = MetaTraining(INNER, 0.01, 1, 2).train(network(), episodes(torch.Generator()))
    known = episodes(torch.Generator().manual_seed(3))(3)
    right = INNER.logits(trained.forward, trained.weights, known).argmax(-1) == known.query_labels
    at = 0

    def draw(count):
        nonlocal at
        at += count
        return Episodes(*(own[at - count : at] for own in known))

    expected = 100.0 * float(right.double().mean())
    np.testing.assert_allclose(judged(trained, INNER, draw, 3, 2)[0], expected, rtol=1e-5)
