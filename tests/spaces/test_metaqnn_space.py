"""MetaQNN's chains: their rules, networks and sizes, on paper and in the authors' own logs."""

import csv
import gzip
import re

import numpy as np
import pytest
import torch
from test_space_contract import OWN, TASK

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.spaces.metaqnn import MetaQNN
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = OWN["metaqnn"]


def options_after(text):
    """Names of what may follow the layers of a text."""
    arch = SPACE.parse(text)
    [legal] = SPACE.legal(arch[None, : (arch > 0).sum()])
    return {name for name, may in zip(SPACE.decisions[0], legal, strict=True) if may}


CONVS = {f"C({units},{size},1)" for units in (64, 128, 256, 512) for size in (1, 3, 5)}
SMALL = {name for name in CONVS if ",5,1" not in name}
POOLS, ENDS = {"P(5,3)", "P(3,2)", "P(2,2)"}, {"SM", "GAP"}
FULL = {"FC(512)", "FC(256)", "FC(128)"}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("[SM]", CONVS | ENDS),  # no pooling first
        ("[C(64,3,1), SM]", CONVS | POOLS | ENDS),
        ("[C(64,3,1), P(5,3), SM]", CONVS | ENDS),  # 10 pixels, no pooling after another
        ("[C(64,3,1), P(5,3), C(64,1,1), P(3,2), SM]", SMALL | ENDS | FULL),  # 4 pixels
        (
            "[C(64,3,1), P(5,3), C(64,1,1), P(2,2), C(64,1,1), SM]",  # 5 pixels
            SMALL | ENDS | FULL | POOLS - {"P(5,3)"},
        ),
        ("[C(64,3,1), P(5,3), C(64,1,1), P(2,2), C(64,1,1), P(2,2), SM]", ENDS | FULL),  # 2 pixels
        (
            "[C(64,3,1), P(5,3), C(64,1,1), P(3,2), FC(256), SM]",
            {"SM", "FC(256)", "FC(128)"},
        ),
        ("[C(64,3,1), P(5,3), C(64,1,1), P(3,2), FC(256), FC(128), SM]", {"SM"}),
        ("[C(64,3,1), GAP, SM]", {"SM"}),
    ],
)
def test_what_may_follow(text, options):
    assert options_after(text) == options


def test_a_classifier_alone_is_the_first_encoding_and_ends_the_network():
    arch = np.zeros((1, 18), np.int64)
    assert SPACE.text(arch[0]) == "[SM]"
    assert SPACE.legal(arch[:, :1]).sum() == 1
    assert [float(figure[0]) for figure in SPACE.footprint(arch, TASK)] == [0.03073, 0.03073]


def test_the_authors_notation_is_read_with_its_dropout_and_classes():
    written = "[C(64,1,1), C(128,1,1), D(1,2), P(2,2), C(64,1,1), D(2,2), GAP(10), SM(10)]"
    plain = "[C(64,1,1), C(128,1,1), P(2,2), C(64,1,1), GAP, SM]"
    assert SPACE.text(SPACE.parse(written)) == plain


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[P(2,2), SM]", "may not stand here at character 2"),
        ("[C(64,1,1), D(1,2), SM]", "expected dropout after every second layer"),
        ("[C(65,1,1), SM]", "expected SM, D or one of C"),
        (f"[{'C(64,1,1), ' * 19}SM]", "expected at most 18 layers"),
    ],
)
def test_what_breaks_the_rules_is_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        SPACE.parse(text)


def test_the_state_tells_apart_what_the_paper_tells_apart():
    def state(text):
        arch = SPACE.parse(text)
        return SPACE.state(arch[None, : (arch > 0).sum()])[0]

    # The same layer last, other sides: 30 or 10 pixels are one bin, 5 are another.
    before = "[C(64,3,1), P(5,3), C(64,1,1), "
    assert state("[C(64,1,1), SM]") == state("[C(64,3,1), P(5,3), C(64,1,1), SM]")
    assert state("[C(64,1,1), SM]") != state(f"{before}P(2,2), C(64,1,1), SM]")
    one, two = (f"{before}P(2,2), {full}SM]" for full in ("FC(128), ", "FC(128), FC(128), "))
    assert state(one) != state(two)


