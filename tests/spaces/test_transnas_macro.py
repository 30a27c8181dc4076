import itertools

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.nets.footprint import footprint
from nasrun.spaces.transnas_macro import TransNASMacro
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = TransNASMacro()
TASK = Task("class_object", 75, 64, "t", "t", 1, 1)


def enumerated():
    """The definition, string by string."""
    texts = []
    for length in (4, 5, 6):
        for digits in itertools.product("1234", repeat=length):
            halvings, widenings = (sum(map(digits.count, kinds)) for kinds in ("34", "24"))
            if 1 <= halvings <= 4 and 1 <= widenings <= 3:
                texts.append(f"64-{''.join(digits)}-basic")
    return texts


TEXTS = enumerated()


def test_there_are_3256_networks_and_each_is_read_back():
    assert len(TEXTS) == 3256
    archs = np.array([SPACE.parse(text) for text in TEXTS])
    assert SPACE.exists(archs).all()
    assert [SPACE.text(arch) for arch in archs] == TEXTS
    everything = SPACE.at(np.arange(SPACE.size))
    assert SPACE.exists(everything).sum() == SPACE.networks == 3256


def test_samples_are_uniform_over_the_networks():
    """32,560 draws, ten a network: chi-squared over 3,255 degrees of freedom within 4 sigma."""
    archs = SPACE.sample(Streams(range(32_560), "uniform"))
    _, counts = np.unique(SPACE.index(archs), return_counts=True)
    chi2 = ((counts - 10.0) ** 2 / 10.0).sum() + 10.0 * (3256 - len(counts))
    assert abs(chi2 - 3255) < 4 * np.sqrt(2 * 3255), chi2


def test_every_prefix_of_legal_options_can_be_completed():
    prefix = np.zeros((1, 0), np.int64)
    for _ in range(7):
        legal = SPACE.legal(prefix)
        assert legal.any(axis=1).all()
        rows, options = np.nonzero(legal)
        prefix = np.concatenate([prefix[rows], options[:, None]], axis=1)
    assert len(prefix) == 3256
    assert SPACE.exists(prefix).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("64-1111-basic", "1 to 4 halvings"),
        ("64-444411-basic", "1 to 4 halvings"),
        ("64-123-basic", "four to six digits"),
        ("64-1034-basic", "four to six digits"),
        ("64-1234567-basic", "digit from 0 to 4|expected '-basic'"),
        ("64-1234", "expected"),
        ("64-41414-1_02_333", "expected|digit"),
    ],
)
def test_bad_texts_are_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_graphs_are_chains_as_long_as_the_network():
    archs = np.array([SPACE.parse(text) for text in ("64-1234-basic", "64-111114-basic")])
    dag = SPACE.dag(archs)
    names = SPACE.dag_operations
    short = [names[o] if o >= 0 else None for o in dag.operations[0]]
    assert short == ["input", "1", "2", "3", "4", "output", None, None]
    assert np.argwhere(dag.adjacency[0]).tolist() == [[at, at + 1] for at in range(5)]
    assert [names[o] for o in dag.operations[1]] == ["input", *"111114", "output"]
    assert np.argwhere(dag.adjacency[1]).tolist() == [[at, at + 1] for at in range(7)]


def test_formulas_count_what_networks_have():
    archs = SPACE.sample(Streams(range(10), "networks"))
    params, flops = SPACE.footprint(archs, TASK)
    for arch, *expected in zip(archs, params, flops, strict=True):
        with torch.device("meta"):
            network = SPACE.build(arch, TASK, Scale())
        assert footprint(network, TASK.image_px) == pytest.approx(expected, rel=1e-9)


def test_the_authors_example_widens_and_halves_where_it_says():
    """64-1234: plain, twice the channels, half the resolution, both."""
    network = SPACE.build(SPACE.parse("64-1234-basic"), TASK, Scale(channels=8))
    x = torch.randn(2, 3, 64, 64)
    assert network.features(x).shape == (2, 32, 4, 4)
    assert network(x).shape == (2, 75)


def test_ten_networks_learn():
    for arch in SPACE.sample(Streams(range(10), "learn")):
        network = SPACE.build(arch, TASK, Scale(channels=4))
        x = torch.randn(4, 3, 16, 16)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()
