"""Networks that train together learn what each would learn alone."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasrun.nets import cohort_trainer
from nasrun.nets.checkpoint import load_checkpoint
from nasrun.nets.classification import Classification
from nasrun.nets.cohort_trainer import cohort_shape, train_together
from nasrun.nets.device import Device
from nasrun.nets.fused import Fuser, shape_of
from nasrun.nets.recipe import Optimizer, Precision, Recipe
from nasrun.nets.resnet import ResNet
from nasrun.nets.trainer import Trainer
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.transnas_macro import TransNASMacro
from nasrun.spaces.transnas_micro import TransNASMicro
from nasrun.spec import Scale, Task

TASK = Task("toy", 3, 8, "toy", "toy", 100, 100)
WIDE = Task("toy", 3, 32, "toy", "toy", 100, 100)
CPU = Device("cpu", Precision.float32, threads=1)
SPACE = NB201()
OBJECTIVE = Classification(3)
# In float64, where only a wrong sum, statistic, decay or view can show: after 20 steps 89 random
# cells came to 3e-16. In float32 these steps magnify what rounding does.
TOLERANCE = 1e-9
CELLS = {
    "convolutions": "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|"
    "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "mixed": "|avg_pool_3x3~0|+|skip_connect~0|nor_conv_3x3~1|"
    "+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "on zeros": "|none~0|+|skip_connect~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    "unread": "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|",
}
UNCONNECTED = "|none~0|+|skip_connect~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"


def images(n=80, px=8):
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(3, (n,), generator=generator)
    x = torch.randn(n, 3, px, px, generator=generator) + labels[:, None, None, None] - 1.0
    return x.double(), labels


def batches(seed, size=20, px=8):
    """In an order of the seed's own."""

    def of(epoch):
        x, y = images(px=px)
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(100 * seed + epoch))
        for rows in order.split(size):
            yield x[rows], y[rows]

    return of


def trainer_of(arch, seed=777, recipe=None, epochs=5, checkpoint=None, scale=None, device=CPU):
    return Trainer(
        lambda: SPACE.build(arch, TASK, scale or Scale(4, 1)).double(),
        OBJECTIVE, recipe or Recipe(batch=20), epochs, device, seed, checkpoint,
    )  # fmt: skip


def alone(trainers, seeds, until=5, px=8):
    for trainer, seed in zip(trainers, seeds, strict=True):
        trainer.train(batches(seed, px=px), [images(px=px)], until)


def together(trainers, seeds, until=5, px=8):
    train_together(trainers, [batches(seed, px=px) for seed in seeds], [images(px=px)], until)


def distance(one, other):
    """The largest difference of two networks' tensors, relative to each tensor's largest number."""
    states = one.network.state_dict(), other.network.state_dict()
    assert states[0].keys() == states[1].keys()
    return max(
        float((a.float() - b.float()).abs().max() / b.float().abs().max().clamp(min=1.0))
        for a, b in zip(*(state.values() for state in states), strict=True)
    )


def assert_alike(found, wanted, tolerance=TOLERANCE):
    for one, other in zip(found, wanted, strict=True):
        assert distance(one, other) < tolerance
        assert [row.epoch for row in one.rows] == [row.epoch for row in other.rows]
        ours, theirs = (
            np.array([[r.loss, r.train_score, r.val_score] for r in own.rows])
            for own in (one, other)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, SPACE.size - 1), min_size=2, max_size=4), st.integers(0, 99))
def test_a_cohort_of_any_cells_learns_what_each_learns_alone(places, seed):
    cells = [arch for arch in SPACE.at(np.array(places)) if cohort_shape(trainer_of(arch))]
    seeds = range(seed, seed + len(cells))
    ours = [trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)]
    theirs = [trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)]
    together(ours, seeds)
    alone(theirs, seeds)
    assert_alike(ours, theirs)


