import math

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.spaces.residual import Residual
from nasrun.spaces.residual_skeleton import Block, Stem
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = Residual()
SMALL = Residual(base_channels=[8, 12], depths=[4, 6], stages=[2, 3], doublings=2)
IMAGENET = Task("imagenet", 1000, 224, "t", "t", 1, 1)
TASK = Task("cifar10", 10, 32, "t", "t", 1, 1)
LIKE_RESNETS = {"base_channels": [64], "stages": [4], "stem": Stem.resnet}


def enumerated():
    """The definition of the small space, code by code."""
    texts = set()
    for base in (8, 12):
        for depth in (4, 6):
            for bits in range(4 ** (depth - 1)):
                digits, code = "1", "1"
                for at in range(depth - 1):
                    digits += "12"[bits >> at & 1]
                    code += "-" * (bits >> (depth - 1 + at) & 1) + digits[-1]
                if digits.count("2") == 2 and code.count("-") in (1, 2):
                    texts.add(f"{base}x{depth}_{code}")
    return sorted(texts)


def test_every_code_of_the_definition_exists_and_nothing_else():
    texts = enumerated()
    archs = np.array([SMALL.parse(text) for text in texts])
    assert SMALL.exists(archs).all()
    assert [SMALL.text(arch) for arch in archs] == texts
    everything = SMALL.at(np.arange(SMALL.size))
    assert SMALL.exists(everything).sum() == len(texts) == SMALL.networks


def test_the_papers_space_is_as_large_as_its_definition():
    """Four bases; of D blocks D - 1 places for 3 or 4 stage ends, and for 3 doublings."""
    ways = [
        (math.comb(d - 1, 3) + math.comb(d - 1, 4)) * math.comb(d - 1, 3) for d in (15, 20, 25, 30)
    ]
    assert SPACE.networks == 4 * sum(ways) == 523_732_540


def test_samples_are_uniform_given_base_depth_and_stages():
    """Twenty draws a network of one depth and number of stages: chi-squared within 4 sigma."""
    space = Residual(base_channels=[8], depths=[7], stages=[3], doublings=2)
    networks = math.comb(6, 2) ** 2
    archs = space.sample(Streams(range(20 * networks), "uniform"))
    _, counts = np.unique(space.index(archs), return_counts=True)
    chi2 = ((counts - 20.0) ** 2 / 20.0).sum() + 20.0 * (networks - len(counts))
    assert abs(chi2 - (networks - 1)) < 4 * math.sqrt(2 * (networks - 1)), chi2
    shares = np.bincount(SMALL.sample(Streams(range(4000), "depths"))[:, 1]) / 4000
    assert shares == pytest.approx([0.5, 0.5], abs=0.03)  # 3.8 sigma


@pytest.mark.parametrize(
    ("block", "depth", "code", "params", "mflops"),
    [
        # torchvision 0.29.1: parameters, and GMACs as its weights' pages print them.
        (Block.basic, 8, "11-21-21-21", 11_689_512, 1_814),
        (Block.bottleneck, 16, "111-2111-211111-211", 25_557_032, 4_089),
        (Block.bottleneck, 33, f"111-2111-2{'1' * 22}-211", 44_549_160, 7_801),
    ],
)
def test_resnets_are_codes(block, depth, code, params, mflops):
    space = Residual(depths=[depth], block=block, **LIKE_RESNETS)
    arch = space.parse(f"64_{code}")
    counted = space.footprint(arch[None], IMAGENET)
    with torch.device("meta"):
        network = space.build(arch, IMAGENET, Scale())
    assert (round(counted[0][0] * 1e6), math.floor(counted[1][0])) == (params, mflops)
    assert footprint(network, 224) == (counted[0][0], counted[1][0])
    widths = np.array([64, 128, 256, 512]) * (4 if block is Block.bottleneck else 1)
    assert (network.widths, network.strides) == (tuple(widths), (4, 8, 16, 32))


@pytest.mark.parametrize("stem", Stem)
@pytest.mark.parametrize("block", Block)
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_formulas_count_what_networks_have(stem, block, stride):
    space = Residual(stem=stem, block=block, stem_stride=stride)
    task = Task("odd", 7, 45, "t", "t", 1, 1)
    archs = space.sample(Streams(range(2), "networks"))
    for arch, *expected in zip(archs, *space.footprint(archs, task), strict=True):
        with torch.device("meta"):
            network = space.build(arch, task, Scale())
        assert footprint(network, task.image_px) == pytest.approx(expected, rel=1e-12)


