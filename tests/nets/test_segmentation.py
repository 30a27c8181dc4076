"""Semantic segmentation: loss and metric by hand, heads, and a training that learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from toy_backbone import HeadedNetwork, ToyBackbone

from nasrun.errors import UnsupportedError
from nasrun.images import IGNORED, Images
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.loader import Augmentation, load_batches
from nasrun.nets.recipe import Optimizer, Precision, Recipe
from nasrun.nets.segmentation import Segmentation
from nasrun.nets.segmentation_heads import HEADS, ConvNorm, Pooled
from nasrun.nets.trainer import Trainer, judged

CPU = Device("cpu", Precision.float32, threads=1)


def slow_miou(logits, masks, classes):
    """Mean over classes of intersection over union, pixel by pixel and class by class."""
    both, either = [0] * classes, [0] * classes
    for image, mask in zip(logits, masks, strict=True):
        image = F.interpolate(image[None], mask.shape, mode="bilinear", align_corners=False)[0]
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                true, found = int(mask[y, x]), int(image[:, y, x].argmax())
                if true == IGNORED:
                    continue
                for k in range(classes):
                    both[k] += true == k and found == k
                    either[k] += true == k or found == k
    known = [b / e for b, e in zip(both, either, strict=True) if e]
    return 100 * sum(known) / len(known) if known else math.nan


def drawn(seed, classes=5, count=4, size=(7, 9), logits=(4, 5)):
    """Logits that never name class 3, and masks without class 2, some of whose pixels count not."""
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(count, classes, *logits, generator=generator)
    output[:, 3] = -9
    masks = torch.randint(classes, (count, *size), generator=generator)
    masks[masks == 2] = IGNORED
    return output, masks


@pytest.mark.parametrize("seed", range(3))
def test_mean_iou_is_that_of_the_slow_definition(seed):
    objective, (output, masks) = Segmentation(5), drawn(seed)
    tally = objective.tally()
    for part in (slice(0, 3), slice(3, 4)):  # one confusion, not a mean over batches
        tally.add(output[part], masks[part])
    assert tally.value == pytest.approx(slow_miou(output, masks, 5))
    assert tally.images == 4


def test_a_class_that_is_nowhere_is_nan_and_left_out():
    objective = Segmentation(4)
    logits = F.one_hot(torch.tensor([[[0, 0, 1, 1]]]), 4).movedim(3, 1).float()
    target = torch.tensor([[[0, 1, 1, IGNORED]]])
    sums = objective.sums(logits, target)
    assert objective.ious(sums).tolist()[:2] == [0.5, 0.5]
    assert objective.ious(sums)[2:].isnan().all()
    assert objective.score(sums, 1) == 50.0
    wrong = objective.sums(logits, torch.full((1, 1, 4), 3))  # a class that is never found is 0
    assert objective.ious(wrong).nan_to_num(-1).tolist() == [0.0, 0.0, -1.0, 0.0]
    nothing = objective.sums(logits, torch.full((1, 1, 4), IGNORED))
    assert math.isnan(objective.score(nothing, 1))


def pixel_losses(output, masks):
    return -F.interpolate(output, masks.shape[1:], mode="bilinear").log_softmax(1)


def slow_loss(output, masks, hard=None):
    """Image by image, the mean over the pixels that are kept."""
    total, losses = 0.0, pixel_losses(output, masks)
    for image, mask in zip(losses, masks, strict=True):
        own = sorted(
            (float(image[mask[y, x], y, x]) for y, x in np.ndindex(*mask.shape) if mask[y, x] >= 0),
            reverse=True,
        )
        kept = own
        if hard is not None:
            kept = [one for one in own if one >= -math.log(hard)]
            kept = max(kept, own[: math.ceil(len(own) / 16)], key=len)
        total += sum(kept) / max(len(kept), 1)
    return total


@pytest.mark.parametrize("hard", [None, 0.7, 0.3, 1e-6])
def test_the_loss_keeps_hard_pixels_and_is_that_of_the_slow_definition(hard):
    output, masks = drawn(3)
    masks[1] = IGNORED  # an empty picture adds nothing
    output[2, 0], masks[2] = 20, 0  # and an easy one keeps its hardest sixteenth
    found = Segmentation(5, hard=hard).loss(output, masks)
    assert float(found) == pytest.approx(slow_loss(output, masks, hard), rel=1e-4)


def test_easy_pixels_teach_nothing():
    output, masks = drawn(4, logits=(7, 9))
    output.requires_grad_()
    Segmentation(5, hard=0.2).loss(output, masks).backward()
    assert output.grad is not None
    taught = output.grad.abs().sum(dim=1) > 0
    own = pixel_losses(output, masks).gather(1, masks.clamp(min=0)[:, None])[:, 0]
    assert torch.equal(taught, (masks != IGNORED) & (own >= -math.log(0.2)))


def test_the_loss_of_smoothed_labels_is_torchs():
    output, masks = drawn(5, logits=(7, 9))
    one = F.cross_entropy(output[:1], masks[:1], ignore_index=IGNORED, label_smoothing=0.2)
    torch.testing.assert_close(Segmentation(5).loss(output[:1], masks[:1], 0.2), one)


class Sided(nn.Module):
    """Says class 1 with a logit that grows to the right and with the image's size."""

    def forward(self, x):
        ramp = torch.linspace(-1, 1, x.shape[3]) * x.shape[2] / 8
        one = x.mean(dim=1) + ramp
        return torch.stack([-one, one], dim=1)


