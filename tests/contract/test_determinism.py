"""Searches are the same in every process, whatever Python's hashes of strings are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from composed import ALGORITHMS

TESTS = Path(__file__).parents[1]
SEARCHES = """
import json
from composed import ALGORITHMS, make, trace
from toys import ToyEvaluator, toy_experiment
from nasrun.budget import Budget
for name in ALGORITHMS:
    experiment = toy_experiment(make(name), evaluator=ToyEvaluator(noise=3.0), trials=2)
    played = trace(experiment, budget=Budget(evaluations=30))
    print(json.dumps([name, played.archs.tolist(), played.reward.tolist()]))
"""


def searches(hash_seed):
    """What every algorithm does in an interpreter of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}
    environment["PYTHONPATH"] = str(TESTS)
    if hash_seed is not None:
        environment["PYTHONHASHSEED"] = hash_seed
    answer = subprocess.run(
        [sys.executable, "-c", SEARCHES], env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    return {name: rest for name, *rest in map(json.loads, answer.stdout.splitlines())}


@pytest.fixture(scope="module")
def by_process():
    return [searches(hash_seed) for hash_seed in ("0", None)]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_search_is_the_same_in_every_process(name, by_process):
    first, *others = [results[name] for results in by_process]
    assert all(other == first for other in others)
