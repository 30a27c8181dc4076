"""The shared study alone: figures come from a formula, so only the sharing is tested."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nasrun.errors import ConfigError, DataError
from nasrun.sweepers.choosing import Sampling
from nasrun.sweepers.study import JOURNAL, SharedStudy

DIMENSIONS = {
    "x": FloatDistribution(0.0, 1.0),
    "k": IntDistribution(1, 50, log=True),
    "how": CategoricalDistribution(("a", "b")),
}
FIRST = {"x": 0.5, "k": 10, "how": "a"}


def worth(values):
    return -((values["x"] - 0.3) ** 2) - 0.01 * values["k"] - 0.1 * (values["how"] == "a")


def study(folder, declared="this", first=FIRST, seed=0):
    return SharedStudy(folder, DIMENSIONS, Sampling(5, seed), declared, first)


def played(shared, limit, count=1):
    while asked := shared.ask(count, limit):
        for each in asked:
            shared.tell(each.number, worth(each.params))
    return shared.configurations()


def told(trials):
    """All of them but the hours."""
    return [(each.number, each.params, each.state, each.value) for each in trials]


def test_a_study_is_the_same_again_and_the_first_configuration_is_the_given_one(tmp_path):
    one, two = (played(study(tmp_path / name), 20) for name in "ab")
    assert told(one) == told(two)
    assert one[0].params == FIRST
    assert [each.number for each in one] == list(range(20))
    assert all(each.value == worth(each.params) for each in one)
    other = played(study(tmp_path / "c", seed=1), 20)
    assert [each.params for each in other[1:]] != [each.params for each in one[1:]]


def test_tpe_does_better_than_its_random_start(tmp_path):
    """Mean worth of the last ten against that of the first ten of 40, over five seeds: all five."""
    gains = []
    for seed in range(5):
        found = [
            each.value for each in played(study(tmp_path / str(seed), first=None, seed=seed), 40)
        ]
        gains.append(sum(found[-10:]) / 10 - sum(found[:10]) / 10)
    assert min(gains) > 0, gains


def test_an_interrupted_study_equals_an_unbroken_one(tmp_path):
    unbroken = played(study(tmp_path / "unbroken"), 12)
    for _ in range(12):
        asked = study(tmp_path / "broken").ask(1, 12)  # ... and the process is gone
        shared = study(tmp_path / "broken")
        again = shared.ask(1, 12)
        assert again == asked
        shared.tell(again[0].number, worth(again[0].params))
    assert told(study(tmp_path / "broken").configurations()) == told(unbroken)


def test_a_raised_limit_goes_on_where_the_study_ended(tmp_path):
    played(study(tmp_path / "a"), 6)
    assert told(played(study(tmp_path / "a"), 12)) == told(played(study(tmp_path / "b"), 12))


def test_nobody_gets_what_a_living_process_has(tmp_path):
    one, two = study(tmp_path), study(tmp_path)
    mine, theirs = one.ask(2, 3), two.ask(2, 3)
    assert [each.number for each in mine] == [0, 1]
    assert [each.number for each in theirs] == [2]
    assert one.ask(2, 3) == mine  # still its own
    one.leave(1)
    assert [each.number for each in two.ask(2, 3)] == [1, 2]
    assert two.open()


def test_a_failed_configuration_counts_and_is_worth_nothing(tmp_path):
    shared = study(tmp_path)
    shared.ask(1, 2)
    shared.tell(0, None)
    found = played(shared, 2)
    assert [each.state for each in found] == [TrialState.FAIL, TrialState.COMPLETE]
    assert found[0].value is None
    assert not shared.open()


def test_a_folder_with_another_tuning_is_refused(tmp_path):
    study(tmp_path, "this")
    with pytest.raises(ConfigError, match="holds another tuning"):
        study(tmp_path, "that")


def test_a_torn_line_of_a_killed_writer_is_dropped(tmp_path):
    shared = study(tmp_path)
    played(shared, 3)
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('{"op_code": 6, "worker')
    assert len(played(shared, 5)) == 5  # by one that had the study open
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('{"op_code": 6, "worker')
    assert len(played(study(tmp_path), 7)) == 7  # and by a new one
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert all(json.loads(line) for line in lines)


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / JOURNAL).write_text("nonsense\n\n")
    with pytest.raises(DataError, match="no journal of a tuning"):
        study(tmp_path)


WORKER = """
import random, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_study import study, worth
shared = study(Path(sys.argv[1]))
while True:
    for each in shared.ask(1, 40):
        with open(sys.argv[1] + "/begun", "a") as log:
            print(each.number, file=log)
        time.sleep(random.uniform(0.01, 0.05))
        shared.tell(each.number, worth(each.params))
        break
    else:
        if not shared.open():
            break
        time.sleep(0.05)
"""


def test_several_processes_lose_and_double_nothing_though_some_are_killed(tmp_path):
    (tmp_path / "study").mkdir()
    command = [
        sys.executable,
        "-c",
        WORKER,
        str(tmp_path / "study"),
        str(__file__).rpartition("/")[0],
    ]
    workers = [subprocess.Popen(command) for _ in range(3)]
    dice, kills = random.Random(0), 0
    begun = tmp_path / "study" / "begun"
    while not begun.exists():
        time.sleep(0.02)
    for _ in range(4):
        time.sleep(dice.uniform(0.05, 0.2))
        victim = workers.pop(0)
        kills += victim.poll() is None
        victim.kill()
        victim.wait()
        workers.append(subprocess.Popen(command))
    for worker in workers:
        assert worker.wait(timeout=120) == 0
    found = study(tmp_path / "study").configurations()
    assert [each.number for each in found] == list(range(40))
    assert all(each.value == worth(each.params) for each in found)
    starts = Counter(map(int, begun.read_text().split()))
    assert set(starts) == set(range(40))
    assert sum(starts.values()) <= 40 + kills, (starts, kills)
