"""Two processes in one sweep's folder, whatever each of them was asked to split."""

import os
import subprocess
import sys

import filelock
import pytest

from nasrun.record.request import Found, Request, wording
from nasrun.sweepers.claims import CLAIMS, claimed, planning, requests, with_claims
from nasrun.sweepers.plan import Wanted, make_plan
from nasrun.sweepers.queued import note

CONF = "0123456789ab"
JOBS = [
    Wanted(("algorithm=rea", "trials=60"), range(60), "rea"),
    Wanted(("algorithm=tpe", "trials=60"), range(60), "tpe"),
]


def plan(folder, split):
    """A plan as the sweeper makes it, and what is claimed by it."""
    found = with_claims(folder, [])
    made = make_plan(JOBS, found, split, CONF)
    return made, list(requests(made.launch, JOBS, CONF))


def trials(jobs):
    """Each job's words by trial, as the folder's name is made of them."""
    owners = {}
    for job in jobs:
        values = dict(text.split("=") for text in job)
        first = int(values.get("seed", 0))
        for seed in range(first, first + int(values["trials"])):
            owners.setdefault((values["algorithm"], seed), set()).add(wording(job))
    return owners


@pytest.mark.parametrize("splits", [(1, 2), (2, 1), (2, 3), (1, 4), (3, 5)])
def test_writers_with_different_plans_play_every_trial_once(tmp_path, splits):
    first, asked = plan(tmp_path, splits[0])
    with claimed(tmp_path, asked):
        second, _ = plan(tmp_path, splits[1])
    owners = trials([*first.launch, *second.launch])
    assert len(owners) == 120
    assert {len(jobs) for jobs in owners.values()} == {1}, "a trial in two folders"


def test_a_third_writer_with_one_more_job_knows_of_both(tmp_path):
    _, asked = plan(tmp_path, 2)
    with claimed(tmp_path, asked[:1]):
        second, more = plan(tmp_path, 3)
        with claimed(tmp_path, more):
            third, _ = plan(tmp_path, 4)
    assert {len(jobs) for jobs in trials([*second.launch, *third.launch]).values()} == {1}
    assert asked[0].wording in map(wording, third.launch)


def test_a_claim_ends_with_its_process(tmp_path):
    _, asked = plan(tmp_path, 2)
    child = os.fork()
    if child == 0:
        claim = claimed(tmp_path, asked)
        claim.__enter__()
        os._exit(0 if list((tmp_path / CLAIMS).glob("*.json")) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list((tmp_path / CLAIMS).iterdir())
    assert with_claims(tmp_path, []) == []
    assert not (tmp_path / CLAIMS).exists()


def test_what_a_killed_process_left_empty_goes(tmp_path):
    """Between the end of its claim and that of the folder, or before its first claim."""
    (tmp_path / CLAIMS).mkdir()
    assert with_claims(tmp_path, []) == []
    assert not (tmp_path / CLAIMS).exists()


def test_a_claim_outlives_its_process_while_its_jobs_are_queued(tmp_path):
    """Else another command would play the trials of a job that has yet to begin."""
    _, asked = plan(tmp_path, 2)
    job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child = os.fork()
    if child == 0:
        claim = claimed(tmp_path, asked)
        note(claim.__enter__(), "local", [str(job.pid)])
        os._exit(0)
    os.waitpid(child, 0)
    for _ in range(2):  # whoever looks leaves it there
        second, _ = plan(tmp_path, 3)
        assert {len(jobs) for jobs in trials([*second.launch]).values()} == {1}
        assert {request.wording for request in asked} == set(map(wording, second.launch))
    job.communicate(b"\n")
    assert with_claims(tmp_path, []) == []
    assert not (tmp_path / CLAIMS).exists()


def test_a_claim_goes_when_its_jobs_are_played_or_the_launcher_fails(tmp_path):
    def play():
        with claimed(tmp_path, plan(tmp_path, 2)[1]):
            assert len(with_claims(tmp_path, [])) == 4
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        play()
    assert not (tmp_path / CLAIMS).exists()


def test_a_finished_job_stays_finished_and_one_in_the_way_is_not_cleared(tmp_path):
    _, asked = plan(tmp_path, 2)
    done = Found(tmp_path / "a", asked[0], complete=True, begun=False)
    failed = Found(tmp_path / "b", asked[1], complete=False, begun=False)
    with claimed(tmp_path, asked):
        found = {job.request: job for job in with_claims(tmp_path, [done, failed])}
    assert found[asked[0]] == done
    assert found[asked[1]].begun
    assert make_plan(JOBS, found.values(), 3, CONF).stale == []
    assert make_plan(JOBS, [done, failed], 3, CONF).stale == [tmp_path / "b"]


def test_what_a_job_will_be_asked_for_is_known_beforehand():
    launch = [("algorithm=rea", "seed=5", "trials=2"), JOBS[1].overrides, ("algorithm=bohb",)]
    rea, tpe = requests(launch, JOBS, CONF)
    assert rea == Request(launch[0], CONF, "rea", "", 5, 2)
    assert (tpe.seeds, tpe.composed) == (range(60), "tpe")
    assert not list(requests([("trials=0",)], [Wanted(("trials=0",), None)], CONF))


def test_a_plan_is_made_by_one_process_at_a_time(tmp_path):
    with planning(tmp_path / "new"), pytest.raises(filelock.Timeout):
        planning(tmp_path / "new").acquire(timeout=0)
