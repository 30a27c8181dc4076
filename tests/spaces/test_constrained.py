import numpy as np
import pytest
from scipy import stats
from toy_spaces import Graphs

from nasrun.errors import UnsupportedError
from nasrun.streams import Streams

SPACE = Graphs(vertices=3, most=2)  # three edge bits, one operation
LEVEL = 1e-4  # of the chi-square tests: with these fixed seeds they either always pass or never
TRIALS = 20_000


def assert_uniform(found, texts):
    names, counts = np.unique([SPACE.text(arch) for arch in found], return_counts=True)
    assert set(names) == set(texts)
    assert stats.chisquare(counts).pvalue > LEVEL, counts


def test_samples_are_uniform_over_what_exists():
    """Of eight graphs: the edge 0-2 with at most one other, or the way 0-1-2."""
    graphs = ["010", "110", "011", "101"]
    wanted = [f"{graph}:{kind}" for graph in graphs for kind in "abc"]
    assert_uniform(SPACE.sample(Streams(range(TRIALS))), wanted)


def test_mutants_are_what_is_left_of_one_change():
    """Of 101: no single edge may go or come; of 110: the first may go."""
    parents = np.repeat(SPACE.parse("110:a")[None], TRIALS, axis=0)
    children = SPACE.mutate(parents, Streams(range(TRIALS)))
    names, counts = np.unique([SPACE.text(arch) for arch in children], return_counts=True)
    # One in four decisions is the edge, one the operation, with two options.
    assert dict(zip(names, counts / TRIALS, strict=True)) == pytest.approx(
        {"010:a": 1 / 2, "110:b": 1 / 4, "110:c": 1 / 4}, abs=0.02
    )


def test_children_are_mixed_until_they_exist():
    """Of 011 and 101: where they differ (the first two edges) all but 00 and 11 are graphs."""
    n = TRIALS
    a, b = (np.repeat(SPACE.parse(text)[None], n, axis=0) for text in ("011:a", "101:a"))
    assert_uniform(SPACE.crossover(a, b, Streams(range(n))), ["011:a", "101:a"])


class Lonely(Graphs):
    """Exactly one graph."""

    def exists(self, archs):
        return (archs == 0).all(axis=1)


class Empty(Graphs):
    """No graph at all."""

    def exists(self, archs):
        return np.zeros(len(archs), bool)


def test_what_cannot_be_found_by_chance_is_said():
    with pytest.raises(UnsupportedError, match="none of 1000 random encodings is an architecture"):
        Empty().sample(Streams([0]))
    only = np.zeros((1, 8), np.int64)
    with pytest.raises(UnsupportedError, match="none of 1000 changes of one decision in 000000:aa"):
        Lonely().mutate(only, Streams([0]))


def test_a_child_is_its_first_parent_where_no_mix_exists():
    a, b = np.zeros((2, 8), np.int64), np.ones((2, 8), np.int64)
    np.testing.assert_array_equal(Empty().crossover(a, b, Streams([0, 1])), a)


def test_canonical_form_of_the_toy_ignores_numbering():
    """So that tables by canonical form are tested on more than equal texts."""
    space = Graphs(4)
    # One vertex is on no way to the output, or the two inner vertices change places.
    assert space.canonical(space.parse("110010:ab")) == space.canonical(space.parse("110001:ba"))
    assert space.canonical(space.parse("110011:ab")) == space.canonical(space.parse("110011:ba"))
    assert space.canonical(space.parse("110011:ab")) != space.canonical(space.parse("110011:aa"))
