"""What every space must do, whatever it holds: those of conf/space, and toys of every kind."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from toy_spaces import TOY_SPACES

from nasrun.config import build
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spaces.constrained import ConstrainedSpace
from nasrun.spec import CountableSpace, SearchSpace, Task
from nasrun.streams import Streams

CONF = Path(__file__).parents[2] / "conf"
FEWER = {"memory_bank": {"blocks": 2}}  # its 180 decisions took a quarter of the time of all
OWN = {
    path.stem: build(
        OmegaConf.merge(OmegaConf.load(path), FEWER.get(path.stem, {})),
        SearchSpace,
        f"space/{path.name}",
    )
    for path in sorted((CONF / "space").glob("*.yaml"))
}
SPACES = {**OWN, **{f"toy_{name}": make() for name, make in TOY_SPACES.items()}}
COUNTABLE = {name: space for name, space in SPACES.items() if isinstance(space, CountableSpace)}
GRAPHS = {n: space for n, space in SPACES.items() if type(space).dag is not SearchSpace.dag}
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
LISTED = 2**20  # encodings of a space that is listed whole
SEEDS = st.lists(st.integers(0, 2**40), min_size=1, max_size=6)


def given(**strategies):
    """Fewer examples than usual: each has several architectures, and there are many spaces."""

    def few(test):
        examples = 3 * settings().max_examples // 10
        return settings(max_examples=examples)(hypothesis_given(**strategies)(test))

    return few


def every(spaces):
    return pytest.mark.parametrize("space", spaces.values(), ids=spaces.keys())


every_space, every_countable, every_graph = every(SPACES), every(COUNTABLE), every(GRAPHS)


def architectures(space, data, size=None):
    """``(n, L)`` architectures of seeds that hypothesis picks; one ``(L,)`` without a size."""
    drawn = data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=size or 1))
    archs = space.sample(Streams(drawn))
    return archs if size else archs[0]


def alone(act, single, *archs):
    """What ``act`` gives for each trial by itself, from streams of its own."""
    rows = [[part[at : at + 1] for part in archs] for at in range(len(single))]
    return np.concatenate([act(*own, one) for own, one in zip(rows, single, strict=True)])


@every(OWN)
def test_name_is_that_of_the_file(space):
    assert OWN[space.name] is space


# What every space owes.


@every_space
@given(data=st.data())
def test_text_round_trip(space, data):
    arch = architectures(space, data)
    parsed = space.parse(space.text(arch))
    assert parsed.dtype == np.int64
    np.testing.assert_array_equal(parsed, arch)


@every_space
@given(data=st.data())
def test_bad_texts_are_refused_with_the_place(space, data):
    good = space.text(architectures(space, data))
    cut = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:cut], good[:cut] + "?" + good[cut:], good + "?", ""):
        with pytest.raises(ConfigError, match=r"at character \d+: .* >>> ") as caught:
            space.parse(bad)
        before, _, after = str(caught.value).rpartition(": ")[2].partition(" >>> ")
        assert eval(before) + eval(after) == bad


@every_space
@given(seeds=SEEDS)
def test_samples_exist_and_do_not_depend_on_the_cohort(space, seeds):
    streams, single = Streams(seeds), [Streams([seed]) for seed in seeds]
    together = space.sample(streams)
    assert together.shape == (len(seeds), len(space.decisions))
    assert together.dtype == np.int64
    assert space.exists(together).all()
    np.testing.assert_array_equal(together, alone(space.sample, single))
    np.testing.assert_array_equal(space.sample(streams), alone(space.sample, single))


@every_space
@given(data=st.data())
def test_what_is_out_of_range_does_not_exist(space, data):
    archs = np.repeat(architectures(space, data, size=1), 2, axis=0)
    place = data.draw(st.integers(0, archs.shape[1] - 1))
    archs[:, place] = [-1, 10_000]
    assert space.exists(archs).tolist() == [False, False]


@every_space
@given(seeds=SEEDS)
def test_mutants_exist_and_differ_whoever_else_mutates(space, seeds):
    parents, streams = space.sample(Streams(seeds, "parents")), Streams(seeds)
    single = [Streams([seed]) for seed in seeds]
    for _ in range(3):  # so that what one trial draws shifts none of its later numbers
        before = parents.copy()
        children = space.mutate(parents, streams)
        np.testing.assert_array_equal(parents, before)
        assert children.shape == parents.shape
        assert children.dtype == np.int64
        assert space.exists(children).all()
        assert (children != parents).any(axis=1).all()
        np.testing.assert_array_equal(children, alone(space.mutate, single, parents))
        parents = children


@every_space
@given(seeds=SEEDS)
def test_children_of_two_exist_and_do_not_depend_on_the_cohort(space, seeds):
    a, b = space.sample(Streams(seeds, "a")), space.sample(Streams(seeds, "b"))
    before = a.copy(), b.copy()
    streams, single = Streams(seeds), [Streams([seed]) for seed in seeds]
    children = space.crossover(a, b, streams)
    np.testing.assert_array_equal((a, b), before)
    assert children.shape == a.shape
    assert children.dtype == np.int64
    assert space.exists(children).all()
    np.testing.assert_array_equal(children, alone(space.crossover, single, a, b))
    np.testing.assert_array_equal(
        space.crossover(a, b, streams), alone(space.crossover, single, a, b)
    )


@every_space
@given(data=st.data())
def test_a_child_of_one_is_itself(space, data):
    archs = architectures(space, data, size=5)
    np.testing.assert_array_equal(space.crossover(archs, archs, Streams(range(len(archs)))), archs)


@every_space
@given(data=st.data())
def test_canonical_key_is_a_text(space, data):
    arch = architectures(space, data)
    key = space.canonical(arch)
    assert isinstance(key, str)
    assert key
    assert space.canonical(arch.copy()) == key


@every_space
@given(data=st.data())
def test_footprint_is_positive_or_unknown(space, data):
    archs = architectures(space, data, size=5)
    for figure in space.footprint(archs, TASK):
        assert figure.shape == (len(archs),)
        assert (np.isnan(figure) | (figure > 0)).all()


@every_space
def test_graph_is_a_list_of_edges(space):
    try:
        edges = space.graph(space.sample(Streams([0]))[0])
    except UnsupportedError:
        pytest.skip("a space without a cell")
    assert edges
    assert all(isinstance(part, str) for edge in edges for part in edge)


@every_space
@given(data=st.data())
def test_every_encoding_has_one_width_and_keeps_leading_axes(space, data):
    archs = architectures(space, data, size=6)
    for encoding in space.encodings:
        codes = space.encode(archs, encoding)
        assert codes.shape == (len(archs), space.encode(archs[:1], encoding).shape[1])
        assert codes.dtype == np.float64
        np.testing.assert_array_equal(space.encode(archs[0], encoding), codes[0])
        np.testing.assert_array_equal(space.encode(archs[None], encoding), codes[None])


@every_space
def test_an_unknown_encoding_is_refused(space):
    archs = space.sample(Streams([0]))
    with pytest.raises((ConfigError, UnsupportedError), match=f"space={space.name} ") as caught:
        space.encode(archs, "nonsense")
    assert all(name in str(caught.value) for name in space.encodings)


@every_graph
@given(data=st.data())
def test_graphs_are_acyclic_and_have_known_operations(space, data):
    archs = architectures(space, data, size=5)
    dag = space.dag(archs)
    assert dag.adjacency.dtype == np.bool_
    assert dag.adjacency.shape == (len(archs), *dag.operations.shape[1:] * 2)
    assert not np.tril(dag.adjacency).any()  # vertices stand in topological order
    assert (dag.operations >= -1).all()
    assert (dag.operations < len(space.dag_operations)).all()
    for at, arch in enumerate(archs):
        single = space.dag(arch[None])
        np.testing.assert_array_equal(dag.adjacency[at], single.adjacency[0])
        np.testing.assert_array_equal(dag.operations[at], single.operations[0])
    code = space.encode(archs, "adjacency")
    vertices = dag.operations.shape[1]
    edges = vertices * (vertices - 1) // 2
    assert code.shape[1] == edges + vertices * len(space.dag_operations)
    np.testing.assert_array_equal(code[:, :edges].sum(axis=1), dag.adjacency.sum(axis=(1, 2)))
    kinds = code[:, edges:].reshape(len(archs), vertices, -1)
    known = np.where(kinds.any(axis=2), kinds.argmax(axis=2), -1)
    np.testing.assert_array_equal(known, dag.operations)


@every_graph
def test_different_networks_have_different_graphs_unless_the_space_says_otherwise(space):
    """Among cells that differ in one decision, of which graphs are most likely to miss one."""
    sampled = space.sample(Streams(range(12)))
    archs = np.concatenate([sampled, *(space.neighbours(arch)[:60] for arch in sampled)])
    dag = space.dag(archs)
    networks = dict[bytes, set[str]]()
    for arch, *graph in zip(archs, *dag, strict=True):
        key = b"".join(part.tobytes() for part in graph)
        networks.setdefault(key, set()).add(space.canonical(arch))
    assert (max(map(len, networks.values())) == 1) == space.dag_says_all


# What countable spaces owe.


def numbers(space, data, size):
    """Encoding numbers that hypothesis picks."""
    drawn = data.draw(st.lists(st.integers(0, space.size - 1), min_size=1, max_size=size))
    return np.array(drawn, np.int64 if space.size < 2**63 else object)


@every_countable
@given(data=st.data())
def test_number_to_encoding_and_back(space, data):
    picked = numbers(space, data, size=8)
    archs = space.at(picked)
    assert archs.shape == (len(picked), len(space.decisions))
    assert ((archs >= 0) & (archs < space.arity)).all()
    np.testing.assert_array_equal(space.index(archs), picked)


@every_countable
def test_numbers_are_a_bijection(space):
    if space.size > LISTED:
        pytest.skip("too many to count")
    archs = space.at(np.arange(space.size))
    assert len(np.unique(archs, axis=0)) == space.size
    np.testing.assert_array_equal(space.index(archs), np.arange(space.size))


@every_countable
def test_the_first_and_the_last_number(space):
    ends = space.at(np.array([0, space.size - 1], object))
    assert ends.dtype == np.int64
    np.testing.assert_array_equal(ends, [np.zeros(len(space.arity)), space.arity - 1])
    assert space.index(ends).tolist() == [0, space.size - 1]


def live_and_legal(space, arch, place):
    """Options that are legal at a place of an architecture."""
    return space.legal(arch[None, :place])[0]


@every_countable
@given(data=st.data())
def test_what_exists_is_made_of_legal_options(space, data):
    """And the reverse, but where only whole architectures can be judged."""
    archs = space.at(numbers(space, data, size=20))
    reached = np.ones(len(archs), bool)
    for place, options in enumerate(space.decisions):
        rows = np.flatnonzero(reached)
        mask = space.legal(archs[rows, :place])
        assert mask.shape == (len(rows), len(options))
        assert mask.any(axis=1).all()
        reached[rows] = mask[np.arange(len(rows)), archs[rows, place]]
    exists = space.exists(archs)
    assert not (exists & ~reached).any()
    if not isinstance(space, ConstrainedSpace):
        np.testing.assert_array_equal(exists, reached)


def explained(space, arch, other):
    """Whether ``other`` is ``arch`` with one live decision changed, and what depends on it."""
    different = np.flatnonzero(arch != other)
    first = different[0]
    if not live_and_legal(space, arch, first)[other[first]]:
        return False
    for place in different[1:]:
        before, after = (live_and_legal(space, one, place) for one in (arch, other))
        if before.sum() > 1 and after[arch[place]]:
            return False  # it was a choice that could have stayed
    return True


@every_countable
@given(seeds=SEEDS)
def test_a_mutation_changes_one_live_decision_and_what_depends_on_it(space, seeds):
    parents = space.sample(Streams(seeds, "parents"))
    children = space.mutate(parents, Streams(seeds))
    pairs = zip(parents, children, strict=True)
    assert all(explained(space, parent, child) for parent, child in pairs)


@every_countable
@given(seeds=SEEDS)
def test_a_childs_decisions_are_those_of_a_parent_unless_they_cannot_be(space, seeds):
    a, b = space.sample(Streams(seeds, "a")), space.sample(Streams(seeds, "b"))
    for one, two, child in zip(a, b, space.crossover(a, b, Streams(seeds)), strict=True):
        for place in np.flatnonzero((child != one) & (child != two)):
            legal = live_and_legal(space, child, place)
            meant = [p for p in (one, two) if live_and_legal(space, p, place).sum() > 1]
            assert len(meant) < 2 or not (legal[one[place]] and legal[two[place]])


@every_countable
@given(data=st.data())
def test_neighbours_are_all_changes_of_one_live_decision(space, data):
    arch = architectures(space, data)
    found = space.neighbours(arch)
    assert found.dtype == np.int64
    assert space.exists(found).all()
    assert len(np.unique(found, axis=0)) == len(found)
    assert all(explained(space, arch, other) for other in found)
    changes = np.argmax(found != arch, axis=1)
    assert (np.diff(changes) >= 0).all()
    if isinstance(space, ConstrainedSpace):
        rest = [(place, o) for place, n in enumerate(space.arity) for o in range(n)]
        one_away = np.array([[*arch[:place], option, *arch[place + 1 :]] for place, option in rest])
        one_away = one_away[(one_away != arch).any(axis=1)]
        assert len(found) == space.exists(one_away).sum()
        return
    for place in range(len(arch)):
        legal = live_and_legal(space, arch, place)
        options = set(np.flatnonzero(legal).tolist()) - {int(arch[place])}
        assert set(found[changes == place, place].tolist()) == options


@every_countable
@given(data=st.data())
def test_encodings_by_default_tell_architectures_apart(space, data):
    archs = architectures(space, data, size=6)
    for encoding in {space.encodings[0], "onehot"}:
        codes = space.encode(archs, encoding)
        same = (archs[:, None] == archs).all(axis=-1)
        np.testing.assert_array_equal((codes[:, None] == codes).all(axis=-1), same)


@pytest.mark.parametrize("name", [n for n, s in COUNTABLE.items() if s.size <= LISTED])
def test_searching_by_mutation_reaches_every_architecture(name):
    """Neighbourhoods are connected: nothing that exists is out of a mutation's reach."""
    space = COUNTABLE[name]
    if space.size > 1000:
        pytest.skip("independent decisions, or too many to walk")
    everything = space.at(np.arange(space.size))
    members = {arch.tobytes() for arch in everything[space.exists(everything)]}
    reached, waiting = set(), [space.sample(Streams([0]))[0]]
    while waiting:
        arch = waiting.pop()
        if arch.tobytes() not in reached:
            reached.add(arch.tobytes())
            waiting += list(space.neighbours(arch))
    assert reached == members
