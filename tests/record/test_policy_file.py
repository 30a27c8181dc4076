"""``policy.csv``: where each trial's policy stood when its search ended."""

from dataclasses import replace

import numpy as np
import pytest
from toys import ToyEvaluator, toy_experiment

from nasrun.algorithms.catch import CATCH
from nasrun.algorithms.random_search import RandomSearch
from nasrun.algorithms.reinforce import Reinforce
from nasrun.files import read_csv
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.record.rows import policy_table
from nasrun.spec import Policy


def played(folder, algorithm, **options):
    opened = toy_experiment(algorithm, **options).opened()
    with Recorder(folder, "one") as recorder:
        run(opened, recorder, dict)
    return opened.experiment.space


def test_a_row_is_a_trials_decision_and_a_column_an_option():
    policy = Policy(
        (("none", "conv"), ("pool", "conv")),
        [np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([[0.33333, 0.66667], [0.5, 0.5]])],
    )
    columns, rows = policy_table(policy, np.array([7, 8]))
    assert columns == ("seed", "decision", "none", "conv", "pool")
    assert rows == [
        [7, 0, 0.25, 0.75, None], [7, 1, None, 0.6667, 0.3333],
        [8, 0, 1.0, 0.0, None], [8, 1, None, 0.5, 0.5],
    ]  # fmt: skip


def test_draws_become_shares():
    archs = np.array([[[0, 1], [0, 0], [1, 1], [0, 2]]])
    policy = Policy.of_draws((("a", "b"), ("x", "y", "z")), archs)
    assert [row.tolist() for row in policy.probabilities] == [[[0.75, 0.25]], [[0.25, 0.5, 0.25]]]


def test_reinforce_leaves_the_softmax_of_its_logits(tmp_path):
    space = played(tmp_path, Reinforce(), trials=2, evaluations=30)
    rows = read_csv(tmp_path / "policy.csv")
    assert len(rows) == 2 * len(space.decisions)
    for line in rows:
        options = space.decisions[int(line["decision"])]
        assert sum(float(line[name]) for name in options) == pytest.approx(1.0, abs=5e-4)
    assert max(float(line[name]) for line in rows for name in space.decisions[0]) > 0.6  # learnt


@pytest.mark.parametrize("make", [Reinforce, lambda: CATCH(candidates=6, updates=1)])
def test_any_cohort_gives_the_same_policies(tmp_path, make):
    """Trials end at different steps: what is learnt after that is not on record."""
    budget = {"simulated_s": 150.0, "trials": 5, "evaluator": Uneven()}
    played(tmp_path / "one", make(), **budget)
    played(tmp_path / "two", make(), cohort=2, **budget)
    steps = [row["evaluations"] for row in read_csv(tmp_path / "one" / "trials.csv")]
    assert len(set(steps)) > 1
    one, two = ((tmp_path / name / "policy.csv").read_bytes() for name in ("one", "two"))
    assert one == two


def test_methods_without_a_policy_leave_none(tmp_path):
    played(tmp_path, RandomSearch())
    assert not (tmp_path / "policy.csv").exists()


class Uneven(ToyEvaluator):
    """Costs that differ between architectures."""

    def opened(self, space, task):
        session = super().opened(space, task)
        evaluate = session.evaluate

        def uneven(archs, **how):
            measured = evaluate(archs, **how)
            return replace(measured, cost_s=8.0 + 7.0 * archs.sum(axis=1))

        session.evaluate = uneven
        return session
