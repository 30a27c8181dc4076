"""Segmentation by training: what a task with an objective of its own needs, and nothing else."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from toys import ToySpace

from nasrun.benchmarks.trainings import TrainingLog
from nasrun.errors import DataError, UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.evaluators.zero_cost import ZeroCost
from nasrun.images import IGNORED, Images
from nasrun.nets.classification import AuxiliaryHead, Classification, PooledLinear, objective_of
from nasrun.nets.nb201 import Skeleton
from nasrun.nets.recipe import Precision, Recipe
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Metric, Scale, SummedObjective, Task, metric_named
from nasrun.streams import Streams
from nasrun.tasks.base import ImageTask
from nasrun.tasks.parts import Published, in_memory

PX, LEVELS = 16, 3


@dataclass(frozen=True)
class Segmentation(SummedObjective):
    """Pixel cross-entropy, judged by the mean over classes of intersection over union."""

    classes: int
    px: int

    metric: ClassVar[Metric] = metric_named("miou_pct")

    def head(self, channels):
        return nn.Sequential(
            nn.Conv2d(channels, self.classes, 1), nn.Upsample((self.px, self.px), mode="bilinear")
        )

    def loss(self, output, target, smoothing=0.0):
        pixels = F.cross_entropy(output, target, reduction="none", label_smoothing=smoothing)
        counted = (target != IGNORED).sum(dim=(1, 2))
        return (pixels.sum(dim=(1, 2)) / counted).sum()

    def sums(self, output, target):
        counted = target != IGNORED
        pairs = target[counted] * self.classes + output.argmax(dim=1)[counted]
        return torch.bincount(pairs, minlength=self.classes**2)

    def score(self, sums, images):
        confusion = sums.view(self.classes, self.classes)
        both = confusion.diagonal()
        union = confusion.sum(dim=0) + confusion.sum(dim=1) - both
        return 100.0 * float((both / union)[union > 0].mean())


@dataclass
class Brightness(ImageTask):
    """Patches of three levels of brightness; a pixel's class is its patch's level."""

    @property
    def objective(self):
        return Segmentation(self.classes, self.image_px)

    def read(self):
        train = self._part(self.train_images + self.valid_images, 0)
        return Published(train, self._part(self.test_images, 1), "made up", {})

    def _part(self, count, seed):
        generator = np.random.default_rng(seed)
        coarse = generator.integers(self.classes, size=(count, 2, 2))
        masks = coarse.repeat(PX // 2, axis=1).repeat(PX // 2, axis=2)
        noise = generator.integers(0, 40, (count, 3, PX, PX))
        pixels = (80 * masks[:, None] + noise).astype(np.uint8)
        return in_memory(Images(pixels, masks))


def task_of(**changes):
    return Brightness("levels", LEVELS, PX, "valid", "test", 48, 192, test_images=48, **changes)


def session(folder, space=None, task=None, **changes):
    values = {
        "recipe": Recipe(batch=16), "epochs": 2, "score_epochs": 1, "score_seeds": [1],
        "channels": 4, "cells": 1, "device": "cpu", "threads": 1,
        "precision": Precision.float32, "cache_dir": str(folder),
    }  # fmt: skip
    return Training(**{**values, **changes}).opened(space or NB201(), task or task_of())


def logits_of(classes, count):
    """``(1, count, 2, 2)`` logits whose highest is that of ``classes (2, 2)``."""
    return F.one_hot(torch.tensor(classes), count).permute(2, 0, 1)[None].float()


def test_a_dense_task_is_trained_and_scored_on_any_space(tmp_path):
    evaluator = session(tmp_path)
    arch = NB201().parse(
        "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|"
    )[None]
    found = evaluator.evaluate(arch, epochs=np.array([2]), streams=Streams([0]))
    final = evaluator.score(arch, task_of())
    assert evaluator.metric.name == evaluator.final_metric(task_of()).name == "miou_pct"
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.metric for row in rows} == {"miou_pct"}
    # A third of the pixels right by chance is an IoU of a fifth.
    assert found.score[0] == rows[1].val_score > 45.0
    assert rows[1].train_score > rows[0].train_score
    assert rows[1].loss < rows[0].loss < 1.2 * math.log(LEVELS)
    assert final.test_score[0] > 20.0
    # Parameters of the head that was built, not of the classifier that a formula counts.
    built = NB201().build(arch[0], task_of(), Scale())
    whole = session(tmp_path, channels=None, cells=None, score_epochs=None)
    size = sum(weights.numel() for weights in built.parameters()) / 1e6
    assert whole.score(arch, task_of()).params_m == pytest.approx([size])


def test_a_second_head_is_as_dense_as_the_first():
    space = DARTS(nodes=1, operations=["skip_connect", "sep_conv_3x3"])
    network = space.build(space.at(np.array(3)), task_of(), Scale(4, 3)).train()
    outputs = network(torch.randn(2, 3, PX, PX))
    assert [tuple(output.shape) for output in outputs] == [(2, LEVELS, PX, PX)] * 2
    assert isinstance(
        space.build(space.at(np.array(3)), task_of(), Scale(4, 3)).eval()(
            torch.randn(2, 3, PX, PX)
        ),
        torch.Tensor,
    )


def test_mean_iou_is_that_computed_by_hand():
    objective = Segmentation(3, 2)
    running = objective.tally()
    target = torch.tensor([[[0, 1], [1, IGNORED]]])
    # Class 0: one of two. Class 1: one of two. Class 2 is nowhere.
    running.add(logits_of([[0, 1], [0, 2]], 3), target)
    assert running.value == pytest.approx(50.0)
    # Then, class 0: 1 of 2 and 0 of 0; class 1: 1 of 2 and 3 of 4; class 2: 0 of 1.
    running.add(logits_of([[1, 1], [1, 2]], 3), torch.ones(1, 2, 2, dtype=torch.int64))
    assert running.value == pytest.approx(100 * (1 / 2 + 4 / 6 + 0 / 1) / 3)
    assert running.images == 2


def test_the_loss_is_that_computed_by_hand():
    objective = Segmentation(2, 2)
    output = torch.zeros(2, 2, 2, 2)
    output[0, 1] = math.log(3.0)  # probabilities 1/4 and 3/4
    target = torch.tensor([[[1, 1], [0, IGNORED]], [[0, 1], [0, 1]]])
    first = (2 * math.log(4 / 3) + math.log(4)) / 3
    assert float(objective.loss(output, target)) == pytest.approx(first + math.log(2))


def test_classification_is_cross_entropy_and_accuracy_by_hand():
    objective = Classification(2)
    output = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [0.0, math.log(3.0)]])
    target = torch.tensor([0, 0, 0])
    own = [math.log(2), math.log(4 / 3), math.log(4)]
    assert float(objective.loss(output, target)) == pytest.approx(sum(own))
    even = [math.log(2), (math.log(4 / 3) + math.log(4)) / 2, (math.log(4 / 3) + math.log(4)) / 2]
    smoothed = sum(0.8 * one + 0.2 * other for one, other in zip(own, even, strict=True))
    assert float(objective.loss(output, target, 0.2)) == pytest.approx(smoothed)
    assert objective.score(objective.sums(output, target), 3) == pytest.approx(200 / 3)
    assert math.isnan(objective.tally().value)


def test_heads_of_classifiers_pool_and_keep_their_names():
    head = Classification(5).head(4)
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(head(x), x.mean(dim=(2, 3)) @ head.weight.T + head.bias)
    network = Skeleton(lambda c_in, c_out: nn.Conv2d(c_in, c_out, 1), [[4]], Classification(5))
    assert isinstance(network.classifier, PooledLinear)
    assert {"classifier.weight", "classifier.bias"} <= network.state_dict().keys()
    assert network.features(torch.randn(2, 3, 8, 8)).shape == (2, 4, 8, 8)


def test_the_metric_comes_from_the_objective_and_outlives_the_images():
    task, numbers = task_of(), task_of().described
    assert task.metric == numbers.metric == metric_named("miou_pct")
    assert numbers.objective == task.objective == Segmentation(LEVELS, PX)
    assert numbers.loaded is None
    with pytest.raises(UnsupportedError, match="has no images"):
        numbers.load()
    plain = Task("plain", 7, PX, "v", "t", 1, 1)
    assert plain.described.metric == ACCURACY
    assert objective_of(plain.described) == Classification(7)


def test_what_cannot_learn_such_a_task_refuses_it(tmp_path):
    with pytest.raises(UnsupportedError, match="scores classifiers"):
        ZeroCost().opened(ToySpace(), task_of())
    with pytest.raises(UnsupportedError, match="no classes of pictures"):
        task_of().subset([0, 1])
    with pytest.raises(DataError, match="cannot be resized to task"):
        replace(task_of(), image_px=8).load()


@pytest.mark.parametrize("px", [4, 14, 17])
def test_the_second_classifier_reads_means_over_the_quarters_of_a_map(px):
    """Of a pooled one where there is room: 14 pixels become 4, and 17 become 5, whose middle one
    belongs to both halves."""
    head, seen = AuxiliaryHead(3, 2), []
    head.features.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.from_numpy(Streams([0]).normal(2 * 3 * px * px)).float().view(2, 3, px, px)
    head(x)
    maps = F.avg_pool2d(x.relu(), 5, 3) if px > 4 else x.relu()
    halves = (slice(None, -(maps.shape[2] // 2)), slice(maps.shape[2] // 2, None))
    wanted = [[maps[:, :, own, other].mean(dim=(2, 3)) for other in halves] for own in halves]
    rows = torch.stack([torch.stack(row, dim=2) for row in wanted], dim=2)
    torch.testing.assert_close(seen[0], rows)
