"""ProxylessNAS's space: published sizes, texts, and the network that holds all of it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.spaces.proxyless import Proxyless, Variant
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = Proxyless()
SMALL = Task("cifar10", 10, 16, "t", "t", 1, 1)
LARGE = Task("imagenet", 1000, 224, "t", "t", 1, 1)
# Published architectures: UNAS's repository lists both by their layers.
GPU = (
    "k5_e3-skip-skip-skip-k7_e3-skip-skip-k3_e3-k7_e6-skip-skip-k5_e3-k5_e6-skip-k3_e3-k5_e3-"
    "k7_e6-k7_e6-k7_e6-k5_e6-k7_e6"
)
UNAS = (
    "k5_e3-k3_e3-skip-skip-k7_e3-skip-skip-skip-k7_e3-k3_e3-k3_e3-k3_e3-k5_e3-k3_e3-k3_e3-k3_e3-"
    "k7_e6-k7_e3-k7_e3-k7_e3-k7_e6"
)
GENOTYPE = """
PROXYLESS_GPU = Genotype(
    normal=['mic_zero', 'mic_zero', 'mic_zero', 'mic_zero', 'mic_zero', 'mic_3x3_e3', 'mic_zero',
            'mic_zero', 'mic_5x5_e3', 'mic_zero', 'mic_3x3_e3', 'mic_5x5_e3', 'mic_7x7_e6',
            'mic_7x7_e6', 'mic_5x5_e6',],
    reduce=["mic_5x5_e3", "mic_7x7_e3", "mic_7x7_e6", "mic_5x5_e6", "mic_7x7_e6", "mic_7x7_e6"],
    alphas_normal=None, alphas_reduce=None)"""


@pytest.mark.parametrize(
    ("text", "params", "macs"), [(GPU, 7.119848, 465.26016), (UNAS, 5.965528, 428.018592)]
)
def test_published_networks_have_their_published_sizes(text, params, macs):
    """By formula and as built; the classifier's thousand biases are counted as FLOPs, too."""
    arch = SPACE.parse(text)
    expected = pytest.approx((params, macs + 0.001), rel=1e-12)
    assert [figure[0] for figure in SPACE.footprint(arch[None], LARGE)] == expected
    with torch.device("meta"):
        network = SPACE.build(arch, LARGE, Scale())
    assert footprint(network, 224) == expected


def test_genotypes_of_the_unas_repository_are_read():
    np.testing.assert_array_equal(SPACE.parse(GENOTYPE), SPACE.parse(GPU))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("skip-k3_e3", "expected one of k3_e3, k3_e6.* at character 1"),
        ("k3_e3,k3_e3", "expected '-' at character 6"),
        (GPU + "-skip", "should end"),
        (GENOTYPE.replace('"mic_5x5_e3"', '"mic_zero"'), "expected one of mic_3x3_e3"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_skips_of_a_stage_stand_behind_its_blocks():
    text = "k3_e3-skip-k5_e3-skip-" + GPU.split("-", 4)[4]
    key = SPACE.canonical(SPACE.parse(text))
    assert key.startswith("k3_e3-k5_e3-skip-skip-k7_e3-k3_e3-skip-skip-")
    assert SPACE.canonical(SPACE.parse(key)) == key
    assert SPACE.size == 7**15 * 6**6
    assert SPACE.networks == (6 + 6**2 + 6**3 + 6**4) ** 5 * 6


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("task", [SMALL, LARGE])
def test_formulas_count_what_networks_have(variant, task):
    space = Proxyless(variant=variant)
    archs = space.sample(Streams(range(2), "networks"))
    params, flops = space.footprint(archs, task)
    for at, arch in enumerate(archs):
        with torch.device("meta"):
            network = space.build(arch, task, Scale())
        assert footprint(network, task.image_px) == pytest.approx((params[at], flops[at]), rel=1e-9)


@pytest.fixture(scope="module")
def supernet():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return SPACE.supernet(SMALL, Scale(channels=8))


def images(count=4):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def one_hot(arch):
    rows = zip(arch, SPACE.decisions, strict=True)
    return [F.one_hot(torch.tensor(int(o)), len(options)).float() for o, options in rows]


def test_a_path_is_the_network_of_its_architecture(supernet):
    """With the weights of its own blocks."""
    arch = SPACE.sample(Streams([0]))[0]
    alone = SPACE.build(arch, SMALL, Scale(channels=8))
    first, *blocks = alone.blocks
    taken = [supernet.layers[at].options[o] for at, o in enumerate(arch) if o < 6]
    for name in ("stem", "stem_norm", "last", "last_norm", "classifier"):
        getattr(alone, name).load_state_dict(getattr(supernet.body, name).state_dict())
    for own, shared in zip([first, *blocks], [supernet.body.blocks[0], *taken], strict=True):
        own.load_state_dict(shared.state_dict())
    for training in (True, False):
        found = supernet.train(training)(images(), one_hot(arch))
        torch.testing.assert_close(found, alone.train(training)(images()))


def test_a_mixture_is_the_sum_of_its_blocks(supernet):
    """A layer whose shape stays, with weights that differ by image and have gradients."""
    layer, x = supernet.layers[1].train(False), torch.randn(3, 6, 4, 4)
    rows = [row.expand(len(images()), -1).clone() for row in one_hot(SPACE.sample(Streams([1]))[0])]
    rows[1] = F.softmax(torch.randn(4, 7, generator=torch.Generator().manual_seed(2)), -1)
    rows[1] = (rows[1] * rows[1].gt(0.1)).requires_grad_()
    seen = {}
    handle = layer.register_forward_hook(lambda _, given, out: seen.update(x=given[0], out=out))
    supernet.eval()(images(), rows).sum().backward()
    handle.remove()
    x, parts = seen["x"], [option(seen["x"]) for option in layer.options]
    expected = sum(rows[1][:, at, None, None, None] * part for at, part in enumerate(parts))
    torch.testing.assert_close(seen["out"], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(parts[6], x)
    assert (rows[1].grad[rows[1] > 0] != 0).all()


def test_weights_of_an_option_are_counted(supernet):
    sizes = supernet.sizes()
    layer = supernet.layers[0].options[0]
    assert sizes[0][0] == sum(weight.numel() for weight in layer.parameters())
    assert sizes[1][6] == 0


def test_normalisation_can_judge_by_the_batch():
    network = SPACE.supernet(SMALL, Scale(channels=4), track=False)
    assert not [name for name in network.state_dict() if "running" in name]
    network.eval()(images(), one_hot(SPACE.sample(Streams([0]))[0]))


def test_what_it_cannot_be_is_refused():
    arch = SPACE.parse(GPU)
    with pytest.raises(UnsupportedError, match="each of its 21 layers"):
        SPACE.build(arch, SMALL, Scale(cells=2))
    with pytest.raises(UnsupportedError, match="pc_darts"):
        SPACE.supernet(SMALL, Scale(), share=4)
