"""What every algorithm promises. A YAML file in conf/algorithm is all that enrols one here."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from composed import ALGORITHMS, make, nb201_experiment, trace
from toys import Latency, ToyEvaluator, ToySpace, number, toy_experiment

from nasrun.algorithms.base import SampleBased
from nasrun.budget import Budget, Edge
from nasrun.errors import UnsupportedError
from nasrun.report.pareto import pareto_front
from nasrun.spec import metric_named

pytestmark = pytest.mark.parametrize("name", ALGORITHMS)
SEEDS = range(100, 105)
LIMITS = [{"simulated_s": 91.5}, {"simulated_s": 91.5, "edge": Edge.drop}]


class Uneven(ToyEvaluator):
    """Costs differ between architectures, so that trials end at different times."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(measured, cost_s=epochs * (1.0 + 0.37 * archs.sum(axis=1)))


class Failing(ToyEvaluator):
    """A part of the architectures cannot be measured."""

    def __init__(self, works):
        super().__init__()
        self.works = works

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        score = np.where(self.works(archs), measured.score, np.nan)
        return replace(measured, score=score)


class Mirrored(ToyEvaluator):
    """Answers with the opposite of what it is asked for: options counted from the other end."""

    def __init__(self):
        super().__init__(noise=3.0)
        self.asked = []

    def evaluate(self, archs, *, epochs, streams, parents=None):
        self.asked.append(archs)
        return super().evaluate(self.space.arity - 1 - archs, epochs=epochs, streams=streams)


class Rounding(ToyEvaluator):
    """Answers with a neighbour where the first decision is odd."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        return super().evaluate(
            archs - archs % 2 * (np.arange(archs.shape[1]) == 0), epochs=epochs, streams=streams
        )


class Positive(ToyEvaluator):
    """No score is zero, so that a latency can weigh in the reward."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(measured, score=measured.score + 1)


def toy_trace(
    name, *, algorithm=None, seeds=SEEDS, space=None, evaluator=None, hardware=None, **limits
):
    experiment = toy_experiment(
        algorithm or make(name),
        space=space,
        evaluator=evaluator or Uneven(noise=3.0),
        hardware=hardware,
    )
    return trace(experiment, seeds=seeds, budget=Budget(**(limits or {"evaluations": 23})))


def nb201_trace(name, cache_dir, *, seeds=SEEDS, **limits):
    experiment = nb201_experiment("cifar100", cache_dir)
    limits = Budget(**(limits or {"evaluations": 40}))
    return trace(experiment, algorithm=make(name), seeds=seeds, budget=limits)


@cache
def plain(name, evaluations=23):
    """One search of the toy space that several tests look at."""
    return toy_trace(name, evaluations=evaluations)


@cache
def plain_on_a_table(name, cache_dir):
    """One search of the table that several tests look at."""
    return nb201_trace(name, cache_dir)


@pytest.mark.parametrize("arity", [(1,), (1, 1), (3, 1), (4, 2, 3, 5, 2)], ids=str)
def test_proposals_lie_in_the_space(name, arity):
    space = ToySpace(arity)
    archs = toy_trace(name, space=space).archs
    assert archs.dtype == np.int64
    assert archs.shape[1:] == (len(SEEDS), len(arity))
    assert ((archs >= 0) & (archs < space.arity)).all()


def test_the_same_seed_gives_the_same_search(name, cache_dir):
    again = nb201_trace(name, cache_dir)
    assert plain_on_a_table(name, cache_dir).trials() == again.trials()


def test_another_seed_gives_another_search(name, cache_dir):
    trials = plain_on_a_table(name, cache_dir).trials()
    assert len({str(archs) for archs, *_ in trials}) == len(SEEDS)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_a_trial_is_the_same_alone_and_in_a_cohort(name, limits):
    together = toy_trace(name, **limits).trials()
    alone = [toy_trace(name, seeds=range(s, s + 1), **limits).trial(0) for s in SEEDS]
    assert together == alone


def test_a_trial_is_the_same_alone_and_in_a_cohort_on_a_table(name, cache_dir):
    together = plain_on_a_table(name, cache_dir).trials()
    alone = [nb201_trace(name, cache_dir, seeds=range(s, s + 1)).trial(0) for s in SEEDS]
    assert together == alone


@pytest.mark.parametrize("evaluations", [1, 2, 23])
def test_no_more_evaluations_than_the_budget(name, evaluations):
    played = plain(name, evaluations)
    assert (played.outcome.evaluations == evaluations).all()
    assert (played.counted.sum(axis=0) == evaluations).all()


@pytest.mark.parametrize("edge", Edge)
def test_simulated_time_is_overspent_by_less_than_one_step(name, edge):
    limit = 91.5
    played = toy_trace(name, simulated_s=limit, edge=edge)
    cost = np.where(played.counted, played.epochs * (1.0 + 0.37 * played.archs.sum(-1)), 0.0)
    spent = np.cumsum(cost, axis=0)
    assert np.allclose(played.outcome.clock_s, spent[-1])
    last = played.counted.sum(axis=0) - 1
    before = np.where(last > 0, spent[last - 1, range(len(last))], 0.0)
    assert (before < limit).all()
    if edge is Edge.drop:
        assert (played.outcome.clock_s <= limit).all()
    else:
        assert (played.outcome.clock_s >= limit).all()