@pytest.mark.slow
def test_in_float32_rounding_alone_tells_them_apart():
    """After 20 steps at a rate of 0.01, of 12 cells at even places of the space."""
    places = np.linspace(0, SPACE.size - 1, 12).astype(int)
    recipe = Recipe(batch=20, learning_rate=0.01)
    cells = [a for a in SPACE.at(places) if cohort_shape(trainer_of(a))]
    assert len(cells) > 8

    def made():
        return [
            Trainer(lambda a=a: SPACE.build(a, TASK, Scale(4, 1)), OBJECTIVE, recipe, 5, CPU, 777)
            for a in cells
        ]

    ours, theirs = made(), made()
    single = [[(x.float(), y) for x, y in batches(7)(epoch)] for epoch in range(5)]
    valid = [(images()[0].float(), images()[1])]
    train_together(ours, [lambda e: single[e]] * len(cells), valid, 5)
    for own in theirs:
        own.train(lambda e: single[e], valid)
    apart = np.sort([distance(a, b) for a, b in zip(ours, theirs, strict=True)])
    assert np.median(apart) < 1e-5, apart
    assert apart[-1] < 2e-2, apart


OPTIMIZERS = {
    "clipped": Recipe(batch=20, max_gradient=0.5),
    "plain": Recipe(batch=20, momentum=0.0, nesterov=False, label_smoothing=0.1),
    "adam": Recipe(batch=20, learning_rate=1e-2, optimizer=Optimizer.adam),
    "adamw": Recipe(batch=20, learning_rate=1e-2, optimizer=Optimizer.adamw, max_gradient=1.0),
    "rmsprop": Recipe(batch=20, learning_rate=1e-3, optimizer=Optimizer.rmsprop),
}


@pytest.mark.parametrize("recipe", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimiser_learns_the_same(recipe):
    cells, seeds = [SPACE.parse(CELLS[name]) for name in ("mixed", "on zeros")], [3, 4]
    ours = [trainer_of(a, s, recipe) for a, s in zip(cells, seeds, strict=True)]
    theirs = [trainer_of(a, s, recipe) for a, s in zip(cells, seeds, strict=True)]
    before = copy.deepcopy(theirs[0].network.state_dict())
    together(ours, seeds)
    alone(theirs, seeds)
    # These divide a gradient by its size, even where that is nothing but rounding.
    divides = recipe.optimizer is not Optimizer.sgd
    assert_alike(ours, theirs, 1e-5 if divides else TOLERANCE)
    moved = theirs[0].network.state_dict()["classifier.weight"] - before["classifier.weight"]
    assert float(moved.abs().max()) > 0.01  # there was something to tell apart


SPACES = {
    "darts": (DARTS(nodes=2, operations=["skip_connect", "sep_conv_3x3", "max_pool_3x3"]), 3),
    "nats_size": (NATSSize(), None),
    "transnas_micro": (TransNASMicro(), None),
    "transnas_macro": (TransNASMacro(), None),
}


@pytest.mark.parametrize(("space", "cells"), SPACES.values(), ids=SPACES)
def test_seeds_of_one_network_of_any_space_train_together(space, cells):
    arch = space.parse("64-1324-basic") if isinstance(space, TransNASMacro) else space.at(
        np.array([7])
    )[0]  # fmt: skip
    if isinstance(space, TransNASMicro):
        arch = space.parse("64-41414-3_12_123")
    scale = Scale(4, cells) if cells else Scale(None if isinstance(space, NATSSize) else 4, None)

    def made(seed):
        recipe = Recipe(batch=20, learning_rate=0.02)
        return Trainer(
            lambda: space.build(arch, WIDE, scale).double(), OBJECTIVE, recipe, 1, CPU, seed
        )  # fmt: skip

    ours, theirs = [[made(seed) for seed in (1, 2)] for _ in range(2)]
    assert cohort_shape(ours[0]) == cohort_shape(ours[1]) is not None
    together(ours, [1, 2], 1, px=32)
    alone(theirs, [1, 2], 1, px=32)
    assert_alike(ours, theirs)


def test_residual_networks_are_fused_too():
    networks = [ResNet(1, 3, channels=4) for _ in range(3)]
    x = torch.randn(5, 9, 8, 8)
    wanted = [network(part) for network, part in zip(networks, x.chunk(3, dim=1), strict=True)]
    found = Fuser([copy.deepcopy(network) for network in networks]).network(x)
    torch.testing.assert_close(found, torch.cat(wanted, dim=1), rtol=1e-4, atol=1e-5)


class Shuffles(nn.Module):
    def forward(self, x):
        return x.flip(1)


def test_what_cannot_be_fused_trains_alone():
    assert cohort_shape(trainer_of(SPACE.parse(UNCONNECTED))) is None
    assert shape_of(nn.Sequential(nn.ReLU(), Shuffles())) is None
    arch = SPACE.parse(CELLS["mixed"])
    assert cohort_shape(trainer_of(arch, recipe=Recipe(drop_path=0.2))) is None
    exact = Device("cpu", Precision.float32, deterministic=True, threads=1)
    assert cohort_shape(trainer_of(arch, device=exact)) is None
    scales = (Scale(4, 1), Scale(4, 2), Scale(8, 1))
    shapes = {cohort_shape(trainer_of(arch, scale=scale)) for scale in scales}
    assert len(shapes) == 3
    assert cohort_shape(trainer_of(SPACE.parse(CELLS["unread"]))) in shapes


def test_who_else_is_there_does_not_matter():
    cells, seeds = [SPACE.parse(text) for text in CELLS.values()], [1, 2, 3, 4]
    all_of_them, two = [[trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)] for _ in "ab"]
    together(all_of_them, seeds)
    together(two[1:3], seeds[1:3])
    assert_alike(all_of_them[1:3], two[1:3])


