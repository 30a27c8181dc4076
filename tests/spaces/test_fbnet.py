import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.nets.inverted_residual import InvertedResidual
from nasrun.nets.mobile_blocks import Block, Place
from nasrun.spaces.fbnet import OPTIONS, SKIP, FBNet
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = FBNet()
SMALL = Task("cifar100", 100, 32, "t", "t", 1, 1)
LARGE = Task("imagenet", 1000, 224, "t", "t", 1, 1)
TEXT = "0-1-2-3-4-5-6-7-8-0-1-2-3-4-5-6-7-8-0-1-2-3"


def test_texts_and_lists_are_read_back():
    arch = SPACE.parse(TEXT)
    assert SPACE.text(arch) == TEXT
    np.testing.assert_array_equal(SPACE.parse(str(arch.tolist())), arch)
    assert SPACE.size == 9**22
    assert OPTIONS[SKIP] == "skip"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0-1-9", "digit from 0 to 8 at character 5"),
        (TEXT + "-1", "should end"),
        ("0,1", "expected '-' at character 2"),
        ("[0, 1", "expected ','"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_skips_that_are_no_layer_go_behind_the_blocks_of_their_stage():
    """The first layer of a stage changes shapes, but for that of the first stage."""
    key = SPACE.canonical(SPACE.parse("8-8-0-8-1-8-8-2-8-0-0-0-0-0-0-0-0-0-0-0-0-8"))
    assert key == "8-8-0-1-8-8-2-8-8-0-0-0-0-0-0-0-0-0-0-0-0-8"


def test_equal_keys_are_equal_functions():
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rest = "8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8"
    same, outputs = [f"2-8-8-1-2-{rest}", f"2-8-1-8-2-{rest}", f"2-8-8-2-1-{rest}"], []
    for text in same:
        network = SPACE.build(SPACE.parse(text), SMALL, Scale(channels=4)).eval()
        generator = torch.Generator().manual_seed(1)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 4
        outputs.append(network(x).detach())
    keys = [SPACE.canonical(SPACE.parse(text)) for text in same]
    assert keys[0] == keys[1] != keys[2]
    torch.testing.assert_close(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


@pytest.mark.parametrize(("task", "count"), [(SMALL, 10), (LARGE, 3)])
def test_formulas_count_what_networks_have(task, count):
    archs = SPACE.sample(Streams(range(count), "networks"))
    params, flops = SPACE.footprint(archs, task)
    for at, arch in enumerate(archs):
        with torch.device("meta"):
            network = SPACE.build(arch, task, Scale())
        counted = footprint(network, task.image_px)
        assert counted == pytest.approx((params[at], flops[at]), rel=1e-9)


def test_skeletons_are_those_of_hw_nas_bench():
    for task, side in ((SMALL, 4), (LARGE, 7)):
        with torch.device("meta"):
            network = SPACE.build(SPACE.parse(TEXT), task, Scale())
            features = network.features(torch.empty(1, 3, task.image_px, task.image_px))
        assert features.shape == (1, {32: 1504, 224: 1984}[task.image_px], side, side)


def test_channels_of_two_groups_are_shuffled():
    """The depthwise convolution sees channels of both groups in turn."""
    block = InvertedResidual(Block(1, 4, Place(4, 4, 1), groups=2)).eval()
    with torch.no_grad():
        block.expand.weight.copy_(torch.eye(2).repeat(2, 1)[:, :, None, None])
        block.depthwise.weight.copy_(torch.tensor([1.0, 0, 0, 0])[:, None, None, None])
        block.project.weight.copy_(torch.eye(2).repeat(2, 1)[:, :, None, None])
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None, None]
    scale = (1 + 1e-5) ** -1.5
    expected = x + scale * torch.tensor([1.0, 0, 0, 0])[None, :, None, None]
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        block.depthwise.weight.copy_(torch.tensor([0.0, 1, 0, 0])[:, None, None, None])
    expected = x + scale * torch.tensor([0.0, 3.0, 0, 0])[None, :, None, None]
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)


def test_ten_networks_learn():
    for arch in SPACE.sample(Streams(range(10), "learn")):
        network = SPACE.build(arch, SMALL, Scale(channels=4))
        x = torch.randn(4, 3, 16, 16)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()


@pytest.mark.parametrize("scale", [Scale(cells=2), Scale(channels=6)])
def test_scales_that_it_cannot_have_are_refused(scale):
    with pytest.raises(UnsupportedError, match="multiple of 4"):
        SPACE.build(SPACE.parse(TEXT), SMALL, scale)