def test_global_random_state_is_left_alone(name, cache_dir):
    import torch

    def states():
        legacy = np.random.get_state()  # noqa: NPY002 (what must not change)
        return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist()

    before = states()
    nb201_trace(name, cache_dir, seeds=range(2))
    assert states() == before


def test_start_forgets_the_last_task(name, cache_dir):
    used = make(name)
    toy_trace(name, algorithm=used, space=ToySpace((4, 2, 3, 5, 2)), seeds=range(3))
    assert toy_trace(name, algorithm=used, evaluations=40).trials() == plain(name, 40).trials()


def test_failed_measurements_are_survived_and_never_recommended(name):
    works = lambda archs: archs[:, 0] == 1  # noqa: E731
    played = toy_trace(name, evaluator=Failing(works), evaluations=40)
    measured = (~np.isnan(played.reward) & played.counted).any(axis=0)
    assert measured.all()
    assert works(played.outcome.archs).all()
    assert not np.isnan(played.outcome.reward).any()


def test_what_is_recommended_has_the_best_reward_at_the_longest_training(name):
    sample_based(name)
    played = plain(name, 40)
    best = longest(played, played.reward).max(axis=0)
    assert played.outcome.reward.tolist() == best.tolist()


def sample_based(name):
    algorithm = make(name)
    if not isinstance(algorithm, SampleBased):
        pytest.skip("recommends what it has not measured")
    return algorithm


def longest(played, figure):
    """``figure`` where a trial trained longest, worst elsewhere: steps x trials."""
    return np.where(played.epochs == played.epochs.max(axis=0), figure, -np.inf)


def test_a_lower_score_can_be_better(name):
    error = ToyEvaluator(metric=metric_named("error_pct"))
    played = toy_trace(name, algorithm=sample_based(name), evaluator=error, seeds=range(3))
    errors = number(ToySpace(), played.archs) * played.epochs / 12
    assert (played.reward == -errors).all()
    best = -longest(played, -errors).max(axis=0)
    assert number(ToySpace(), played.outcome.archs).tolist() == best.tolist()


def test_two_objectives(name):
    """The reward weighs both, whoever searches; who names a front names what nothing beats."""
    algorithm = sample_based(name)
    device = Latency(target_ms=4.0, exponent=-0.5)
    played = toy_trace(
        name, algorithm=algorithm, evaluator=Positive(), hardware=device, seeds=range(3)
    )
    archs, scores = played.archs, 1 + number(ToySpace(), played.archs) * played.epochs / 12
    session = device.opened(ToySpace(), None)
    latency_ms = session.latency_ms(archs.reshape(-1, 3)).reshape(scores.shape)
    rewards = scores * (latency_ms / 4.0) ** -0.5
    np.testing.assert_allclose(played.reward, rewards)
    np.testing.assert_allclose(played.outcome.reward, longest(played, rewards).max(axis=0))
    for trial, front in enumerate(played.outcome.fronts or []):
        values = np.stack([scores[:, trial], -latency_ms[:, trial]], axis=1)
        expected = archs[pareto_front(values), trial]
        assert sorted(front.tolist()) == sorted(expected.tolist())


def test_training_lengths_can_be_measured(name):
    played = plain(name, 40)
    assert set(np.unique(played.epochs)) <= {1, 4, 12}
    assert played.epochs.max() == 12


def test_what_was_learnt_can_be_loaded_again(name):
    algorithm, fresh = make(name), make(name)
    toy_trace(name, algorithm=algorithm)
    learnt = algorithm.learnt()
    fresh.load_learnt(learnt)
    assert set(fresh.learnt()) == set(learnt)
    for key, value in learnt.items():
        np.testing.assert_array_equal(fresh.learnt()[key], value)
    if not learnt:
        with pytest.raises(UnsupportedError, match=name):
            fresh.load_learnt({"weights": np.zeros(1)})


# Evaluations that settings of others are for; else those of a command line that names none.
BUDGETS = {"amoebanet": 20_000, "rea_suite": 200}


def test_startup_steps_fit_a_budget(name):
    steps = make(name).startup_steps
    assert 0 <= steps < BUDGETS.get(name, 50)
    played = toy_trace(name, evaluations=3, charge_startup=False)
    assert (played.counted.sum(axis=0) == 3 + steps).all()


def test_what_is_learnt_and_recommended_is_what_was_measured(name):
    """An evaluator may answer with another architecture (``Measured.archs``).

    Whoever learnt the rewards as those of what it *asked for* would come to ask for the worst:
    one-sided, 4 standard errors of uniform proposals.
    """
    space, evaluator = ToySpace((4, 4, 4)), Mirrored()
    played = toy_trace(name, space=space, evaluator=evaluator, seeds=range(10), evaluations=36)
    measured = played.archs == played.outcome.archs
    assert measured.all(axis=2).any(axis=0).all()
    late = space.index(np.array(evaluator.asked[-12:]))
    uniform, spread = (space.size - 1) / 2, space.size / np.sqrt(12)
    assert late.mean() > uniform - 4 * spread / np.sqrt(late.size), late.mean()


def test_other_trials_answers_change_nothing(name):
    def played(seeds):
        evaluator, space = Rounding(noise=3.0), ToySpace((4, 2, 3))
        return toy_trace(name, space=space, evaluator=evaluator, seeds=seeds, evaluations=14)

    together = played(range(100, 103)).trials()
    assert together == [played(range(seed, seed + 1)).trial(0) for seed in range(100, 103)]