@pytest.mark.parametrize("px", [8, 32])
def test_size_is_that_of_the_network(px):
    space = MetaQNN(image_px=px, filters=[4, 8])
    task = Task("t", 10, px, "t", "t", 1, 1)
    archs = space.sample(Streams(range(12)))
    params_m, _ = space.footprint(archs, task)
    flops_m = space.footprint(archs, task)[1]
    for arch, params, flops in zip(archs, params_m, flops_m, strict=True):
        network = space.build(arch, task, Scale()).eval()
        assert network(torch.zeros(2, 3, px, px)).shape == (2, 10)
        assert (params, flops) == pytest.approx(footprint(network, px), abs=1e-9)


def test_dropout_rises():
    arch = SPACE.parse("[C(64,3,1), C(64,3,1), P(5,3), C(64,1,1), P(2,2), FC(128), SM]")
    network = SPACE.build(arch, TASK, Scale(channels=2))
    rates = [part.p for part in network.layers if isinstance(part, torch.nn.Dropout)]
    assert rates == pytest.approx([1 / 8, 2 / 8, 3 / 8])  # one of four is the classifier's
    kinds = [type(part).__name__ for part in network.layers]
    assert kinds[-3:] == ["Linear", "ReLU", "Dropout"]
    assert network.layers[0].out_channels == 2
    bound = np.sqrt(6 / (3 * 9 + 2 * 9))  # Glorot and Bengio: fan in and out
    weights = network.layers[0].weight.abs().max().item()
    assert 0.7 * bound < weights <= bound
    assert network.layers[0].bias.abs().max() == 0


def test_images_of_another_size_are_refused_with_the_cure():
    other = Task("mnist", 10, 28, "t", "t", 1, 1)
    with pytest.raises(UnsupportedError, match=r"set space\.image_px=28"):
        SPACE.build(np.zeros(18, np.int64), other, Scale())
    assert np.isnan(SPACE.footprint(np.zeros((1, 18), np.int64), other)[0]).all()


def logged_params(space, arch):
    """The authors' ``num_params``: weights of convolutions, FC and GAP, and a slip of theirs.

    A convolution or FC at the end is counted once more, as a square one; the softmax is not.
    """
    params, width, side = 0, 3, 32
    layers = space.layers_of(arch)
    for layer in layers:
        if layer.kind == "C":
            params, width = params + layer.size**2 * width * layer.units, layer.units
        elif layer.kind == "P":
            side = int(np.ceil((side - layer.size + 1) / layer.stride))
        elif layer.kind == "FC":
            params, width, side = params + width * side**2 * layer.units, layer.units, 1
        elif layer.kind == "GAP":
            params += 10 * width
    last = layers[-1]
    return params + {"C": last.size**2 * width**2, "FC": width**2}.get(last.kind, 0)


@pytest.mark.data
def test_every_network_on_record_is_legal_and_has_its_size(data_dir):
    """Baker et al., "Accelerating NAS using Performance Prediction" (2018): their MetaQNN logs.

    ``parse`` refuses what is against the rules, and dropout elsewhere than where it is due.
    """
    folder, seen = data_dir / "curves", 0
    if not folder.exists():
        pytest.skip(f"{folder} is not there: the logged networks")
    for name, depth in (("cifar10", 18), ("svhn", 12)):
        space = MetaQNN(depth=depth)
        with gzip.open(folder / f"metaqnn_{name}.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        archs = np.array([space.parse(row["net"]) for row in rows])
        assert space.exists(archs).all()
        assert [logged_params(space, arch) for arch in archs] == [
            int(row["num_params"]) for row in rows
        ]
        weights = [_weights(space, arch) for arch in archs]
        assert weights == [logged_params(space, arch) for arch in archs]
        classes = [len(re.findall(r"(?:C|P|FC|GAP)\(", row["net"])) for row in rows]
        assert (archs > 0).sum(axis=1).tolist() == classes
        seen += len(rows)
    assert seen == 2300


def _weights(space, arch):
    """The same of ``footprint``: less biases and the classifier, plus the slip."""
    layers = space.layers_of(arch)
    params = round(float(space.footprint(arch[None], TASK)[0][0]) * 1e6)
    params -= sum(layer.units for layer in layers) + 10  # biases
    side, last = space.sides(arch[None])[0, -1], layers[-1]
    width = next(layer.units for layer in layers[::-1] if layer.units)
    if last.kind == "GAP":
        return params  # its weights are on the authors' list
    full = any(layer.kind == "FC" for layer in layers)
    params -= 10 * width * (1 if full else side**2)
    return params + {"C": last.size**2 * width**2, "FC": width**2}.get(last.kind, 0)
