"""Searches are the same in every process, whatever Python's hashes of strings are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from composed import ALGORITHMS, make, trace
from toys import ToyEvaluator, toy_experiment

from nasrun.budget import Budget

TESTS = Path(__file__).parents[1]
# Python draws a hash seed for each process unless one is set, as it may be for this one.
ANOTHER_HASH = {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"}
SEARCHES = """
import json
from test_determinism import ALGORITHMS, search
print(json.dumps({name: search(name) for name in ALGORITHMS}))
"""


def search(name):
    """What an algorithm does, as lists."""
    experiment = toy_experiment(make(name), evaluator=ToyEvaluator(noise=3.0), trials=2)
    played = trace(experiment, budget=Budget(evaluations=30))
    return [played.archs.tolist(), played.reward.tolist()]


@pytest.fixture(scope="module")
def elsewhere():
    """What every algorithm does in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS / 'contract'}", **ANOTHER_HASH}
    answer = subprocess.run(
        [sys.executable, "-c", SEARCHES], env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_search_is_the_same_in_every_process(name, elsewhere):
    assert search(name) == elsewhere[name]
