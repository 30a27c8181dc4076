import numpy as np
import pytest

from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb101_draws import TO_CHANGE, TO_DRAW, Mutation, Sampling, changed, drawn
from nasrun.streams import Streams

SPACE = NB101()
BY_PATHS = ("path", "truncated_path")  # need the list of all cells, which takes seconds
N = 4000


def each(kinds):
    return pytest.mark.parametrize(
        "kind",
        [
            pytest.param(kind, marks=[pytest.mark.slow] if kind.value in BY_PATHS else [])
            for kind in kinds
        ],
    )


@each(Sampling)
def test_cells_drawn_in_each_encoding_exist_whoever_else_draws(kind):
    space = NB101(sampling=kind)
    streams, single = Streams(range(20)), [Streams([seed]) for seed in range(20)]
    for _ in range(2):
        cells = space.sample(streams)
        assert cells.dtype == np.int64
        assert space.exists(cells).all()
        np.testing.assert_array_equal(cells, np.concatenate([space.sample(s) for s in single]))
    assert len(np.unique(cells, axis=0)) > 10


@each(Mutation)
def test_cells_changed_in_each_encoding_exist_and_differ_whoever_else_is(kind):
    space, parents = NB101(mutation=kind), SPACE.sample(Streams(range(20), "parents"))
    streams, single = Streams(range(20)), [Streams([seed]) for seed in range(20)]
    for _ in range(2):
        before = parents.copy()
        children = space.mutate(parents, streams)
        np.testing.assert_array_equal(parents, before)
        assert space.exists(children).all()
        assert (children != parents).any(axis=1).all()
        alone = [space.mutate(parents[at : at + 1], s) for at, s in enumerate(single)]
        np.testing.assert_array_equal(children, np.concatenate(alone))
        parents = children


@pytest.mark.slow
def test_a_change_by_paths_is_of_one_path():
    space = NB101(mutation=Mutation.path)
    parents = space.sample(Streams(range(300)))
    children = space.mutate(parents, Streams(range(300)))
    differ = (space.encode(parents, "path") != space.encode(children, "path")).sum(axis=1)
    assert (differ == 1).mean() > 0.95  # others have no such neighbour


def uniforms(size):
    return np.random.default_rng(0).random((N, size))


def edges_of(archs):
    return archs[:, :21].sum(axis=1)


def test_edges_of_cells_that_are_drawn():
    """Before those that are no cells are drawn again."""
    at_even_odds = drawn("adjacency", uniforms(TO_DRAW["adjacency"] + 5))
    assert edges_of(at_even_odds).mean() == pytest.approx(10.5, abs=4 * (21 / 4 / N) ** 0.5)
    several = drawn("categorical", uniforms(TO_DRAW["categorical"] + 5))
    expected = 21 * (1 - (20 / 21) ** 9)  # different ones of nine
    assert edges_of(several).mean() == pytest.approx(expected, abs=0.08)
    assert edges_of(several).max() == 9
    counts = np.bincount(edges_of(drawn("continuous", uniforms(TO_DRAW["continuous"] + 5))))
    assert counts[0] == 0
    assert len(counts) == 9
    assert (np.abs(counts[1:] - N / 8) < 4 * (N / 8) ** 0.5).all()
    operations = np.bincount(at_even_odds[:, 21:].ravel())
    assert (np.abs(operations - 5 * N / 3) < 4 * (5 * N / 3) ** 0.5).all()


def test_what_changes_of_a_cell():
    """Rates of edges and of operations; what has not changed at all is no cell."""
    parent = SPACE.sample(Streams([3]))
    parents = parent.repeat(N, axis=0)
    here = edges_of(parent)[0]
    for kind, edges in (("adjacency", 1.0), ("categorical", 2 * here / 9), ("continuous", 4 / 3)):
        children = changed(kind, parents, uniforms(TO_CHANGE[kind] + 10))
        differ = children != parents
        unchanged = edges_of(children) == 0
        flips = np.where(unchanged, 0, differ[:, :21].sum(axis=1))
        assert flips.mean() == pytest.approx(edges, abs=0.1)
        assert differ[:, 21:].sum(axis=1).mean() == pytest.approx(1.0, abs=0.06)
        if kind == "categorical":
            assert (edges_of(children)[~unchanged] == here).all()
        if kind == "continuous":
            assert flips.max() == 2
