import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.spaces.nb_macro import NBMacro
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = NBMacro()
TASK = Task("cifar10", 10, 32, "t", "t", 1, 1)


def of(text):
    return SPACE.parse(text)


def test_6561_strings_are_3969_networks():
    keys = [SPACE.canonical(arch) for arch in SPACE.at(np.arange(SPACE.size))]
    assert (len(keys), len(set(keys))) == (6561, 3969)
    assert all(SPACE.canonical(of(key)) == key for key in keys[::97])


def test_a_skip_behind_the_first_layer_of_a_stage_is_no_layer():
    assert SPACE.canonical(of("02012001")) == "02012010"
    assert SPACE.canonical(of("00001001")) == "00010010"
    assert SPACE.canonical(of("20010100")) != SPACE.canonical(of("02010100"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0120123", "digit from 0 to 2 at character 7"),
        ("0120120", "digit from 0 to 2 at character 8"),
        ("012012012", "should end"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_the_parameters_of_two_networks_by_hand():
    """Stem, two stages of skips or blocks, the 1x1 convolution to 1280, the classifier."""
    stem, last = 27 * 32 + 64, 256 * 1280 + 2 * 1280 + 1281 * 10
    skips = (32 * 64 + 128) + (64 * 128 + 256) + (128 * 256 + 512)
    params, flops = SPACE.footprint(np.array([of("00000000"), of("10000000")]), TASK)
    assert params[0] * 1e6 == pytest.approx(stem + skips + last)
    block = (32 * 96 + 192) + (9 * 96 + 192) + (96 * 64 + 128)
    assert params[1] * 1e6 == pytest.approx(stem + skips + last + block - (32 * 64 + 128))
    convs = 27 * 32 * 1024 + 32 * 64 * 256 + 64 * 128 * 64 + 128 * 256 * 16 + 256 * 1280 * 16
    assert flops[0] * 1e6 == pytest.approx(convs + 1281 * 10)


def test_formulas_count_what_networks_have():
    archs = SPACE.sample(Streams(range(10), "networks"))
    params, flops = SPACE.footprint(archs, TASK)
    for at, arch in enumerate(archs):
        with torch.device("meta"):
            network = SPACE.build(arch, TASK, Scale())
        counted = footprint(network, TASK.image_px)
        assert counted == pytest.approx((params[at], flops[at]), rel=1e-9)


def test_ten_networks_halve_three_times_and_learn():
    for arch in SPACE.sample(Streams(range(10), "learn")):
        network = SPACE.build(arch, TASK, Scale(channels=4))
        x = torch.randn(4, 3, 16, 16)
        assert network.features(x).shape == (4, 160, 2, 2)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        before = [parameter.clone() for parameter in network.parameters()]
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()
        moved = [not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)]
        assert all(moved)


def test_equal_keys_are_equal_functions():
    """Blocks get the weights of their rank within the stage; skips behind the first have none."""
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    outputs = []
    for text in ("01002001", "01001002", "01020010"):
        network = SPACE.build(of(text), TASK, Scale(channels=4)).eval()
        generator = torch.Generator().manual_seed(1)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 4
        outputs.append(network(x).detach())
    assert SPACE.canonical(of("01002001")) == SPACE.canonical(of("01020010")) == "01020010"
    torch.testing.assert_close(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[1])


def test_cells_cannot_be_scaled():
    with pytest.raises(UnsupportedError, match="each of its eight layers"):
        SPACE.build(of("00000000"), TASK, Scale(cells=2))
