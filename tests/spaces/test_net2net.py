import numpy as np
import pytest
import torch
from spaces_grown import unlike_new
from torch import nn

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spaces.net2net import Net2Net
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = Net2Net(blocks=2, depth=3, filters=[16, 32, 48], units=[32, 64])
TASK = Task("toy", 10, 8, "toy-valid", "toy", 50, 100)
LAYERS = "[C(3,16), C(1,16)+] [C(5,32)] [FC(32)]"


def network(arch, dtype=torch.float64):
    return SPACE.build(arch, TASK, Scale(4)).to(dtype)


def heir(parent, child, own):
    made = network(child, next(own.parameters()).dtype)
    made.load_state_dict(SPACE.morph(parent, child, own.state_dict()))
    return made


def grown():
    """A parent and a child of each morphism, of some architectures."""
    for text in (LAYERS, SPACE.text(SPACE.first), *map(SPACE.text, SPACE.sample(Streams([1, 2])))):
        parent = SPACE.parse(text)
        for kind, children in SPACE.morphs(parent).items():
            for child in children:
                yield kind, parent, child


GROWN = list(grown())
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_logits_stay_with_every_morphism(dtype, within):
    assert {kind for kind, *_ in GROWN} == {"wider", "deeper", "skip"}
    for _, parent, child in GROWN:
        own = unlike_new(network(parent, dtype)).eval()
        x = X.to(dtype)
        torch.testing.assert_close(
            heir(parent, child, own).eval()(x), own(x), rtol=within, atol=within
        )


def test_what_is_only_wider_or_has_a_skip_computes_the_same_in_training_too():
    for kind, parent, child in GROWN:
        own = unlike_new(network(parent)).train()
        made = heir(parent, child, own).train()
        same = torch.allclose(made(X), own(X), rtol=1e-9, atol=1e-9)
        full = kind == "deeper" and SPACE.chain(child).full != SPACE.chain(parent).full
        assert same == (kind != "deeper" or full), (kind, SPACE.text(parent), SPACE.text(child))


def test_many_morphisms_at_once_and_one_after_another():
    arch, draws = SPACE.first, np.random.default_rng(0)
    own = unlike_new(network(arch))
    for generation in range(4):
        child = arch
        for _ in range(3):
            kinds = list(SPACE.morphs(child).values())
            children = kinds[draws.integers(len(kinds))]
            child = children[draws.integers(len(children))]
        made = heir(arch, child, own)
        torch.testing.assert_close(made.eval()(X), own.eval()(X), rtol=1e-10, atol=1e-10)
        arch, own = child, unlike_new(made, generation)


def test_the_space_has_an_end():
    arch = SPACE.first
    while kinds := list(SPACE.morphs(arch).values()):
        arch = kinds[0][0]
    assert not (arch[:-2].reshape(-1, 3)[:, 1] < 2).any()


def test_copies_of_a_channel_learn_different_things():
    parent, child = (SPACE.parse(f"[C(3,{n})] [C(3,16)] []") for n in (16, 32))
    made = heir(parent, child, unlike_new(network(parent)))
    optimiser = torch.optim.SGD(made.parameters(), 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(made(X), torch.arange(4)).backward()
        optimiser.step()
    weight = made.state_dict()["layers.0.conv.weight"]
    assert len(torch.unique(weight.flatten(1), dim=0)) == len(weight) == 8


def test_a_skip_begins_with_nothing_of_what_came_in_and_learns():
    parent, child = (SPACE.parse(f"[C(3,16), C(3,16){s}] [C(3,16)] []") for s in ("", "+"))
    made = heir(parent, child, unlike_new(network(parent)))
    mix = made.layers[1].mix
    assert mix.item() == 1.0
    nn.functional.cross_entropy(made(X), torch.arange(4)).backward()
    assert mix.grad.abs() > 0


def test_what_no_morphism_makes_is_refused_in_a_sentence():
    parent, child = SPACE.parse("[C(3,32)] [C(3,16)] []"), SPACE.parse("[C(3,16)] [C(3,16)] []")
    own = network(parent)
    with pytest.raises(UnsupportedError, match=r"no morphism from .*C.3,32.* to .*C.3,16"):
        SPACE.morph(parent, child, own.state_dict())


def test_networks_are_sized_by_the_scale_and_may_have_few_pixels():
    made = Net2Net().build(Net2Net().first, TASK, Scale(2))
    assert [len(layer.conv.weight) for layer in made.layers] == [2, 4, 8, 12, 16]
    assert made(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    with pytest.raises(UnsupportedError, match=r"leave evaluator\.cells at null"):
        SPACE.build(SPACE.first, TASK, Scale(cells=2))


def test_a_text_says_it_all_and_a_skip_joins_equal_widths():
    arch = SPACE.parse(LAYERS)
    assert SPACE.text(arch) == LAYERS
    assert ("1", "2", "skip") in SPACE.graph(arch)
    for bad in ("[C(3,16), C(1,32)+] [C(5,32)] []", "[C(3,16)+] [C(5,32)] []", "[] [C(5,32)] []"):
        with pytest.raises(ConfigError, match="at character"):
            SPACE.parse(bad)


@pytest.mark.parametrize(
    "wrong", [{"filters": [32, 16]}, {"kernels": [2]}, {"depth": 0}, {"units": []}], ids=str
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"space\.{next(iter(wrong))}"):
        Net2Net(**wrong)
