"""The loop, on trials whose measurements differ in cost and worth."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from toys import ToyEvaluator, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.budget import Edge
from nasrun.errors import ConfigError
from nasrun.pipeline import search
from nasrun.spec.algorithm import Policy

UNKNOWN = float("nan")


@dataclass
class Priced(ToyEvaluator):
    """Each trial pays a price of its own."""

    prices: tuple[float, ...] = (5.0, 50.0)

    def evaluate(self, archs, **more):
        measured = super().evaluate(archs, **more)
        return replace(measured, cost_s=np.array(self.prices))


def play_at(prices, watch=None, fails_below=0, **budget):
    evaluator = Priced(prices=prices, fails_below=fails_below)
    made = toy_experiment(RandomSearch(), evaluator=evaluator, trials=len(prices), **budget)
    return search(made.opened(), np.array(made.seeds), watch)


def test_every_trial_spends_its_own_budget_to_the_end():
    outcome, _ = play_at((5.0, 50.0, 20.0), simulated_s=100.0)
    assert outcome.evaluations.tolist() == [20, 2, 5]
    assert outcome.clock_s.tolist() == [100.0, 100.0, 100.0]


def test_one_trial_that_can_afford_nothing_is_enough_to_refuse():
    with pytest.raises(ConfigError, match=r"costs 50 s, more than budget\.simulated_s=10\.0"):
        play_at((5.0, 50.0), simulated_s=10.0, edge=Edge.drop)


def test_a_first_measurement_that_fills_the_simulated_budget_is_not_what_did_not_fit():
    with pytest.raises(ConfigError, match=r"takes longer than budget\.wall_s=1e-09"):
        play_at((12.0,), simulated_s=12.0, wall_s=1e-9, edge=Edge.drop)


def test_a_trial_that_later_affords_nothing_ends_without_a_word():
    outcome, _ = play_at((5.0, 50.0), simulated_s=60.0, edge=Edge.drop)
    assert outcome.evaluations.tolist() == [12, 1]


def test_a_simulated_budget_needs_every_cost():
    with pytest.raises(
        ConfigError, match=r"budget\.simulated_s needs a source with training times"
    ):
        play_at((5.0, UNKNOWN), simulated_s=100.0)


def test_other_budgets_need_no_cost():
    outcome, _ = play_at((5.0, UNKNOWN), evaluations=3)
    assert outcome.evaluations.tolist() == [3, 3]


def test_a_trial_ends_with_what_is_recommended_after_its_last_measurement():
    outcome, history = play_at((5.0, 50.0, 20.0), simulated_s=100.0)
    rewards = np.stack([step.reward for step in history._measured])
    archs = np.stack([step.archs for step in history._measured])
    best = [rewards[:own, trial].argmax() for trial, own in enumerate(outcome.evaluations)]
    assert outcome.archs.tolist() == [archs[at, trial].tolist() for trial, at in enumerate(best)]
    assert outcome.reward.tolist() == [rewards[at, trial] for trial, at in enumerate(best)]


@pytest.mark.parametrize("fails_below", [0, 20])
def test_the_watch_sees_the_trials_that_ended_the_measurements_and_the_best_so_far(fails_below):
    seen = []
    watch = lambda *state: seen.append(state)  # noqa: E731
    _, history = play_at((10.0, 20.0), watch, fails_below, simulated_s=60.0)
    rewards = [step.reward[on] for step, on in zip(history._measured, history.counted, strict=True)]
    best, bests = -np.inf, []
    for reward in rewards:
        best = max([best, *reward[~np.isnan(reward)]])
        bests.append(best)
    assert [(ended, done) for ended, done, _ in seen] == [
        (0, 2),
        (0, 4),
        (1, 6),
        (1, 7),
        (1, 8),
        (2, 9),
    ]
    assert [best for *_, best in seen] == bests
    assert bests[0] < bests[-1]
    assert (bests[0] == -np.inf) == (fails_below > 0)


class Fronted(RandomSearch):
    """The front of a trial is what it measured in this step."""

    def front(self):
        return [arch[None] for arch in self.measured.archs]

    def tell(self, measured):
        super().tell(measured)
        self.measured = measured


def test_the_front_of_a_trial_is_that_of_the_step_in_which_it_ended():
    evaluator = Priced(prices=(5.0, 50.0, 20.0))
    made = toy_experiment(Fronted(), evaluator=evaluator, simulated_s=100.0)
    outcome, history = search(made.opened(), np.array(made.seeds), None)
    ends = [19, 1, 4]
    wanted = [history._measured[end].archs[trial].tolist() for trial, end in enumerate(ends)]
    assert [front.tolist() for front in outcome.fronts] == [[arch] for arch in wanted]


@dataclass
class OwnFront(Fronted):
    """The front of a trial is all that it has measured."""

    def front(self):
        return list(self.seen.swapaxes(0, 1))

    def tell(self, measured):
        super().tell(measured)
        new = measured.archs[None]
        self.seen = np.concatenate([self.seen, new]) if hasattr(self, "seen") else new


def test_a_measurement_that_does_not_fit_is_not_in_the_front():
    budget = {"simulated_s": 100.0, "edge": Edge.drop}
    evaluator = Priced(prices=(30.0, 50.0))
    made = toy_experiment(OwnFront(), evaluator=evaluator, trials=2, **budget)
    outcome, _ = search(made.opened(), np.array(made.seeds), None)
    assert outcome.evaluations.tolist() == [3, 2]  # 90 s, and 100 s to the second
    assert [len(front) for front in outcome.fronts] == [3, 2]


class Counting(RandomSearch):
    """Its policy is the number of the step, less in later trials."""

    def policy(self):
        return Policy((("a",),), [self.steps - np.arange(self.problem.trials)[:, None] / 10])


def test_the_policy_of_a_trial_is_that_of_the_step_in_which_it_ended():
    evaluator = Priced(prices=(50.0, 20.0, 50.0))
    made = toy_experiment(Counting(), evaluator=evaluator, simulated_s=100.0)
    outcome, _ = search(made.opened(), np.array(made.seeds), None)
    assert outcome.evaluations.tolist() == [2, 5, 2]
    (numbers,) = outcome.policy.probabilities
    np.testing.assert_allclose(numbers, [[2.0], [4.9], [1.8]])
