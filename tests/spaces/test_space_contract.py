"""What every space of conf/space must do, whatever it holds."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nasrun.config import build
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spec import SearchSpace, Task
from nasrun.streams import Streams

CONF = Path(__file__).parents[2] / "conf"
SPACES = {
    path.stem: build(OmegaConf.load(path), SearchSpace, f"space/{path.name}")
    for path in sorted((CONF / "space").glob("*.yaml"))
}
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
COUNTABLE = 2**20
SEEDS = st.lists(st.integers(0, 2**40), min_size=1, max_size=6)

every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def numbers(space, data, size=None):
    """Architecture numbers that hypothesis picks."""
    one = st.integers(0, space.size - 1)
    drawn = data.draw(one if size is None else st.lists(one, min_size=1, max_size=size))
    return np.array(drawn, np.int64 if space.size < 2**63 else object)


@every_space
def test_name_is_that_of_the_file(space):
    assert SPACES[space.name] is space


@every_space
@given(data=st.data())
def test_number_to_architecture_and_back(space, data):
    picked = numbers(space, data, size=8)
    archs = space.at(picked)
    assert archs.shape == (len(picked), len(space.decisions))
    assert (archs >= 0).all()
    assert (archs < [len(options) for options in space.decisions]).all()
    np.testing.assert_array_equal(space.index(archs), picked)


@every_space
def test_numbers_are_a_bijection(space):
    if space.size > COUNTABLE:
        pytest.skip("too many to count")
    archs = space.at(np.arange(space.size))
    assert len(np.unique(archs, axis=0)) == space.size
    np.testing.assert_array_equal(space.index(archs), np.arange(space.size))


@every_space
def test_the_first_and_the_last_number(space):
    ends = space.at(np.array([0, space.size - 1], object))
    assert ends.dtype == np.int64
    arity = [len(options) for options in space.decisions]
    np.testing.assert_array_equal(ends, [np.zeros(len(arity)), np.array(arity) - 1])
    assert space.index(ends).tolist() == [0, space.size - 1]


@every_space
@given(data=st.data())
def test_text_round_trip(space, data):
    arch = space.at(numbers(space, data))
    parsed = space.parse(space.text(arch))
    assert parsed.dtype == np.int64
    np.testing.assert_array_equal(parsed, arch)


@every_space
@given(data=st.data())
def test_bad_texts_are_refused_with_the_place(space, data):
    good = space.text(space.at(numbers(space, data)))
    cut = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:cut], good[:cut] + "?" + good[cut:], good + "?", "", " " + good):
        with pytest.raises(ConfigError, match=r"at character \d+: .* >>> ") as caught:
            space.parse(bad)
        before, _, after = str(caught.value).rpartition(": ")[2].partition(" >>> ")
        assert eval(before) + eval(after) == bad


@every_space
@given(seeds=SEEDS)
def test_samples_lie_in_the_space_and_do_not_depend_on_the_cohort(space, seeds):
    together = space.sample(Streams(seeds))
    assert together.shape == (len(seeds), len(space.decisions))
    np.testing.assert_array_equal(space.at(space.index(together)), together)
    alone = [space.sample(Streams([seed]))[0] for seed in seeds]
    np.testing.assert_array_equal(together, alone)


@every_space
@given(seeds=SEEDS, data=st.data())
def test_mutation_changes_one_decision_whoever_else_mutates(space, seeds, data):
    parents = np.stack([space.at(numbers(space, data)) for _ in seeds])
    before = parents.copy()
    streams = Streams(seeds)
    alone = [Streams([seed]) for seed in seeds]
    for _ in range(3):
        children = space.mutate(parents, streams)
        np.testing.assert_array_equal((children != parents).sum(axis=1), 1)
        np.testing.assert_array_equal(space.at(space.index(children)), children)
        np.testing.assert_array_equal(parents, before)
        single = [
            space.mutate(parent[None], own)[0] for parent, own in zip(parents, alone, strict=True)
        ]
        np.testing.assert_array_equal(children, single)
        parents, before = children, children.copy()


@every_space
@given(data=st.data())
def test_neighbours_are_all_the_architectures_one_decision_away(space, data):
    arch = space.at(numbers(space, data))
    found = space.neighbours(arch)
    assert ((found != arch).sum(axis=1) == 1).all()
    assert len(np.unique(found, axis=0)) == sum(len(options) - 1 for options in space.decisions)
    if space.size > COUNTABLE:
        return
    everyone = space.at(np.arange(space.size))
    wanted = np.flatnonzero((everyone != arch).sum(axis=1) == 1)
    found = space.index(space.neighbours(arch))
    assert len(found) == len(wanted)
    np.testing.assert_array_equal(np.sort(found), wanted)


@every_space
@given(data=st.data())
def test_legal_options_lead_to_every_architecture(space, data):
    archs = space.at(numbers(space, data, size=5))
    for decision, options in enumerate(space.decisions):
        mask = space.legal(archs[:, :decision])
        assert mask.shape == (len(archs), len(options))
        assert mask[np.arange(len(archs)), archs[:, decision]].all()


@every_space
@given(data=st.data())
def test_encodings_tell_architectures_apart(space, data):
    archs = space.at(numbers(space, data, size=6))
    codes = space.encode(archs)
    assert codes.shape[0] == len(archs)
    assert codes.ndim == 2
    np.testing.assert_array_equal(space.encode(archs[0]), codes[0])
    np.testing.assert_array_equal(space.encode(archs[None]), codes[None])
    same = (archs[:, None] == archs).all(axis=-1)
    np.testing.assert_array_equal((codes[:, None] == codes).all(axis=-1), same)


@every_space
@given(data=st.data())
def test_canonical_key_is_a_text(space, data):
    arch = space.at(numbers(space, data))
    key = space.canonical(arch)
    assert isinstance(key, str)
    assert key
    assert space.canonical(arch.copy()) == key


@every_space
@given(data=st.data())
def test_footprint_is_positive_or_unknown(space, data):
    archs = space.at(numbers(space, data, size=5))
    for figure in space.footprint(archs, TASK):
        assert figure.shape == (len(archs),)
        assert (np.isnan(figure) | (figure > 0)).all()


@every_space
def test_graph_is_a_list_of_edges(space):
    try:
        edges = space.graph(space.at(np.array(0)))
    except UnsupportedError:
        pytest.skip("a space without a cell")
    assert edges
    assert all(isinstance(part, str) for edge in edges for part in edge)