def test_maps_have_the_widths_and_strides_that_the_network_reports():
    """Doublings at blocks 2, 4 and 6 of 15, whatever the stages."""
    arch = SPACE.parse("48_121-2-12-111-111111")
    network = SPACE.build(arch, TASK, Scale(channels=4)).eval()
    names = [name for name, _ in network.named_children()]
    assert names == ["stem", "stage1", "stage2", "stage3", "stage4", "stage5", "classifier"]
    assert network.widths == (4 * 8, 4 * 16, 4 * 32, 4 * 32, 4 * 32)
    assert network.strides == (4, 8, 16, 32, 64)
    x = torch.randn(2, 3, 64, 128)
    maps = network.maps(x)
    sizes = zip(network.widths, network.strides, strict=True)
    shapes = [(2, width, 64 // stride, 128 // stride) for width, stride in sizes]
    assert [tuple(each.shape) for each in maps] == shapes
    torch.testing.assert_close(network(x), network.classifier.head(maps[-1]))
    assert network(x).shape == (2, 10)


def test_channels_are_those_of_the_least_base():
    archs = [SPACE.parse(f"{base}_11-21-21-211111111") for base in (48, 72)]
    widths = [SPACE.build(arch, TASK, Scale(channels=12)).widths[0] for arch in archs]
    assert widths == [4 * 12, 4 * 18]
    with pytest.raises(UnsupportedError, match="at least 2 channels"):
        SPACE.build(archs[0], TASK, Scale(channels=1))
    with pytest.raises(UnsupportedError, match="leave evaluator"):
        SPACE.build(archs[0], TASK, Scale(cells=3))


def test_codes_of_others_are_read():
    """With the block type in front, or without the depth."""
    code = "1121-21-112-111111"
    texts = (f"72x15_{code}", f"72_{code}", f"r101_72_{code}")
    assert len({SPACE.parse(text).tobytes() for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("50x15_1121-21-112-111111", "base channel of 48 or 56 or 64 or 72", 0),
        ("48x15_1121-21-112-1111111", "expected 15 blocks, found 16", 6),
        ("48_1121-21-112-1111111", "expected 15 or 20 or 25 or 30 blocks, found 16", 3),
        ("48_1121-21112111111", "expected 4 or 5 stages, found 2", 3),
        ("48_1121-21-111-111111", "expected 3 doublings, found 2", 3),
        ("48_2121-21-112-11111", "expected a block, 1", 3),
        ("48_1121--21-112-1111", "expected a block, 1 or 2", 8),
        ("48_1121-21-112-1111-", "expected a block, 1 or 2", 20),
        ("48_1121-21-1123-1111", "the code should end here", 14),
        ("r18_48_1121-21-112-11111", "bottleneck: expected r50, r101", 0),
    ],
)
def test_bad_codes_are_refused_with_the_place(text, words, place):
    with pytest.raises(ConfigError, match=f"{words} at character {place + 1}:"):
        SPACE.parse(text)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depths": []}, "space.depths must hold numbers"),
        ({"stages": [4, 4]}, "space.stages must hold numbers, each once"),
        ({"depths": [15, 4]}, "a block for each of 5 stages or widths, got 4"),
        ({"depths": [5], "doublings": 5}, "a block for each of 6"),
        ({"stem_stride": 3}, "space.stem_stride must be 1, 2 or 4"),
        ({"base_channels": [64, 1]}, "space.base_channels must be at least 2"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Residual(**settings)


def test_graphs_are_chains_with_all_that_the_code_says():
    arch = SMALL.parse("12x6_12-112-1")
    [adjacency], [operations] = SMALL.dag(arch[None])
    names = [SMALL.dag_operations[o] for o in operations if o >= 0]
    blocks = ["block", "wider", "halved", "block", "wider", "halved"]
    assert names == ["input", "stem 12", *blocks, "output"]
    assert np.argwhere(adjacency).tolist() == [[at, at + 1] for at in range(8)]
    short = SMALL.parse("8x4_1-2-21")
    assert [SMALL.dag_operations[o] for o in SMALL.dag(short[None]).operations[0] if o >= 0] == [
        "input", "stem 8", "block", "wider and halved", "wider and halved", "block", "output",
    ]  # fmt: skip
    assert SMALL.graph(arch) == [
        ("0", "1", "stem 12"),
        ("1", "2", "1 x 12"),
        ("2", "3", "1 x 24"),
        ("3", "4", "2 x 24, halved"),
        ("4", "5", "1 x 48"),
        ("5", "6", "1 x 48, halved"),
    ]


def test_one_stage_and_no_doubling():
    space = Residual(base_channels=[8], depths=[3, 5], stages=[1], doublings=0)
    archs = space.sample(Streams(range(4)))
    assert {space.text(arch) for arch in archs} <= {"8x3_111", "8x5_11111"}
    assert space.networks == 2
