import numpy as np

from nasrun.algorithms import match_counts
from nasrun.algorithms.match_counts import MatchCounts, exactly

ARITY = np.array([2, 3, 1, 4])


def filled(points):
    counts = MatchCounts(len(points), ARITY)
    for archs in np.moveaxis(points, 1, 0):
        counts.add(archs, np.arange(len(points)))
    return counts


def points(n=50, seed=0):
    return np.random.default_rng(seed).integers(0, ARITY, size=(3, n, 4))


def test_points_are_counted_by_where_they_agree():
    data, asked = points(), points(n=6, seed=1)
    counts = filled(data)
    found = exactly(counts.at(counts.cells(asked)))
    for trial in range(3):
        for at, arch in enumerate(asked[trial]):
            pattern = ((data[trial] == arch) * 2 ** np.arange(4)).sum(axis=1)
            expected = np.bincount(pattern, minlength=16)
            np.testing.assert_array_equal(found[trial, at], expected)


def test_options_are_counted():
    data = points()
    expected = (data[..., None] == np.arange(4)).sum(axis=1)
    np.testing.assert_array_equal(filled(data).options(), expected)


def test_what_is_removed_was_never_there():
    data = points()
    counts, without = filled(data), filled(data[:, 1:])
    counts.remove(data[:, 0], np.arange(3))
    np.testing.assert_array_equal(counts.options(), without.options())
    cells = counts.cells(data)
    np.testing.assert_array_equal(counts.at(cells), without.at(cells))


def test_only_the_trials_that_are_named_change():
    counts = MatchCounts(3, ARITY)
    counts.add(points(n=1)[:, 0], np.array([2]))
    assert counts.options().sum(axis=(1, 2)).tolist() == [0, 0, 4]


def test_counts_grow_wide_where_two_bytes_are_not_enough(monkeypatch):
    monkeypatch.setattr(match_counts, "SMALL", 5)
    data = points(n=9)
    counts = filled(data)
    assert counts._counts.dtype == np.uint32
    assert (counts.options().sum(axis=2) == 9).all()


def test_what_can_be_counted():
    assert MatchCounts.can_hold(np.full(6, 5))
    assert MatchCounts.can_hold(np.full(5, 8))
    assert not MatchCounts.can_hold(np.full(28, 7))
