import numpy as np
import pytest
import torch
from spaces_grown import unlike_new

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spaces.path_tree import PathTree
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = PathTree(noise=0.0)
TASK = Task("toy", 10, 8, "toy-valid", "toy", 50, 100)
TREES = (
    "none",
    "add(identity, conv_1x1)",
    "add(identity, sep_conv_3x3, max_pool_3x3 > concat(identity, conv_1x1))",
    "concat(sep_conv_5x5 > add(identity, identity), identity)",
)
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def network(arch, dtype=torch.float64, channels=8):
    return SPACE.build(arch, TASK, Scale(channels, 1)).to(dtype)


def heir(parent, child, own, space=SPACE):
    made = network(child, next(own.parameters()).dtype)
    made.load_state_dict(space.morph(parent, child, own.state_dict()))
    return made


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_logits_stay_with_every_morphism(dtype, within):
    draws, kinds = np.random.default_rng(0), set()
    for text in TREES:
        parent = SPACE.parse(text)
        own = unlike_new(network(parent, dtype)).eval()
        for kind, children in SPACE.morphs(parent).items():
            kinds.add(kind)
            for child in draws.permutation(children)[:5]:
                assert SPACE.exists(child[None])[0]
                made = heir(parent, child, own).eval()
                torch.testing.assert_close(
                    made(X.to(dtype)), own(X.to(dtype)), rtol=within, atol=within
                )
    assert kinds == {"branch", "operation", "split"}


def test_branches_compute_the_same_in_training_too():
    parent = SPACE.parse("add(identity, conv_1x1)")
    own = unlike_new(network(parent)).train()
    for kind, children in SPACE.morphs(parent).items():
        for child in children:
            same = torch.allclose(heir(parent, child, own).train()(X), own(X), rtol=1e-9, atol=1e-9)
            assert same == (kind != "operation"), SPACE.text(child)


def test_many_morphisms_at_once():
    for seed in range(4):
        child, draws = SPACE.first, np.random.default_rng(seed)
        for _ in range(12):
            kinds = list(SPACE.morphs(child).items())
            kind, children = kinds[draws.integers(len(kinds))]
            if kind != "split":  # of what was new itself: no morphism of the first
                child = children[draws.integers(len(children))]
        own = unlike_new(network(SPACE.first))
        made = heir(SPACE.first, child, own)
        torch.testing.assert_close(made.eval()(X), own.eval()(X), rtol=1e-10, atol=1e-10)


def test_poolings_in_the_place_of_an_identity_change_what_is_computed():
    parent, child = map(SPACE.parse, ("add(identity, identity)", "add(identity, max_pool_3x3)"))
    own = unlike_new(network(parent)).eval()
    assert not torch.allclose(heir(parent, child, own).eval()(X), own(X))


def test_noise_tells_copies_apart():
    noisy = PathTree(noise=0.01)
    parent, child = map(
        SPACE.parse,
        ("add(conv_1x1, identity)", "add(identity > add(conv_1x1, conv_1x1), identity)"),
    )
    own = unlike_new(network(parent))
    for space, same in ((SPACE, True), (noisy, False)):
        state = heir(parent, child, own, space).state_dict()
        name = "cells.0.tree.branches.0.node.branches.{}.op.pointwise.weight"
        assert torch.equal(state[name.format(0)], state[name.format(1)]) == same


def test_what_no_morphism_makes_is_refused_in_a_sentence():
    pairs = [
        ("add(identity, identity)", "concat(identity, identity)"),
        ("add(conv_1x1, identity)", "add(sep_conv_3x3, identity)"),
        ("add(conv_1x1, identity)", "none"),
    ]
    for one, other in pairs:
        parent, child = SPACE.parse(one), SPACE.parse(other)
        with pytest.raises(UnsupportedError, match="no morphism from add"):
            SPACE.morph(parent, child, network(parent).state_dict())


def test_a_cell_by_hand():
    own = unlike_new(network(SPACE.parse("concat(conv_1x1, avg_pool_3x3)"))).eval()
    tree = own.cells[0].tree
    x = X.new_ones(1, 8, 5, 5).cumsum(dim=3)
    conv = tree.branches[0].op
    expected = torch.cat(
        [conv(x), torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)(x[:, 4:])], 1
    )
    torch.testing.assert_close(tree(x), expected)
    mean = network(SPACE.parse("add(identity, identity, max_pool_3x3)")).cells[0].tree(x)
    torch.testing.assert_close(mean, (2 * x + torch.nn.MaxPool2d(3, 1, 1)(x)) / 3)


def test_texts_trees_and_keys():
    for arch in SPACE.sample(Streams(range(20))):
        assert (SPACE.of_tree(SPACE.tree(arch)) == arch).all()
    one, other = map(SPACE.parse, ("add(identity, conv_1x1)", "add(conv_1x1, identity)"))
    assert SPACE.canonical(one) == SPACE.canonical(other)
    one, other = map(SPACE.parse, ("concat(identity, conv_1x1)", "concat(conv_1x1, identity)"))
    assert SPACE.canonical(one) != SPACE.canonical(other)
    deep = "add(identity > add(identity > add(identity > add(identity, identity), identity), "
    for bad in (
        f"{deep}identity), identity)",
        "concat(identity, identity, identity)",
        "add(identity)",
    ):
        with pytest.raises(ConfigError, match="at character"):
            SPACE.parse(bad)
    edges = SPACE.graph(SPACE.parse(TREES[2]))
    assert ("3", "3 concat2", "conv_1x1") in edges
    assert ("3 concat2", "output", "identity") in edges


def test_too_few_channels_are_refused():
    deep = "concat(identity > concat(identity > concat(identity, identity), identity), identity)"
    with pytest.raises(UnsupportedError, match=r"give more evaluator\.channels"):
        network(SPACE.parse(deep), channels=2)


def test_a_cell_has_four_levels_at_most():
    with pytest.raises(ConfigError, match=r"space\.depth must be in \[1, 4\], got 5"):
        PathTree(depth=5)
