from dataclasses import replace

import numpy as np
import pytest
from composed import trace
from hypothesis import given
from hypothesis import strategies as st
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.bohb import BOHB
from nasrun.algorithms.halving import ladder, survivors
from nasrun.algorithms.hyperband import Hyperband
from nasrun.budget import Budget
from nasrun.errors import ConfigError

SPACE = ToySpace((4, 3, 4, 2))


def test_hyperbands_brackets_are_those_of_the_paper():
    # Li et al. (JMLR 2018), Algorithm 1 with R = 81 and eta = 3.
    assert Hyperband().brackets(5) == [
        [81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5],
    ]  # fmt: skip
    assert ladder(range(1, 82), 1, 3.0, True) == [1, 3, 9, 27, 81]


def test_bohbs_brackets_are_those_of_hpbandster():
    assert BOHB().brackets(5) == [[81, 27, 9, 3, 1], [27, 9, 3, 1], [9, 3, 1], [6, 2], [5]]
    assert BOHB().brackets(3) == [[9, 3, 1], [3, 1], [3]]
    # int(np.floor(rungs / (s + 1)) * eta**s), and each rung int(n0 * eta**-i)
    assert BOHB(eta=2.5).brackets(4) == [[15, 6, 2, 1], [6, 2, 1], [5, 2], [4]]


@pytest.mark.parametrize(
    ("fidelities", "merge", "rungs"),
    [
        (range(1, 13), True, [1, 4, 12]),  # NATS-Bench: 1.33, 4 and 12 epochs, truncated
        ((12,), True, [12]),
        ((12,), False, [12, 12, 12]),  # NAS-Bench-201's script
        ((12, 200), True, [12, 200]),
        ((12, 200), False, [12, 12, 12, 12, 200]),
        ((1,), True, [1]),
    ],
)
def test_rungs_are_lengths_that_can_be_measured(fidelities, merge, rungs):
    assert ladder(fidelities, 1, 3.0, merge) == rungs


def test_what_trains_nothing_has_no_rungs():
    with pytest.raises(ConfigError, match="this evaluator trains nothing"):
        ladder([0], 1, 3.0, merge=True)


@given(
    st.sets(st.integers(1, 300), min_size=1, max_size=20),
    st.integers(1, 300),
    st.floats(1.1, 10.0),
    st.booleans(),
)
def test_a_ladder_ascends_to_the_full_training(fidelities, min_epochs, eta, merge):
    able = sorted(fidelities)
    if min_epochs > able[-1]:
        with pytest.raises(ConfigError, match="min_epochs"):
            ladder(able, min_epochs, eta, merge)
        return
    rungs = ladder(able, min_epochs, eta, merge)
    assert rungs == sorted(rungs)
    assert rungs[-1] == able[-1]
    assert set(rungs) <= {length for length in able if length >= min_epochs}
    assert not merge or len(set(rungs)) == len(rungs)


@given(st.integers(1, 1000), st.integers(1, 8), st.floats(1.1, 10.0))
def test_ever_fewer_survive(first, rungs, eta):
    counts = survivors(first, rungs, eta)
    assert len(counts) == rungs
    assert counts[0] == first
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1


def test_the_best_of_each_rung_are_promoted():
    experiment = toy_experiment(Hyperband(), space=SPACE, evaluator=ToyEvaluator(noise=5.0))
    played = trace(experiment, seeds=range(4), budget=Budget(evaluations=22))
    # Brackets over the rungs 1, 4 and 12: 9 -> 3 -> 1, then 5 -> 1, then 3.
    assert played.epochs[:, 0].tolist() == [1] * 9 + [4] * 3 + [12] + [4] * 5 + [12] + [12] * 3
    for start, n, promoted in ((0, 9, 3), (9, 3, 1), (13, 5, 1)):
        for trial in range(4):
            rung = slice(start, start + n)
            order = np.argsort(-played.reward[rung, trial], kind="stable")[:promoted]
            expected = played.archs[rung, trial][order]
            found = played.archs[start + n : start + n + promoted, trial]
            np.testing.assert_array_equal(found, expected)


def test_the_best_of_the_highest_rung_is_recommended():
    class Falling(ToyEvaluator):
        def evaluate(self, archs, *, epochs, streams, parents=None):
            measured = super().evaluate(archs, epochs=epochs, streams=streams)
            return replace(measured, score=100.0 - epochs + archs.sum(axis=1) / 100)

    experiment = toy_experiment(Hyperband(), space=SPACE, evaluator=Falling())
    for evaluations, epochs in ((9, 1), (12, 4), (13, 12)):
        played = trace(experiment, seeds=range(4), budget=Budget(evaluations=evaluations))
        rung = np.where(played.epochs == epochs, played.reward, -np.inf)
        assert played.outcome.reward.tolist() == rung.max(axis=0).tolist()


def test_equal_rungs_are_measured_again_unless_merged():
    class Single(ToyEvaluator):
        fidelities = (12,)

    apart = toy_experiment(BOHB(merge_rungs=False), space=SPACE, evaluator=Single(noise=5.0))
    played = trace(apart, seeds=range(3), budget=Budget(evaluations=13))
    for trial in range(3):
        first = {tuple(arch) for arch in played.archs[:9, trial].tolist()}
        assert {tuple(arch) for arch in played.archs[9:, trial].tolist()} <= first
    np.testing.assert_array_equal(played.outcome.archs, played.archs[12])


@pytest.mark.parametrize("kind", [Hyperband, BOHB])
@pytest.mark.parametrize("fields", [{"eta": 1.0}, {"min_epochs": 0}], ids=str)
def test_senseless_ladders_are_refused(kind, fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        kind(**fields)


def test_a_training_shorter_than_the_lowest_rung_is_refused():
    experiment = toy_experiment(Hyperband(min_epochs=13), space=SPACE)
    with pytest.raises(ConfigError, match="more than the full training of 12 epochs"):
        trace(experiment)
