"""One-shot searches are the same in every process, whatever Python's hashes of strings are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_one_shot_contract import searched

HERE = Path(__file__).parent
NAMES = ["gdas", "enas", "unas"]
SEARCHES = f"""
import json
from test_one_shot_contract import searched
for name in {NAMES}:
    found = searched(name, evaluations=2)
    print(json.dumps([name, found.archs, found.accuracies]))
"""


@pytest.mark.slow
def test_a_search_is_the_same_in_another_process():
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (HERE, HERE.parent)))
    command = [sys.executable, "-c", SEARCHES]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for name, *found in map(json.loads, answer.stdout.splitlines()):
        here = searched(name, evaluations=2)
        assert found == [here.archs, here.accuracies]
