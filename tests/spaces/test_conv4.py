"""MAML's networks: their size by hand, and what meta-training does to them."""

import numpy as np
import pytest
import torch
from composed import composed

from nasrun.__main__ import CONF
from nasrun.config import check
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.classification import Classification
from nasrun.nets.footprint import footprint
from nasrun.nets.maml import Episodes, InnerLoop, functional, meta_loss
from nasrun.spaces.conv4 import Conv4
from nasrun.spec import Scale, Task

SPACE = Conv4()
MAMLS = SPACE.parse("32-32-32-32")


def task_of(image_px, classes=5):
    return Task("few", classes, image_px, "s", "s", 100, 100)


def by_hand(filters, image_px, classes):
    """Weights, biases, and scale and shift of the normalisation; the classifier of all pixels."""
    convs = [9 * before * own + own for before, own in zip([3, *filters], filters, strict=False)]
    last = filters[-1] * (image_px // 16) ** 2
    return sum(convs) + 2 * sum(filters) + (last + 1) * classes


def test_five_classes_of_mini_imagenet_make_the_published_32_9_thousand():
    network = SPACE.build(MAMLS, task_of(84), Scale())
    assert sum(own.numel() for own in network.parameters()) == by_hand([32] * 4, 84, 5) == 32_901
    assert SPACE.footprint(MAMLS[None], task_of(84))[0] == [0.032901]


def test_the_row_of_table_2_is_the_published_network():
    whole = composed("+experiment=metad2a_table2", hydra=True)
    *_, row = whole.hydra.sweeper.points
    row = check(composed("+experiment=metad2a_table2", "task.shots=5", *row), [CONF / "task"])
    scale = Scale(row.evaluator.channels, row.evaluator.cells)
    network = row.space.build(row.space.parse(row.algorithm.arch), task_of(84), scale)
    assert row.algorithm.name == "MAML"
    assert sum(own.numel() for own in network.parameters()) == 32_901


@pytest.mark.parametrize("image_px", [16, 33, 84])
@pytest.mark.parametrize("text", ["32-32-32-32", "16-64-48-32"])
def test_the_footprint_is_that_of_the_network(text, image_px):
    arch, task = SPACE.parse(text), task_of(image_px, classes=7)
    params, flops = footprint(SPACE.build(arch, task, Scale()), image_px)
    assert round(1e6 * params) == by_hand([int(own) for own in text.split("-")], image_px, 7)
    found = np.concatenate(SPACE.footprint(arch[None], task))
    np.testing.assert_allclose(found, [params, flops])


def test_channels_are_those_of_the_fewest_filters():
    network = SPACE.build(SPACE.parse("16-32-48-64"), task_of(16), Scale(channels=4))
    assert [own.shape[0] for own in network.parameters() if own.ndim == 4] == [4, 8, 12, 16]


@pytest.mark.parametrize("second_order", [True, False])
def test_the_meta_gradient_is_the_slope_of_the_meta_loss(second_order):
    """Along one direction, by a difference quotient; of first order it is not that slope.

    With torch's own batch normalisation it was not that slope in second order either.
    """
    torch.manual_seed(0)
    network = SPACE.build(SPACE.parse("16-16-16-16"), task_of(16, 2), Scale(channels=3)).double()
    weights, forward = functional(network)
    picture, label = torch.randn(2, 6, 3, 16, 16).double(), torch.arange(6).repeat(2, 1) % 2
    episodes = Episodes(picture[:, :2], label[:, :2], picture[:, 2:], label[:, 2:])
    loop = InnerLoop(3, 0.1, second_order)

    def loss(own):
        return meta_loss(loop.logits(forward, own, episodes), episodes.query_labels)

    own = {name: each.requires_grad_() for name, each in weights.items()}
    loss(own).backward()
    direction = {name: torch.randn_like(each) for name, each in own.items()}
    slope = sum(float((direction[name] * each.grad).sum()) for name, each in own.items())
    with torch.no_grad():
        ends = [
            float(loss({name: each + step * direction[name] for name, each in own.items()}))
            for step in (1e-6, -1e-6)
        ]
    numeric = (ends[0] - ends[1]) / 2e-6
    assert all(float(each.grad.abs().max()) > 0 for name, each in own.items() if "bias" not in name)
    assert (slope == pytest.approx(numeric, rel=1e-6)) == second_order


def test_the_classifier_reads_every_pixel_of_the_last_maps():
    network = SPACE.build(MAMLS, task_of(64), Scale()).eval()
    assert network.classifier.in_features == 32 * 4 * 4
    assert isinstance(Classification(5).head(32), type(network.classifier))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("32-32-32", "expected '-'"),
        ("32-32-32-32-32", "end here"),
        ("32-33-32-32", "expected one of 16, 32, 48, 64 at character 4"),
    ],
)
def test_bad_texts_show_where(text, why):
    with pytest.raises(ConfigError, match=why):
        SPACE.parse(text)


def test_what_it_cannot_build_or_hold_is_refused():
    with pytest.raises(UnsupportedError, match="at least 16 pixels, task=few has 8"):
        SPACE.build(MAMLS, task_of(8), Scale())
    with pytest.raises(UnsupportedError, match=r"leave evaluator\.cells at null"):
        SPACE.build(MAMLS, task_of(32), Scale(cells=1))
    for filters in ([], [8, 8], [0]):
        with pytest.raises(ConfigError, match=r"space\.filters"):
            Conv4(filters=filters)