def test_one_that_fails_ends_alone():
    cells, seeds = [SPACE.parse(text) for text in CELLS.values()][:3], [1, 2, 3]
    ours, theirs = [[trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)] for _ in "ab"]
    with torch.no_grad():
        ours[1].network.classifier.bias.fill_(math.nan)
    together(ours, seeds)
    alone([theirs[0], theirs[2]], [1, 3])
    assert [t.done for t in ours] == [5, 1, 5]
    assert ours[1].failure == "the loss is nan in epoch 1"
    assert math.isnan(ours[1].rows[0].val_score)
    assert_alike([ours[0], ours[2]], [theirs[0], theirs[2]])


def test_a_stopped_cohort_goes_on_to_the_same_bits(tmp_path):
    cells, seeds = [SPACE.parse(text) for text in CELLS.values()], [1, 2, 3, 4]
    paths = [tmp_path / f"{number}.pt" for number in range(4)]

    def kept():
        each = zip(cells, seeds, paths, strict=True)
        return [trainer_of(arch, seed, checkpoint=path) for arch, seed, path in each]

    whole = [trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)]
    together(whole, seeds)
    together(kept(), seeds, 2)
    resumed = kept()
    assert [t.done for t in resumed] == [2] * 4
    together(resumed, seeds)
    for one, other in zip(resumed, whole, strict=True):
        assert distance(one, other) == 0.0
        assert load_checkpoint(paths[0])["failure"] == ""
    # A single trainer takes over where a cohort ended.
    together(cut := [*kept()[:1], trainer_of(cells[1], 9)], [1, 9], 3)
    assert cut[0].done == 5


def test_a_cohort_that_does_not_fit_the_memory_trains_in_halves(monkeypatch, caplog):
    cells, seeds = [SPACE.parse(text) for text in CELLS.values()], [1, 2, 3, 4]
    ours, theirs = [[trainer_of(a, s) for a, s in zip(cells, seeds, strict=True)] for _ in "ab"]
    step, calls = cohort_trainer.Cohort._step, []

    def narrow(self, x, targets):
        calls.append(self._count)
        if self._count > 2 and len(calls) == 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return step(self, x, targets)

    monkeypatch.setattr(cohort_trainer.Cohort, "_step", narrow)
    together(ours, seeds)
    assert calls[:4] == [4, 4, 4, 2]
    assert "4 networks together do not fit the memory" in caplog.text
    alone(theirs, seeds)
    assert_alike(ours, theirs)


def test_seconds_are_shared(monkeypatch):
    ours = [trainer_of(SPACE.parse(text)) for text in list(CELLS.values())[:2]]
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(cohort_trainer.time, "perf_counter", lambda: float(next(clock)))
    together(ours, [1, 2], 1)
    assert [(t.rows[0].train_s, t.rows[0].valid_s) for t in ours] == [(3.0, 3.0)] * 2
