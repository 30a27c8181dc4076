"""NAS-RL's chain: its texts, the paper's rules for skips, and what the controller makes of it."""

import numpy as np
import pytest
import torch
from composed import trace
from test_space_contract import TASK
from toys import ToyEvaluator, toy_experiment

from nasrun.algorithms.nas_rl import NASRL
from nasrun.budget import Budget
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.spaces.conv_chain import ConvChain
from nasrun.spec import Measured, Scale
from nasrun.streams import Streams

SMALL = ConvChain(depth=4, filters=[2, 4])
STRIDED = ConvChain(depth=3, strides=[1, 2], filters=[2, 4])


def network(text, space=SMALL):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return space.build(space.parse(text), TASK, Scale()).eval()


def test_the_papers_sizes():
    space = ConvChain()
    assert len(space.decisions) == 45 + 105
    assert len(ConvChain(strides=[1, 2, 3]).decisions) == 75 + 105
    assert space.anchors.layer[[0, 2, 3, 6, 7]].tolist() == [1, 1, 2, 2, 3]
    assert space.anchors.points[[6, 10, 11], 1].tolist() == [1, 1, 2]


def test_texts():
    text = "[3x3/2 5x7/4<1 7x1/2 1x1/4<1,3]"
    layers = SMALL.layers_of(SMALL.parse(text))
    assert [layer.inputs for layer in layers] == [(), (1,), (), (1, 3)]
    assert layers[1].kernel == (5, 7)
    strided = "[3x3s2x1/2 1x1s1x1/4 1x3s1x2/2<2]"
    assert STRIDED.text(STRIDED.parse(strided)) == strided


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[3x3/2 5x7/4<2 7x1/2 1x1/4]", "expected a layer from 1 to 1 at character 14"),
        ("[3x3/2 5x7/4 7x1/2<2,1 1x1/4]", "expected a layer from 3 to 2"),
        ("[3x3/3 5x7/4 7x1/2 1x1/4]", "expected one of 2, 4 at character 6"),
        ("[3x3/2 5x7/4 7x1/2]", "expected a number"),
    ],
)
def test_bad_texts_say_what_was_expected(text, why):
    with pytest.raises(ConfigError, match=why):
        SMALL.parse(text)


def test_the_four_rules_for_skips():
    """No input: the picture; several: concatenated; unread: all go to the classifier."""
    net = network("[3x3/2 1x1/4<1 1x3/2 1x1/4<1,3]")
    x = torch.rand(2, 3, 6, 6)
    first = net.layers[0](x)
    second = net.layers[1](first)
    third = net.layers[2](x)  # reads nothing, hence the picture
    fourth = net.layers[3](torch.cat([first, third], 1))
    wanted = net.classifier(torch.cat([second, fourth], 1))  # layers 1 and 3 are read
    torch.testing.assert_close(net(x), wanted)


def test_smaller_maps_are_padded_with_zeros():
    net = network("[1x1s2x1/2 1x1s1x1/2 1x1s1x1/4<1,2]", STRIDED)
    x = torch.rand(1, 3, 5, 5)
    first, second = net.layers[0](x), net.layers[1](x)
    assert first.shape == (1, 2, 3, 5)
    padded = torch.zeros(1, 2, 5, 5)
    padded[:, :, :3] = first
    wanted = net.classifier(net.layers[2](torch.cat([padded, second], 1)))
    torch.testing.assert_close(net(x), wanted)


@pytest.mark.parametrize("space", [SMALL, STRIDED], ids=["plain", "strided"])
def test_the_formula_counts_what_the_network_has(space):
    archs = space.sample(Streams(range(6)))
    wanted = [footprint(space.build(arch, TASK, Scale()), 32) for arch in archs]
    np.testing.assert_allclose(np.stack(space.footprint(archs, TASK), 1), wanted)


def test_cells_are_refused_and_channels_scale_all_filters():
    arch = SMALL.parse("[3x3/2 5x7/4 7x1/2 1x1/4]")
    with pytest.raises(UnsupportedError, match=r"evaluator\.cells"):
        SMALL.build(arch, TASK, Scale(cells=2))
    scaled = SMALL.build(arch, TASK, Scale(channels=4))
    assert [layer[0].out_channels for layer in scaled.layers] == [4, 8, 4, 8]


class ShareOfSkips(ToyEvaluator):
    """In percent."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        skips = SMALL.anchors.points.max(axis=1) > 0
        score = 100.0 * archs[:, skips].mean(axis=1)
        return Measured.scored(archs, epochs, score, epochs.astype(float))


@pytest.mark.slow
def test_anchor_points_learn_to_skip():
    """The share of set skip bits is the reward: over 0.9 within 500 samples."""
    experiment = toy_experiment(NASRL(learning_rate=0.01), space=SMALL, evaluator=ShareOfSkips())
    played = trace(experiment, seeds=[1], budget=Budget(evaluations=400))
    assert played.reward[:5].mean() < 70
    assert played.reward[-30:].mean() > 90
