from itertools import product

import numpy as np

from nasrun.spaces.path_sets import PathSets
from nasrun.streams import Streams

# Networks by the paths that they have, of three: two networks have the first set.
PATHS = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]], float)
ARCHS = np.arange(len(PATHS))[:, None]
CHANCES = np.array([0.5, 0.2, 0.1])
SETS = PathSets(ARCHS, lambda archs: PATHS[archs[:, 0]], CHANCES)
TRIALS = 6000


def test_networks_are_drawn_as_if_sets_were_drawn_until_one_exists():
    """Shares within four standard errors of those by hand; a draw by rejection gives the same."""
    there = {tuple(paths) for paths in PATHS.tolist()}
    chance = {
        paths: np.prod([p if bit else 1 - p for bit, p in zip(paths, CHANCES, strict=True)])
        for paths in product((0.0, 1.0), repeat=3)
        if paths in there
    }
    total = sum(chance.values())
    several = {paths: (paths == PATHS).all(axis=1).sum() for paths in chance}
    expected = [chance[p] / total / several[p] for p in map(tuple, PATHS.tolist())]
    found = np.bincount(SETS.sample(Streams(range(TRIALS)))[:, 0], minlength=6) / TRIALS
    errors = np.sqrt(np.multiply(expected, 1 - np.array(expected)) / TRIALS)
    assert (np.abs(found - expected) < 4 * errors).all()


def test_a_change_is_one_path_more_or_less():
    """Uniform over the sets that exist, then over their networks."""
    parents = np.full((TRIALS, 1), 2)  # with the paths 0 and 1: one less is 0, one more all three
    children, alone = SETS.perturb(parents, Streams(range(TRIALS)))
    assert not len(alone)
    found = np.bincount(children[:, 0], minlength=6) / TRIALS
    assert (np.abs(found - [0.25, 0.25, 0, 0, 0.5, 0]) < 4 * 0.5 / TRIALS**0.5).all()
    assert set(np.flatnonzero(found)) == {0, 1, 4}


def test_who_has_no_neighbour_stays():
    lone = PathSets(ARCHS[:2], lambda archs: np.eye(3)[2 * archs[:, 0]], CHANCES)
    children, alone = lone.perturb(ARCHS[:2], Streams(range(2)))
    np.testing.assert_array_equal(children, ARCHS[:2])
    assert alone.tolist() == [0, 1]


def test_a_trial_is_the_same_alone():
    streams, single = Streams(range(5)), [Streams([seed]) for seed in range(5)]
    together = SETS.sample(streams)
    np.testing.assert_array_equal(together, np.concatenate([SETS.sample(own) for own in single]))
    children, _ = SETS.perturb(together, streams)
    for at, own in enumerate(single):
        child, _ = SETS.perturb(together[at : at + 1], own)
        np.testing.assert_array_equal(child[0], children[at])
