"""What methods promise whose steps are generations. Their YAML enrols them, in a space below."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from composed import CONF, GENERATIONAL, composed, make, trace
from toys import toy_experiment

from nasrun.budget import Budget
from nasrun.config import check
from nasrun.errors import UnsupportedError
from nasrun.pipeline import run
from nasrun.record.history import texts
from nasrun.record.recorder import Recorder
from nasrun.report.jobs import by_evaluations, find_jobs, read_histories
from nasrun.results import Results
from nasrun.spec import Measured

pytestmark = pytest.mark.parametrize("name", GENERATIONAL)
SEEDS = range(100, 103)
# The space and the task of each, and settings that keep it small.
WHERE = {
    "neat": ("space=genome", "task=xor", "algorithm.population=12"),
    "automl_zero": (
        "space=program", "task=vectors", "algorithm.population=12", "algorithm.children=12",
        "task.train_images=12", "task.valid_images=12", "task.sets=2",
    ),
}  # fmt: skip
LIMIT = 36


def experiment(name):
    return check(composed(f"algorithm={name}", *WHERE[name]), [CONF / "task"])


def played(name, seeds=SEEDS, made=None, **limits):
    """What each trial measured and found, as texts, because numbers depend on who came first."""
    made = made or experiment(name)
    found = trace(made, seeds=seeds, budget=Budget(**(limits or {"evaluations": LIMIT})))
    each = []
    for at in range(len(seeds)):
        rows = found.counted[:, at]
        archs = texts(made.space, found.archs[rows, at])
        best = texts(made.space, found.outcome.archs[at : at + 1])
        rest = found.reward[rows, at].tolist(), int(found.outcome.evaluations[at])
        each.append((archs, best, *rest))
    return each


def test_the_same_seed_gives_the_same_search_and_another_another(name):
    first = played(name)
    assert first == played(name)
    assert len({str(archs) for archs, *_ in first}) == len(SEEDS)


def test_a_trial_is_the_same_alone_in_a_cohort_and_after_another_search(name):
    together, used = played(name), experiment(name)
    played(name, range(7, 9), made=used)
    assert together == played(name, made=used)
    assert together == [played(name, range(seed, seed + 1))[0] for seed in SEEDS]


def test_a_budget_is_overspent_by_less_than_a_generation(name):
    size = experiment(name).algorithm.evaluations_a_step
    for limit in (1, size, size + 1):
        spent = [evaluations for *_, evaluations in played(name, evaluations=limit)]
        assert all(limit <= one < limit + size for one in spent)


def test_curves_are_against_evaluations_of_which_a_generation_is_many(name, tmp_path):
    made = replace(experiment(name), seeds=SEEDS, budget=Budget(evaluations=LIMIT))
    with Recorder(tmp_path, "one") as recorder:
        run(made.opened(), recorder, dict)
    size = made.algorithm.evaluations_a_step
    ends = Results.of(tmp_path).trials["evaluations"]  # a solved trial ends sooner
    curve = by_evaluations(read_histories(find_jobs(tmp_path)))
    assert curve.x.tolist() == list(range(size, int(ends.median()) + 1, size))
    measured = Results.of(tmp_path).evaluations
    assert measured["evaluations"].tolist() == (size * (measured["step"] + 1)).tolist()


def test_what_is_recommended_is_the_best_that_was_measured(name):
    for archs, [best], rewards, _ in played(name):
        assert rewards[archs.index(best)] == max(rewards)


def test_failures_are_survived_and_never_recommended(name):
    """Every other measurement has no score; then all have none."""
    made = experiment(name)
    evaluator = made.evaluator
    for failing in (2, 1):

        class Failing(type(evaluator)):
            def opened(self, space, task, every=failing):
                session = evaluator.opened(space, task)
                whole = session.evaluate_generation

                def part(archs, *, epochs, streams):
                    found: Measured = whole(archs, epochs=epochs, streams=streams)
                    score = found.score.copy()
                    score[:, ::every] = np.nan
                    return replace(found, score=score)

                session.evaluate_generation = part
                return session

        found = played(name, made=replace(made, evaluator=Failing()))
        rewards = np.array([reward for _, _, rewards, _ in found for reward in rewards])
        assert np.isnan(rewards).all() if failing == 1 else not np.isnan(rewards).any()


def test_other_spaces_are_refused_in_a_sentence(name):
    with pytest.raises(UnsupportedError, match=r"space=toy has no .*: use space="):
        trace(toy_experiment(make(name)), seeds=SEEDS)


def test_a_long_search_does_not_keep_all_that_it_met(name):
    made = experiment(name)
    played(name, made=made, evaluations=20 * made.algorithm.evaluations_a_step)
    kept = sum(text is not None for text in made.space._texts)
    assert kept < 0.6 * len(made.space._texts)


@pytest.mark.slow  # starts processes
def test_a_search_is_the_same_in_every_process(name):
    code = "import json, sys; from test_generational_contract import played;"
    code += "print(json.dumps(played(sys.argv[1])))"
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent)])
    answer = subprocess.run(
        [sys.executable, "-c", code, name],
        capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "5"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == json.loads(json.dumps(played(name)))
