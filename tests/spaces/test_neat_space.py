"""NEAT's genomes: markings by structure, the figure of the paper by hand, growth and networks."""

from itertools import product

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.spaces import neat
from nasrun.spaces.neat import NeatGenomes
from nasrun.streams import Streams


def uniforms(*values):
    """Draws that are given; more than these are an error."""
    left = list(values)
    return lambda n: np.array([left.pop(0) for _ in range(n)])


def unit(source, target, again=0):
    return neat._unit(source, target, again)


def outputs(space, text, inputs):
    controllers = space.controllers(space.parse(text)[None])
    return controllers.act(np.array(inputs, float)[:, None], passes=None)[:, 0]


def sigmoid(x):
    return 1 / (1 + np.exp(-4.9 * x))


def test_a_network_by_hand():
    h = unit("i0", "o0")
    text = f"{h}>o0:2.0000,i0/o0:7.0000,i0>{h}:0.5000,i1>o0:-1.0000,i2>{h}:0.3000;"
    found = outputs(NeatGenomes(), text, [0.7, 0.2, 1.0])
    hidden = sigmoid(0.5 * 0.7 + 0.3 * 1.0)
    np.testing.assert_allclose(found, [sigmoid(2.0 * hidden - 1.0 * 0.2)], rtol=1e-12)


def test_a_cycle_remembers():
    space = NeatGenomes(inputs=1, cycles=True)
    controllers = space.controllers(space.parse("i0>o0:1.0000,o0>o0:2.0000;")[None])
    first = controllers.act(np.array([[0.1]]))[0, 0]
    second = controllers.act(np.array([[0.1]]))[0, 0]
    np.testing.assert_allclose([first, second], [sigmoid(0.1), sigmoid(0.1 + 2 * first)])
    controllers.reset()
    assert controllers.act(np.array([[0.1]]))[0, 0] == first
    with pytest.raises(ConfigError, match=r"a cycle, which needs space\.cycles=true"):
        NeatGenomes(inputs=1).parse("i0>o0:1.0000,o0>o0:2.0000;")


def test_markings_do_not_depend_on_the_order_of_discovery():
    """Two links split one after the other, in both orders: the same genes."""
    space = NeatGenomes(inputs=2, add_unit=1.0)
    start = "i0>o0:0.1000,i1>o0:0.2000;"
    texts = []
    for first in (0.0, 0.99):
        once = space.mutated(start, uniforms(0, first, *[0] * 6))
        links = [link for link in space._genes(once) if space._genes(once)[link][1]]
        wanted = ("i1", "o0") if first == 0.0 else ("i0", "o0")
        draw = (links.index(wanted) + 0.5) / len(links)
        texts.append(space.mutated(once, uniforms(0, draw, *[0] * (2 + 2 * 4))))
    assert texts[0] == texts[1]
    assert texts[0].count("h") == 4


def test_a_split_link_keeps_what_the_network_does_to_first_order():
    space = NeatGenomes(inputs=1, add_unit=1.0)
    [child] = [space.mutated("i0>o0:0.4000;", uniforms(0, 0, 0, 0, 0, 0))]
    h = unit("i0", "o0")
    assert child == f"{h}>o0:0.4000,i0>{h}:1.0000,i0/o0:0.4000;"
    again = space.mutated(
        child.replace("i0/o0", "i0>o0"), uniforms(0, 0.99, *[0] * 8)
    )  # the link was enabled again
    assert unit("i0", "o0", 1) in again


# Figure 4 of the paper (recalled): nodes 1, 2, 3 in, 4 out, 5 and 6 hidden; genes in their order.
# Parent 1: 1->4, 2->4 (disabled), 3->4, 2->5, 5->4, 1->5; parent 2 has 5->4 disabled, and 5->6,
# 6->4, 3->5, 1->6 besides, without 1->5.
FIVE, SIX = unit("i1", "o0"), unit(unit("i1", "o0"), "o0")
IN = "i0", "i1", "i2"
FIRST = {
    **{(one, "o0"): (1.0, one != "i1") for one in IN},
    ("i1", FIVE): (1.0, True), (FIVE, "o0"): (1.0, True), ("i0", FIVE): (1.0, True),
}  # fmt: skip
SECOND = {
    **{(one, "o0"): (2.0, one != "i1") for one in IN},
    ("i1", FIVE): (2.0, True), (FIVE, "o0"): (2.0, False), (FIVE, SIX): (2.0, True),
    (SIX, "o0"): (2.0, True), ("i2", FIVE): (2.0, True), ("i0", SIX): (2.0, True),
}  # fmt: skip


def parents():
    space = NeatGenomes()
    return space, *(space.read(neat._text(dict(sorted(one.items())))) for one in (FIRST, SECOND))


def test_the_distance_of_the_papers_figure():
    """One gene of the first alone, four of the second; five match, all with a difference of 1."""
    space, one, two = parents()
    first, second = space.parse(one), space.parse(two)
    found = space.differences(np.stack([first, second, first]), second)
    assert (found.unmatched.tolist(), found.weight.tolist()) == ([5, 0, 5], [1.0, 0.0, 1.0])
    assert found.genes.tolist() == [9, 9, 9]
    assert not any(map(len, space.differences(np.zeros((0, 1), np.int64), first)))


