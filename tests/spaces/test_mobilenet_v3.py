"""Once-for-all's space: published sizes, texts, what exists, and the network that holds it all."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.elastic import calibrate
from nasrun.nets.footprint import footprint
from nasrun.nets.inverted_residual import resized
from nasrun.nets.supernet import plan
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = MobileNetV3()
TINY = MobileNetV3(
    name="tiny", depths=[1, 2], channels=[8, 8, 8, 12, 16, 16, 24, 32, 40],
    strides=[1, 1, 2, 2, 1, 2], resolutions=[12, 16],
)  # fmt: skip
LARGE = Task("imagenet", 1000, 224, "t", "t", 1, 1)
SMALL = Task("cifar10", 10, 16, "t", "t", 1, 1)
HELP = "75557757573753735353,64466343363336346436,22223,204"  # the first line of HELP's table


def uniform(depth, kernel, expansion, px):
    return SPACE.parse(f"{kernel}" * 20 + f",{expansion}" + f"{expansion}" * 19 + f",{depth}"
                       + f"{depth}" * 4 + f",{px}")  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "params", "macs"),
    [
        ((2, 3, 3, 224), 3.410792, 121.278672),
        ((2, 3, 3, 160), 3.410792, 63.240528),
        ((3, 5, 4, 224), 4.551792, 250.746944),
        ((3, 5, 4, 160), 4.551792, 129.548864),
        ((4, 7, 6, 224), 7.66476, 566.170656),
        ((4, 7, 6, 160), 7.66476, 291.318048),
    ],
)
def test_published_networks_have_their_sizes(choice, params, macs):
    """A FLOP more for each of the classifier's thousand biases."""
    arch = uniform(*choice)
    expected = pytest.approx((params, macs + 0.001), rel=1e-12)
    assert [figure[0] for figure in SPACE.footprint(arch[None], LARGE)] == expected
    if choice == (3, 5, 4, 160):  # of others the formula is compared with what is built below
        with torch.device("meta"):
            network = SPACE.build(arch, LARGE, Scale())
        assert footprint(network, 224) == expected


@pytest.mark.parametrize("space", [SPACE, MobileNetV3(width=1.2), TINY], ids=["1.0", "1.2", "tiny"])
def test_formulas_count_what_networks_have(space):
    archs = space.sample(Streams(range(2), "networks"))
    params, flops = space.footprint(archs, SMALL)
    for at, arch in enumerate(archs):
        with torch.device("meta"):
            network = space.build(arch, SMALL, Scale())
        assert footprint(network, 16) == pytest.approx((params[at], flops[at]), rel=1e-9)


def test_wider_networks_have_the_widths_of_the_authors():
    with torch.device("meta"):
        network = MobileNetV3(width=1.2).build(uniform(4, 7, 6, 224), LARGE, Scale())
    widths = [block.project.out_channels for block in network.blocks]
    assert widths == [24, *[32] * 4, *[48] * 4, *[96] * 4, *[136] * 4, *[192] * 4]
    assert (network.last.out_channels, network.hidden.out_channels) == (1152, 1536)


def test_digits_of_layers_that_do_not_exist_mean_nothing():
    arch = SPACE.parse(HELP)
    text = "75007700570053005350,64006300360036006430,22223,204"
    assert SPACE.text(arch) == text
    np.testing.assert_array_equal(SPACE.parse(text), arch)
    assert SPACE.exists(arch[None]).all()
    assert len(arch) == 5 + 20 + 20 + 1


def test_networks_are_counted():
    assert SPACE.networks == 7371**5 * 25
    assert MobileNetV3(resolutions=[]).networks == 7371**5