def test_scales_and_mirrors_are_averaged_as_probabilities():
    objective = Segmentation(2, scales=(0.5, 1.0, 1.5), mirrored=True)
    images, network = torch.randn(2, 3, 8, 12), Sided()
    total = torch.zeros(2, 2, 8, 12)
    for size in ((4, 6), (8, 12), (12, 18)):
        scaled = F.interpolate(images, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            own = network(scaled.flip(3) if mirrored else scaled)
            own = F.interpolate(own, (8, 12), mode="bilinear", align_corners=False).softmax(dim=1)
            total += own.flip(3) if mirrored else own
    torch.testing.assert_close(objective.judged_output(network, images), total / 6)
    # By mirrored images as much to the left as to the right; by one image not.
    flat = torch.zeros(1, 3, 8, 12)
    both = replace(objective, scales=(1.0,)).judged_output(network, flat)
    torch.testing.assert_close(both, torch.full_like(both, 0.5))
    assert torch.equal(Segmentation(2).judged_output(network, images), network(images))


class Stages(ToyBackbone):
    """Other strides and widths, down to maps of a single pixel."""

    def __init__(self, count, first):
        super().__init__()
        self.widths = tuple(range(4, 4 + count))
        self.strides = tuple(first * 2**at for at in range(count))
        sizes = zip((3, *self.widths[:-1]), self.widths, (first, *(2,) * (count - 1)), strict=True)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, step, 1) for a, b, step in sizes)


@pytest.mark.parametrize("kind", sorted(HEADS))
@pytest.mark.parametrize(("count", "first"), [(2, 1), (3, 2), (4, 4), (5, 4)])
@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_heads_read_the_maps_of_any_backbone_even_of_a_single_picture(kind, count, first, size):
    torch.manual_seed(0)  # else now and then all eight channels of a ReLU are below zero
    objective = Segmentation(3, kind, width=8)
    network = HeadedNetwork(Stages(count, first), objective)
    x = torch.randn(1, 3, *size)
    output, *beside = network.train()(x)
    assert output.shape == (1, 3, *size)
    target = torch.randint(3, (1, *size))
    losses = [objective.loss(own, target) for own in (output, *beside)]
    sum(losses).backward()
    taught = {
        name for name, own in network.named_parameters() if own.grad is not None and own.grad.any()
    }
    assert taught == {name for name, _ in network.named_parameters()}
    assert network.eval()(x).shape == (1, 3, *size)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_outputs_beside_the_first_are_no_part_of_the_footprint(kind):
    network = HeadedNetwork(ToyBackbone(), Segmentation(3, kind, width=8))
    params, flops = footprint(network, 32)
    beside = sum(own.numel() for own in network.head.auxiliary.parameters())
    assert beside > 0
    assert params * 1e6 == sum(own.numel() for own in network.parameters()) - beside
    assert flops > 0


@pytest.mark.parametrize(
    ("channels", "groups"), [(128, 32), (256, 32), (64, 16), (48, 8), (9, 1), (6, 1), (1, 1)]
)
def test_groups_have_four_channels_or_more(channels, groups):
    assert ConvNorm(3, channels)[1].num_groups == groups


def test_what_is_pooled_to_a_pixel_is_no_constant():
    pooled = Pooled(4, 4, nn.ReLU())
    assert len(pooled(torch.randn(6, 4, 3, 3)).unique()) > 4


def test_a_backbone_of_one_stage_is_refused():
    with pytest.raises(UnsupportedError, match=r"task\.head=deeplab reads the maps of two stages"):
        HeadedNetwork(Stages(1, 2), Segmentation(3, "deeplab"))


def discs(count, seed, px=24):
    """Bright discs on a dark ground whose brightness varies, and their masks."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px]
    masks = np.zeros((count, px, px), np.int8)
    for at in range(count):
        for _ in range(3):
            centre, radius = generator.uniform(0, px, 2), generator.uniform(3, 6)
            masks[at] |= (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    ground = generator.uniform(20, 90, (count, 1, 1, 1))
    pixels = ground + 60 * masks[:, None] + generator.normal(0, 20, (count, 3, px, px))
    return Images(pixels.clip(0, 255).astype(np.uint8), masks)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_a_segmenter_learns(kind):
    objective = Segmentation(2, kind, width=16, hard=0.7 if kind == "bisenet" else None)
    recipe = Recipe(batch=16, learning_rate=0.01, optimizer=Optimizer.adamw)
    moments = (80.0,) * 3, (40.0,) * 3
    own = Augmentation(flip=True, pad=3, jitter=(0.1, 0.1, 0.1, 0.0), scale=(0.8, 1.25))
    train = load_batches(discs(96, 1), *moments, 16, augmentation=own)
    valid = load_batches(discs(24, 2), *moments, 8)
    trainer = Trainer(lambda: HeadedNetwork(ToyBackbone(), objective), objective, recipe, 6, CPU, 1)
    rows = trainer.train(lambda epoch: train.epoch(1, epoch), valid)
    chance = judged(HeadedNetwork(ToyBackbone(), objective), objective, valid, CPU)
    assert chance < 55
    assert rows[-1].val_score > 85
    mirrored = replace(objective, mirrored=True)
    assert judged(trainer.network, mirrored, valid, CPU) > rows[-1].val_score - 1
