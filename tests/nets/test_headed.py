"""Heads on the maps of a backbone, and metrics that are no sums over batches."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from toy_backbone import HeadedNetwork, ToyBackbone

from nasrun.nets.classification import Classification
from nasrun.nets.cohort_trainer import cohort_shape
from nasrun.nets.device import Device
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.trainer import Trainer, judged
from nasrun.spec import Metric, Objective, Tally, metric_named

CPU = Device("cpu", Precision.float32, threads=1)


class Medians(Tally):
    """The median over all images: of no use to add up batch by batch."""

    def __init__(self, training):
        super().__init__()
        self.training, self.found = training, []

    def _count(self, output, target):
        self.found.append((output[..., 0] - target[..., 0]).abs().mean(dim=1))

    @property
    def value(self):
        if self.training or not self.found:
            return math.nan
        return -float(torch.cat(self.found).median())


class Coarse(nn.Module):
    """One number for each of three maps, and the picture's area."""

    def __init__(self, widths, strides):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, 1) for width in widths)
        self.strides = strides

    def forward(self, maps, images):
        for each, stride in zip(maps, self.strides, strict=True):
            assert each.shape[2:] == tuple(side // stride for side in images.shape[2:])
        found = [layer(x.mean(dim=(2, 3))) for layer, x in zip(self.layers, maps, strict=True)]
        output = torch.stack(found, dim=1)
        return (output, -output) if self.training else output


@dataclass(frozen=True)
class Distance(Objective):
    metric: ClassVar[Metric] = metric_named("neg_loss")

    def head(self, channels):
        raise AssertionError("this objective reads all maps")

    def dense_head(self, widths, strides):
        return Coarse(widths, strides)

    def loss(self, output, target, smoothing=0.0):
        return (output[..., 0] - target[..., 0]).square().mean(dim=1).sum()

    def tally(self, training=False):
        return Medians(training)


def network():
    return HeadedNetwork(ToyBackbone(), Distance())


def batches(epoch=0):
    generator = torch.Generator().manual_seed(1)
    for size in (8, 8, 4):
        x = torch.randn(size, 3, 16, 24, generator=generator)
        boxes = torch.zeros(size, 3, 5)
        boxes[..., 0] = x.mean(dim=(1, 2, 3))[:, None] + 2
        yield x, boxes


def test_any_objective_is_trained_and_judged_by_its_own_tally():
    recipe = Recipe(batch=8, learning_rate=0.02, auxiliary=0.0)
    trainer = Trainer(network, Distance(), recipe, 6, CPU, 1)
    rows = trainer.train(batches, list(batches()))
    assert rows[-1].loss < 0.5 * rows[0].loss
    assert all(math.isnan(row.train_score) for row in rows)
    own = trainer.network.eval()
    with torch.no_grad():
        far = [(own(x)[..., 0] - y[..., 0]).abs().mean(dim=1) for x, y in batches()]
    assert rows[-1].val_score == -float(torch.cat(far).median())
    assert math.isnan(judged(own, Distance(), [], CPU))
    assert cohort_shape(trainer) is None


def test_outputs_beside_the_first_count_with_the_recipes_weight():
    def first_loss(weight):
        recipe = Recipe(batch=8, learning_rate=1e-9, auxiliary=weight)
        return Trainer(network, Distance(), recipe, 1, CPU, 1).train(batches, [])[0].loss

    plain = first_loss(0.0)
    beside = first_loss(1.0) - plain  # the loss of the output with its sign turned
    assert beside > plain > 0
    assert math.isclose(first_loss(0.5), plain + 0.5 * beside, rel_tol=1e-5)


def test_an_objective_without_a_dense_head_reads_the_last_map():
    own = HeadedNetwork(ToyBackbone(), Classification(5)).eval()
    x = torch.randn(2, 3, 16, 16)
    last = own.backbone.maps(x)[-1]
    assert torch.equal(own(x), own.head.head(last))
    assert own(x).shape == (2, 5)


def test_what_judges_may_be_more_than_one_pass():
    class Mirrored(Distance):
        def judged_output(self, network, images):
            return (network(images) + network(images.flip(3))) / 2

    own = network().eval()
    for x, y in batches():
        tally = Distance().tally()
        with torch.no_grad():
            tally.add((own(x) + own(x.flip(3))) / 2, y)
        assert judged(own, Mirrored(), [(x, y)], CPU) == tally.value
