import math

import numpy as np
import pytest
from composed import trace
from hypothesis import given
from hypothesis import strategies as st
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.bohb import BOHB, choose
from nasrun.algorithms.hyperband import Hyperband
from nasrun.algorithms.kde import Kernel
from nasrun.algorithms.match_counts import MatchCounts
from nasrun.algorithms.ranked_model import TINY
from nasrun.budget import Budget
from nasrun.errors import ConfigError

SPACE = ToySpace((4, 3, 4, 2))


class Single(ToyEvaluator):
    """A table of one training length."""

    fidelities = (12,)


def played(algorithm, evaluations=40, evaluator=None, seeds=range(4)):
    experiment = toy_experiment(algorithm, space=SPACE, evaluator=evaluator or Single())
    return trace(experiment, seeds=seeds, budget=Budget(evaluations=evaluations))


def hpbandster_choice(good, bad):
    """HpBandSter's loop over one trial's candidates: the one it takes, or None."""
    best, taken = math.inf, None
    for at, (g, b) in enumerate(zip(good, bad, strict=True)):
        value = max(TINY, b) / max(g, TINY)
        if not math.isfinite(value):
            if math.isfinite(g):
                return at
        elif value < best:
            best, taken = value, at
    return taken


densities = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.1, 0.2, 0.5, -0.3, math.inf, math.nan, -math.inf])] * 2),
    min_size=1,
    max_size=5,
)


@given(densities)
def test_the_choice_is_hpbandsters(pairs):
    good, bad = np.array(pairs).T[:, None]
    chosen, usable = choose(good, bad, np.ones(good.shape, bool))
    expected = hpbandster_choice(good[0].tolist(), bad[0].tolist())
    assert usable[0] == (expected is not None)
    if expected is not None:
        assert chosen[0] == expected


@given(densities, st.data())
def test_only_candidates_that_exist_are_taken(pairs, data):
    """The others might as well not have been drawn."""
    exists = np.array(data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))))
    good, bad = np.array(pairs).T[:, None]
    chosen, usable = choose(good, bad, exists[None])
    expected = hpbandster_choice(good[0, exists].tolist(), bad[0, exists].tolist())
    assert usable[0] == (expected is not None)
    if expected is not None:
        assert chosen[0] == np.flatnonzero(exists)[expected]


def test_the_first_architectures_are_random_ones():
    enough = 2 * (len(SPACE.decisions) + 1)
    bohb, chance = played(BOHB()), played(Hyperband())
    np.testing.assert_array_equal(bohb.archs[:enough], chance.archs[:enough])
    assert (bohb.archs[enough:] != chance.archs[enough:]).any()


def test_random_fraction_one_ignores_the_model():
    played_randomly = played(BOHB(random_fraction=1.0), evaluations=60)
    late = SPACE.index(played_randomly.archs[20:])
    assert abs(late.mean() - (SPACE.size - 1) / 2) < 4 * SPACE.size / np.sqrt(12 * late.size)


def test_the_model_finds_better_architectures_than_chance():
    bohb, chance = (played(kind, 60, seeds=range(50)) for kind in (BOHB(), Hyperband()))
    assert bohb.reward[20:].mean() > chance.reward[20:].mean() + 5


def parts(algorithm):
    """The good and the bad architectures of all trials, by rank."""
    split = algorithm._split
    return split.of(split.ranking.trials)


def test_failed_measurements_count_as_bad():
    algorithm = BOHB()
    run = played(algorithm, 20, Single(fails_below=SPACE.size // 2))
    good, bad = parts(algorithm)
    assert good.shape[1] + bad.shape[1] == 20
    for trial in range(4):
        failed = np.isnan(run.reward[:, trial]).sum()
        worst = SPACE.index(bad[trial, -failed:]) if failed else np.zeros(0)
        assert (worst < SPACE.size // 2).all()


def test_the_model_is_that_of_the_highest_rung_with_enough_measurements():
    algorithm = BOHB(min_points=2)
    played(algorithm, 13, ToyEvaluator())  # 9 at 1 epoch, 3 at 4, one at 12
    assert sum(part.shape[1] for part in parts(algorithm)) == 9
    played(algorithm, 17, ToyEvaluator())  # two more at 4 epochs
    assert sum(part.shape[1] for part in parts(algorithm)) == 6


def test_good_ones_are_the_best():
    algorithm = BOHB(min_points=3, top_percent=20.0)
    run = played(algorithm, 40)
    good, bad = parts(algorithm)
    assert good.shape[1] == 8
    for trial in range(4):
        worth = SPACE.index(good[trial])
        assert worth.min() >= SPACE.index(bad[trial]).max()
        assert worth.max() == run.reward[:, trial].max()


@pytest.mark.parametrize("kernel", Kernel)
def test_counting_finds_what_sums_over_all_measurements_find(kernel, monkeypatch):
    counted = played(BOHB(kernel=kernel), 120, seeds=range(20))
    monkeypatch.setattr(MatchCounts, "can_hold", lambda arity: False)
    summed = played(BOHB(kernel=kernel), 120, seeds=range(20))
    np.testing.assert_array_equal(counted.archs, summed.archs)


def test_no_step_looks_at_all_measurements(monkeypatch):
    """A search is linear in its evaluations, once kernels are no longer flat."""
    algorithm = BOHB()
    played(algorithm, 60)
    split, asked = algorithm._split, []
    monkeypatch.setattr(split, "of", asked.append)
    monkeypatch.setattr("nasrun.algorithms.ranked_model.close_calls", lambda *_: np.zeros(4, bool))
    algorithm.propose()
    split.insert(np.zeros((4, 4), np.int64), np.zeros(4))
    assert not asked


@pytest.mark.parametrize(
    "fields",
    [{"candidates": 0}, {"random_fraction": 1.1}, {"min_bandwidth": 0.0}, {"top_percent": 100.0},
     {"min_points": 0}], ids=str,
)  # fmt: skip
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        BOHB(**fields)