def test_layers_that_do_not_exist_have_one_option():
    arch = SPACE.parse(HELP)
    wrong = arch.copy()
    wrong[5 + 2] = 1  # the third kernel of a stage of two layers
    assert not SPACE.exists(wrong[None])[0]
    np.testing.assert_array_equal(SPACE.mended(wrong[None])[0], arch)
    live = SPACE.live(arch[None])[0]
    assert live.sum() == 5 + 2 * 11 + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HELP.replace("7555", "7455"), "expected one of 3, 5, 7 at character 2"),
        (HELP.replace(",644", ",654"), "expected one of 3, 4, 6 at character 23"),
        (HELP.replace("22223", "52223"), "expected one of 2, 3, 4 at character 43"),
        (HELP.replace("204", "205"), "expected one of space.resolutions at character 49"),
        (HELP + "0", "a resolution from 0 to 224"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_chains_have_22_vertices_of_27_kinds_and_are_read_back():
    archs = SPACE.sample(Streams(range(20)))
    archs[:, -1] = 24  # graphs do not say it
    dag = SPACE.dag(archs)
    assert dag.operations.shape == (20, 22)
    assert len(SPACE.dag_operations) == 2 + 27
    np.testing.assert_array_equal(SPACE.of_vertices(dag.operations), archs)
    kinds = SPACE.dag_operations
    assert kinds[dag.operations[0, 1]].startswith(SPACE.decisions[0][archs[0, 0]])


def test_layers_that_do_not_exist_are_zeros_in_the_authors_encoding():
    arch = SPACE.parse(HELP)
    code = SPACE.encode(arch, "layers")
    assert code.shape == (120 + 25,)
    assert code.sum() == 2 * 11 + 1
    assert code[:9].tolist() == [0, 0, 1, 0, 1, 0, 0, 0, 0]  # 7, 5, and no third layer
    assert code[60:66].tolist() == [0, 0, 1, 0, 1, 0]  # 6, 4
    by_area = SPACE.encode(arch, "layers_by_area")
    area = (204 / 224) ** 2
    np.testing.assert_allclose(by_area[:120], code[:120])
    np.testing.assert_allclose(by_area[120:], [*code[:120] * area, area, 204 / 224])
    assert SPACE.encode(arch[None][:0], "layers").shape == (0, 145)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernels": [3, 4]}, "odd"),
        ({"depths": [3, 2]}, "rising"),
        ({"expansions": [1, 3]}, "expansions"),
        ({"channels": [16]}, "9 numbers"),
        ({"strides": [2]}, "6 numbers"),
        ({"resolutions": [224, 128]}, "rising"),
        ({"width": 0.0}, "width"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        MobileNetV3(**settings)


def test_what_it_cannot_be_is_refused():
    with pytest.raises(UnsupportedError, match="depth of each stage"):
        SPACE.build(uniform(2, 3, 3, 128), LARGE, Scale(cells=2))
    with pytest.raises(UnsupportedError, match="pc_darts"):
        SPACE.supernet(LARGE, Scale(), share=4)


# The network that holds all others


@pytest.fixture(scope="module")
def supernet():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = TINY.supernet(SMALL, Scale())
        for layer in network.layers:
            for matrix in layer.matrices.values():
                torch.nn.init.normal_(matrix, 0.2, 0.2)
    return network


def images(count=6):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def one_hot(arch):
    rows = zip(arch, TINY.decisions, strict=True)
    return [F.one_hot(torch.tensor(int(o)), len(options)).float() for o, options in rows]


@pytest.mark.parametrize("seed", range(3))
def test_a_part_is_the_network_of_its_architecture(supernet, seed):
    arch = TINY.sample(Streams([seed]))[0]
    network = TINY.build(arch, SMALL, Scale())
    supernet.hand_on(network, arch, [images()])
    found = supernet(images(), one_hot(arch))
    torch.testing.assert_close(network.train()(images()), found, atol=1e-5, rtol=1e-4)
    assert [m.running_mean.abs().sum() > 0 for m in network.modules() if hasattr(m, "running_mean")]


def test_smaller_kernels_are_centres_times_matrices(supernet):
    layer = supernet.layers[0]
    seven = layer.depthwise.weight
    five = seven[:, 0, 1:6, 1:6].reshape(-1, 25) @ layer.matrices["5"].T
    three = five.view(-1, 5, 5)[:, 1:4, 1:4].reshape(-1, 9) @ layer.matrices["3"].T
    torch.testing.assert_close(layer.filters(3, 4), three[:4].view(4, 1, 3, 3))
    torch.testing.assert_close(layer.filters(7, 4), seven[:4])
    supernet.zero_grad()
    supernet(
        images(), one_hot(TINY.parse("3" * 10 + "," + "3" * 10 + ",11111,16"))
    ).sum().backward()
    assert layer.matrices["3"].grad.abs().sum() > 0
    assert layer.project.weight.grad[:, 24:].abs().sum() == 0  # beyond the width


def soft_rows(batch=()):
    generator = torch.Generator().manual_seed(5)
    shapes = [(*batch, len(options)) for options in TINY.decisions]
    return [F.softmax(torch.randn(shape, generator=generator), -1) for shape in shapes]


def test_a_mixture_is_linear_in_the_last_choice(supernet):
    """Resolutions weigh logits; every decision's weight has a gradient."""
    rows = [row.requires_grad_() for row in soft_rows()]
    mixed = supernet(images(), rows)
    pure = [supernet(images(), [*rows[:-1], row]) for row in torch.eye(2)]
    expected = sum(weight * part for weight, part in zip(rows[-1], pure, strict=True))
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-4)
    gradients = torch.autograd.grad(mixed.square().sum(), rows)
    assert all((gradient != 0).any() for gradient in gradients)


def test_the_same_rows_for_every_image_are_the_rows_of_the_batch(supernet):
    rows, x = soft_rows(), images()
    by_image = [row.expand(len(x), -1) for row in rows]
    torch.testing.assert_close(supernet(x, by_image), supernet(x, rows), atol=1e-5, rtol=1e-4)


def test_images_go_where_their_rows_say(supernet):
    """Two architectures of three images each; they differ in the last layer and the resolution."""
    one = TINY.parse("7" * 10 + "," + "6" * 10 + ",22222,16")
    two = TINY.parse("7" * 9 + "3," + "6" * 9 + "3,22222,12")
    x, seen = images(), []
    rows = [torch.stack([a] * 3 + [b] * 3) for a, b in zip(one_hot(one), one_hot(two), strict=True)]
    supernet(x, rows)
    handle = supernet.layers[-1].register_forward_hook(lambda *given: seen.append(given))
    found = supernet(x, rows)
    handle.remove()
    assert [len(given[1][0]) for given in seen] == [3, 3]  # by resolution
    torch.testing.assert_close(found[:3], supernet(x[:3], one_hot(one)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[3:], supernet(x[3:], one_hot(two)), atol=1e-5, rtol=1e-4)


def test_rows_of_some_images_keep_their_order():
    weights = F.one_hot(torch.tensor([0, 1, 0, 2]), 3).float()
    [row] = plan([weights])
    part = row.of(torch.tensor([3, 1]))
    assert {option: at.tolist() for option, at in part.live.items()} == {1: [1], 2: [0]}
    torch.testing.assert_close(part.weights, weights[[3, 1]])
    assert row.of(torch.tensor([0, 2])).live == {0: None}


def test_what_is_derived_exists(supernet):
    scores = [np.arange(len(options))[::-1] for options in TINY.decisions]  # the first of each
    scores[5 : 5 + 20] = [row[::-1] for row in scores[5 : 5 + 20]]  # the last of each layer
    arch = supernet.derive(scores)
    assert TINY.exists(arch[None]).all()
    assert TINY.text(arch).endswith(",11111,12")
    sizes = supernet.sizes()
    assert all((np.diff(row) > 0).all() for row in map(np.asarray, sizes))
    assert TINY.text(supernet.derive([row.numpy() for row in sizes])) == (
        "7" * 10 + "," + "6" * 10 + ",22222,16"
    )


def test_statistics_are_means_over_batches(supernet):
    arch = TINY.sample(Streams([3]))[0]
    network = TINY.build(arch, SMALL, Scale()).eval()
    batches = [images(4), images(6) + 1]
    calibrate(network, batches)
    px = TINY.resolutions[arch[-1]]
    outputs = [network.stem(resized(images, px)) for images in batches]
    means = [output.mean(dim=(0, 2, 3)) for output in outputs]
    torch.testing.assert_close(network.stem_norm.running_mean, sum(means) / 2)
    assert network.stem_norm.momentum == 0.1
    assert not network.training
