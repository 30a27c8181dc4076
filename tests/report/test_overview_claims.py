import numpy as np
import pytest

from nasrun.report.jobs import MetaCost, Search
from nasrun.report.overview import judge
from nasrun.report.schema import Claim
from nasrun.report.trials import Problem, Trials
from nasrun.spec import ACCURACY, metric_named

HERE = Problem("nb201", "cifar10", "cifar10")
CLAIM = [Claim("catch", "rea")]


def trials(catch, rea, seeds=None, metric=ACCURACY):
    figures = np.array([catch, rea], float)
    unknown = np.full(figures.shape, np.nan)
    seeds = np.arange(figures.shape[1]) if seeds is None else seeds
    return {HERE: Trials(("catch", "rea"), seeds, metric, figures, *[unknown] * 6)}


def meta(**agents):
    return {Search("nb201", "cifar10", name): MetaCost(n, 1.0) for name, n in agents.items()}


def test_trials_of_an_agent_are_one_unit():
    generator = np.random.default_rng(0)
    agent = np.tile([5.0, -4.0], 50)  # one good and one bad agent, 50 trials each
    catch, rea = agent + generator.normal(0, 0.1, 100), np.zeros(100)
    (by_agent,) = judge(trials(catch, rea), CLAIM, meta(catch=2))
    (by_trial,) = judge(trials(catch, rea), CLAIM, {})
    assert (by_agent.units, by_agent.by_agent) == (2, True)
    assert (by_trial.units, by_trial.by_agent) == (100, False)
    assert by_agent.p_value == 0.5  # two agents cannot say more: the two are 5 and -4
    assert by_agent.difference == pytest.approx(by_trial.difference)


def test_agents_are_found_by_absolute_seed():
    seeds = np.array([3, 4, 5, 6])  # agents 1, 0, 1, 0
    (verdict,) = judge(trials([1, 9, 1, 9], [0, 0, 0, 0], seeds), CLAIM, meta(catch=2))
    assert verdict.units == 2
    assert verdict.p_value == 0.25


def test_different_numbers_of_agents_share_no_agent_between_blocks():
    (verdict,) = judge(trials(np.ones(24), np.zeros(24)), CLAIM, meta(catch=4, rea=6))
    assert verdict.units == 2


def test_holm_covers_all_claims_and_absent_algorithms_make_none():
    claims = [*CLAIM, Claim("rea", "catch"), Claim("catch", "tpe")]
    verdicts = judge(trials([2, 3, 4, 5], [1, 1, 1, 1]), claims, {})
    assert [(v.better, v.worse) for v in verdicts] == [("catch", "rea"), ("rea", "catch")]
    assert [v.p_value for v in verdicts] == [1 / 16, 1.0]
    assert [v.p_holm for v in verdicts] == [2 / 16, 1.0]
    assert verdicts[1].difference == -2.5


def test_where_less_is_better_a_lower_mean_supports_the_claim():
    errors = trials([1, 1, 1, 1], [2, 3, 4, 5], metric=metric_named("error_pct"))
    (verdict,) = judge(errors, CLAIM, {})
    assert (verdict.difference, verdict.p_value) == (2.5, 1 / 16)


def test_missing_figures_are_left_out():
    (verdict,) = judge(trials([np.nan, 2.0], [1.0, 1.0]), CLAIM, {})
    assert (verdict.units, verdict.difference) == (1, 1.0)
    (nothing,) = judge(trials([np.nan], [1.0]), CLAIM, {})
    assert np.isnan([nothing.difference, nothing.p_value, nothing.p_holm]).all()
