import json
import os

import pytest

from nasrun import jobs as jobs_module
from nasrun.jobs import ENDED, VARIABLE, numbered, this_job


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(jobs_module.time, "time", lambda: now[0])
    return now


JOBS = [
    ("algorithm=rea", "task=cifar10", f"algorithm.population={size}", "seed=0", "trials=5")
    for size in (10, 20)
]


def test_a_job_knows_its_number_what_sets_it_apart_and_who_plays_it(tmp_path):
    with numbered(tmp_path, total=7, before=5, jobs=JOBS):
        job = this_job(tmp_path, 1, JOBS[1])
    assert (job.text, job.settings("rea"), job.alone) == ("job 7 of 7", "[population=20]", True)
    assert job.settings("rea[population=20]") == ""


def test_what_all_jobs_share_or_say_anyway_is_not_repeated(tmp_path):
    split = [("algorithm=rea", f"seed={seed}", "trials=5", "budget.wall_s=9") for seed in (0, 5)]
    with numbered(tmp_path, 2, 0, split):
        assert this_job(tmp_path, 0, split[0]).settings("rea") == ""


def test_a_launcher_that_hides_the_variable_leaves_a_job_without_a_number(tmp_path):
    job = this_job(tmp_path, 3, JOBS[0])
    assert (job.text, job.settings("rea"), job.alone, job.ended()) == ("job", "", False, None)
    assert not list(tmp_path.iterdir())


def test_a_job_of_another_process_is_not_alone(tmp_path, monkeypatch):
    with numbered(tmp_path, 2, 0):
        monkeypatch.setenv(VARIABLE, json.dumps({**json.loads(os.environ[VARIABLE]), "pid": 1}))
        assert not this_job(tmp_path, 0, ()).alone


def test_the_time_left_counts_jobs_that_have_ended_whoever_played_them(tmp_path, clock):
    with numbered(tmp_path, total=10, before=2):
        clock[0] += 10.0
        assert this_job(tmp_path, 5, ()).ended() == pytest.approx(70.0)  # 7 are left
        assert this_job(tmp_path, 0, ()).ended() == pytest.approx(30.0)  # 6, at 5 s each
        with (tmp_path / ENDED).open("a") as others:
            others.write("4711 3.0\n")  # of another process's sweep
        assert this_job(tmp_path, 1, ()).ended() == pytest.approx(10.0 / 3 * 5)
    assert not list(tmp_path.iterdir())
    assert VARIABLE not in os.environ


def test_the_last_job_leaves_nothing_to_wait_for(tmp_path, clock):
    with numbered(tmp_path, 1, 0):
        clock[0] += 5.0
        assert this_job(tmp_path, 0, ()).ended() == 0.0


def test_a_reason_that_was_said_is_not_said_again(tmp_path):
    with numbered(tmp_path, 4, 0, said=["no file"]):
        job = this_job(tmp_path, 2, ())
        assert job.excuse("no file") == "job 3 of 4 cannot be played, as said above"
        assert job.excuse("no space") == "job 3 of 4: no space"