@pytest.mark.parametrize(("stays", "enabled"), [(0.74, False), (0.76, True)])
def test_the_children_of_the_papers_figure(stays, enabled):
    """All genes of the fitter one; matching weights from either; 5->4 is disabled in one only."""
    space, one, two = parents()
    for which, weight in ((0.4, 2.0), (0.6, 1.0)):
        child = space._genes(space.crossed(two, one, uniforms(*[which, stays] * 5)))
        assert child.keys() == SECOND.keys()
        assert {child[link][0] for link in FIRST if link in SECOND} == {weight}
        assert not child["i1", "o0"][1]  # disabled in both
        assert child["i0", "o0"][1]
        assert child[FIVE, "o0"][1] is enabled
    shorter = space._genes(space.crossed(one, two, uniforms(*[0.4, stays] * 5)))
    assert shorter.keys() == FIRST.keys()


@pytest.mark.parametrize("cycles", [False, True])
def test_growth_keeps_networks_sound(cycles):
    """Hundreds of mutations: no cycle where there may be none; every text is read as itself."""
    space = NeatGenomes(inputs=2, cycles=cycles, add_unit=0.2, add_link=0.6)
    archs, streams = space.sample(Streams(range(6))), Streams(range(6), "grow")
    for _ in range(40):
        archs = space.mutate(archs, streams)
    for arch in archs:
        text = space.text(arch)
        genes = NeatGenomes(inputs=2, cycles=cycles)._parsed(text)
        assert neat._text(genes) == text
        assert len(genes) > 10
        below = neat._descendants(genes)
        assert any(unit in after for unit, after in below.items()) == cycles
        assert all(target[0] != "i" for _, target in genes)


def test_every_pair_can_be_linked():
    space = NeatGenomes(inputs=1, add_link=1.0, add_unit=0.0, cycles=True)
    h = unit("i0", "o0")
    start = f"{h}>o0:0.4000,i0>{h}:1.0000,i0/o0:0.4000;"
    found = set()
    for seed in range(60):
        streams = Streams([seed])
        child = space._genes(space.mutated(start, lambda n, s=streams: s.uniform(n)[0]))
        found |= child.keys() - space._genes(start).keys()
    assert found == {(h, h), ("o0", "o0"), ("o0", h)}


def test_weights_are_shifted_or_drawn_anew_and_capped():
    space = NeatGenomes(inputs=2, add_unit=0.0, add_link=0.0, replaced=0.1, power=2.0, cap=3.0)
    start = "i0>o0:2.5000,i1>o0:1.0000;"
    draws = (0, 0, 0, 0, 0.1, 1.0, 0.09, 0.25)  # shifted by 2, drawn as -1
    assert space.mutated(start, uniforms(*draws)) == "i0>o0:3.0000,i1>o0:-1.0000;"


def test_drawings_name_what_is_linked():
    space = NeatGenomes(inputs=2, cycles=True)
    h = unit("i0", "o0")
    arch = space.parse(f"{h}>o0:2.0000,i0/o0:7.0000,i0>{h}:0.5000,o0>{h}:1.0000;")
    assert space.graph(arch) == [("h0", "o0", "2.00"), ("i0", "h0", "0.50"), ("o0", "h0'", "1.00")]
    params_m, _ = space.footprint(arch[None], None)
    assert params_m.tolist() == [3e-6]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("i9>o0:0.1000;", "an input, an output or a hidden unit"),
        ("i00>o0:0.1000;", "an input, an output or a hidden unit"),
        ("i0>i1:0.1000;", "an output or a hidden unit"),
        ("i0>o0:1;", "a weight such as"),
        ("i0>o0:0.1000,i0/o0:0.1000;", "this link stands there twice"),
    ],
)
def test_bad_genomes_are_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        NeatGenomes().parse(text)


@pytest.mark.parametrize("fields", [{"power": 1e-5}, {"cap": 1e-5}, {"cap": 1e7}])
def test_weights_that_have_no_text_are_refused(fields):
    with pytest.raises(ConfigError, match=r"must be in \[0.0001, 999999\]"):
        NeatGenomes(**fields)


def test_forgotten_genomes_are_gone_and_met_again_anew():
    space = NeatGenomes()
    [arch] = space.sample(Streams([1]))
    text = space.text(arch)
    space.forget(np.array([arch, [0]]))
    assert space.exists(np.array([arch, [0]])).tolist() == [False, True]
    again = space.parse(text)
    assert again != arch
    assert space.text(again) == text


def test_xor_by_hand_is_solved():
    from nasrun.tasks.xor import XOR

    h = unit("i0", "o0")
    solution = f"{h}>o0:-6.0000,i0>{h}:2.0000,i0>o0:2.0000,i1>{h}:2.0000,i1>o0:2.0000,"
    solution += f"i2>{h}:-3.0000,i2>o0:-1.0000;"
    task, space = XOR("xor", 1, 1, "-", "-", 4, 4), NeatGenomes()
    cases = [outputs(space, solution, [a, b, 1])[0] for a, b in product((0, 1), (0, 1))]
    controllers = space.controllers(space.parse(solution)[None])
    assert task.solved(controllers, np.zeros(1)).tolist() == [True]
    errors = np.abs(np.array(cases) - [0, 1, 1, 0]).sum()
    np.testing.assert_allclose(task.fitness(controllers), [(4 - errors) ** 2])
    assert task.achieved(controllers)[0].tolist() == [100.0]
    # The output alone adds up its inputs: or, which is wrong where both are there.
    either = space.controllers(space.parse("i0>o0:2.0000,i1>o0:2.0000,i2>o0:-1.0000;")[None])
    assert not task.solved(either, np.zeros(1)).any()
    assert task.achieved(either)[1].tolist() == [75.0]
