"""Recommendations that may only change on purpose: ``pytest tests/golden --update-golden``.

Methods that only compare rewards are held to whole searches. A model in floating point differs in
its last bits between kinds of processors, and once they have turned a choice, so does all the rest
of a search: such methods are held to their first steps. An algorithm without rows is not tested.
"""

import csv
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from composed import ALGORITHMS, make, nb201_experiment, trace

from nasrun.budget import Budget

FILE = Path(__file__).parent / "recommendations.csv"
COLUMNS = ("algorithm", "task", "seed", "evaluations", "arch", "reward", "library")
EVALUATIONS, FIRST_STEPS = 50, 5
TASKS = ("cifar10", "cifar100", "imagenet16_120")
SEEDS = range(3)
LIBRARIES = {"tpe": "optuna"}  # whose releases may change what an algorithm does


def library(name):
    return f"{LIBRARIES[name]}=={version(LIBRARIES[name])}" if name in LIBRARIES else ""


def recommendations(name, task, cache_dir):
    """Rows of an algorithm on a task, as texts."""
    experiment, algorithm = nb201_experiment(task, cache_dir), make(name)
    evaluations = FIRST_STEPS if algorithm.learns_in_floats else EVALUATIONS
    outcome = trace(
        experiment, algorithm=algorithm, seeds=SEEDS, budget=Budget(evaluations=evaluations)
    ).outcome
    head, tail = [name, task], [library(name)]
    return [
        [*head, f"{seed}", f"{evaluations}", experiment.space.text(arch), f"{reward:.4f}", *tail]
        for seed, arch, reward in zip(SEEDS, outcome.archs, outcome.reward, strict=True)
    ]


def rows():
    with FILE.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == COLUMNS
    return rows


def update(cache_dir):
    assert not os.environ.get("PYTEST_XDIST_WORKER"), "two processes would write: leave out -n"
    made = [
        row
        for name in ALGORITHMS
        for task in TASKS
        for row in recommendations(name, task, cache_dir)
    ]
    with FILE.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *made])


@pytest.fixture(scope="module")
def golden(request, cache_dir):
    if request.config.getoption("--update-golden"):
        update(cache_dir)
    return rows()


@pytest.mark.parametrize(("name", "task"), sorted({(row[0], row[1]) for row in rows()}))
def test_recommendations_are_the_golden_ones(name, task, golden, cache_dir):
    kept = [row for row in golden if row[:2] == [name, task]]
    if kept[0][-1] != library(name):
        pytest.skip(f"the golden rows were made with {kept[0][-1]}")
    assert recommendations(name, task, cache_dir) == kept


def test_there_are_no_golden_rows_of_unknown_algorithms(golden):
    assert {row[0] for row in golden} <= set(ALGORITHMS)


@pytest.mark.parametrize("task", TASKS)
def test_golden_architectures_are_worth_their_reward(task, golden, cache_dir):
    experiment = nb201_experiment(task, cache_dir)
    session = experiment.evaluator.opened(experiment.space, experiment.task)
    kept = [row for row in golden if row[1] == task]
    archs = np.array([experiment.space.parse(row[4]) for row in kept])
    reward = np.array([float(row[5]) for row in kept])
    score = session.score(archs, experiment.task)
    np.testing.assert_allclose(score.val_score, reward, atol=1e-4)
