"""Sizes of published mobile networks: by formula, and of the network as it is built."""

import pytest
import torch

from nasrun.nets.classification import Classification
from nasrun.nets.footprint import footprint
from nasrun.nets.inverted_residual import Network
from nasrun.nets.mobile_blocks import Block, Ends, Place, divisible
from nasrun.spaces.mobile_skeleton import block_cost, ends_cost

PX = 224
# Sandler et al., "MobileNetV2" (CVPR 2018), Table 2: expansion, channels, layers, first stride.
V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
      (6, 320, 1, 1)]  # fmt: skip
# Howard et al., "Searching for MobileNetV3" (ICCV 2019), Tables 1 and 2: kernel, expanded channels,
# channels, squeeze-and-excitation or not, stride.
LARGE = [(3, 16, 16, 0, 1), (3, 64, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 1, 2),
         (5, 120, 40, 1, 1), (5, 120, 40, 1, 1), (3, 240, 80, 0, 2), (3, 200, 80, 0, 1),
         (3, 184, 80, 0, 1), (3, 184, 80, 0, 1), (3, 480, 112, 1, 1), (3, 672, 112, 1, 1),
         (5, 672, 160, 1, 2), (5, 960, 160, 1, 1), (5, 960, 160, 1, 1)]  # fmt: skip
SMALL = [(3, 16, 16, 1, 2), (3, 72, 24, 0, 2), (3, 88, 24, 0, 1), (5, 96, 40, 1, 2),
         (5, 240, 40, 1, 1), (5, 240, 40, 1, 1), (5, 120, 48, 1, 1), (5, 144, 48, 1, 1),
         (5, 288, 96, 1, 2), (5, 576, 96, 1, 1), (5, 576, 96, 1, 1)]  # fmt: skip


def v2():
    blocks, width = [], 32
    for expansion, channels, layers, stride in V2:
        for layer in range(layers):
            place = Place(width, channels, 1 if layer else stride)
            blocks.append(Block(3, expansion * width, place, expands=False))
            width = channels
    return blocks, Ends(stem=32, stride=2, c_in=width, last=1280)


def v3(table, last, hidden):
    blocks, width = [], 16
    for kernel, wide, channels, squeezes, stride in table:
        squeeze = divisible(wide // 4) if squeezes else 0
        place = Place(width, channels, stride)
        blocks.append(Block(kernel, wide, place, squeeze=squeeze, expands=False))
        width = channels
    return blocks, Ends(16, 2, width, last, hidden, hidden_bias=True)


@pytest.mark.parametrize(
    ("network", "params", "macs"),
    [
        (v2(), 3.504872, 300.77),
        (v3(LARGE, 960, 1280), 5.483032, 216.59),
        (v3(SMALL, 576, 1024), 2.542856, 56.51),
    ],
    ids=["v2", "v3_large", "v3_small"],
)
def test_published_networks_have_their_published_sizes(network, params, macs):
    """To all digits that are published; the classifier's thousand biases are FLOPs here, too."""
    blocks, ends = network
    start = px = PX // ends.stride
    total = 0
    for block in blocks:
        total = total + block_cost(block, px)
        px = -(-px // block.place.stride)
    total = (total + ends_cost(ends, start, px, 1000)) / 1e6
    assert total[0] == params
    assert total[1] - 0.001 == pytest.approx(macs, abs=0.005)
    with torch.device("meta"):
        built = Network(blocks, ends, Classification(1000))
    assert footprint(built, PX) == pytest.approx(tuple(total), rel=1e-12)
