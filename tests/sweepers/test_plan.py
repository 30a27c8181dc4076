from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError
from nasrun.record.request import Found, Request
from nasrun.sweepers.plan import Wanted, even, make_plan

CONF = "0123456789ab"


def wanted(*overrides, seed=0, trials=10):
    return Wanted(overrides, range(seed, seed + trials))


def found(path, *overrides, seed, trials, complete=True, begun=False, conf=CONF):
    return Found(path, Request(overrides, conf, "of it", "data", seed, trials), complete, begun)


def seeds_of(jobs):
    pairs = [dict(text.split("=") for text in job) for job in jobs]
    return [
        s for job in pairs for s in range(int(job["seed"]), int(job["seed"]) + int(job["trials"]))
    ]


def test_without_a_split_the_words_of_the_command_are_the_job():
    plan = make_plan([wanted("algorithm=rea", "trials=10")], [], 1, CONF)
    assert plan.jobs == plan.launch == [("algorithm=rea", "trials=10")]


def test_a_split_says_the_trials_of_every_part():
    plan = make_plan([wanted("algorithm=rea", "trials=10", "seed=3", seed=3)], [], 3, CONF)
    assert plan.launch == [
        ("algorithm=rea", "seed=3", "trials=3"),
        ("algorithm=rea", "seed=6", "trials=3"),
        ("algorithm=rea", "seed=9", "trials=4"),
    ]


def test_there_are_never_more_parts_than_trials():
    assert len(make_plan([wanted(trials=3)], [], 8, CONF).launch) == 3


def test_what_is_no_range_of_trials_is_left_to_the_job_to_refuse():
    plan = make_plan([Wanted(("trials=0",), None)], [], 4, CONF)
    assert plan.launch == [("trials=0",)]


def test_a_job_that_is_done_is_not_launched(tmp_path):
    done = found(tmp_path, "algorithm=rea", "debug=true", seed=0, trials=10)
    plan = make_plan([wanted("algorithm=rea"), wanted("algorithm=random")], [done], 1, CONF)
    assert plan.launch == [("algorithm=random",)]
    assert len(plan.jobs) == 2


@pytest.mark.parametrize("conf", [None, "of other YAML"])
def test_a_job_of_other_config_files_is_launched_and_looks_itself(tmp_path, conf):
    done = found(tmp_path, "algorithm=rea", seed=0, trials=10)
    assert make_plan([wanted("algorithm=rea")], [done], 1, conf).launch == [("algorithm=rea",)]


def test_other_config_files_that_come_to_the_same_change_nothing(tmp_path):
    done = found(tmp_path, "algorithm=rea", seed=0, trials=10)
    job = Wanted(("algorithm=rea",), range(10), "of it")
    assert not make_plan([job], [done], 1, "other YAML").launch
    assert len(make_plan([job], [done], 2, "other YAML").jobs) == 1


def test_trials_that_were_split_otherwise_are_kept(tmp_path):
    part = ("x=1", "trials=4")
    there = [
        found(tmp_path / "a", *part, "seed=0", seed=0, trials=4),
        found(tmp_path / "b", *part, "seed=4", seed=4, trials=4, complete=False, begun=True),
        found(tmp_path / "c", *part, "seed=8", seed=8, trials=4, complete=False),
    ]
    plan = make_plan([wanted("x=1", trials=12)], there, 2, CONF)
    assert plan.launch == [
        ("x=1", "seed=4", "trials=4"),  # goes on as it was begun
        ("x=1", "seed=8", "trials=2"),  # what nobody began is split anew
        ("x=1", "seed=10", "trials=2"),
    ]
    assert plan.stale == [tmp_path / "c"]
    assert seeds_of(plan.jobs) == [*range(12)]


def test_more_trials_than_before_are_only_those_that_are_missing(tmp_path):
    done = found(tmp_path, "trials=10", seed=0, trials=10)
    plan = make_plan([wanted("trials=15", trials=15)], [done], 1, CONF)
    assert plan.launch == [("seed=10", "trials=5")]


def test_another_split_with_other_config_files_is_refused(tmp_path):
    done = found(tmp_path, "seed=0", "trials=5", seed=0, trials=5, conf="of other YAML")
    with pytest.raises(ConfigError, match="from before its config files were changed"):
        make_plan([wanted()], [done], 1, CONF)


def test_jobs_that_share_a_trial_are_refused():
    jobs = [wanted("seed=0", trials=2), wanted("seed=1", seed=1, trials=2)]
    with pytest.raises(ConfigError, match="would play seed 1 of the same search"):
        make_plan(jobs, [], 1, CONF)
    make_plan([wanted("x=1"), wanted("x=2")], [], 1, CONF)


@given(st.integers(0, 100), st.integers(1, 60), st.integers(1, 20))
def test_parts_are_even_and_hold_every_trial_once(seed, trials, parts):
    pieces = even([range(seed, seed + trials)], parts)
    assert [s for piece in pieces for s in piece] == [*range(seed, seed + trials)]
    assert len(pieces) == min(parts, trials)
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


CUTS = st.lists(st.integers(1, 39), unique=True).map(sorted)
STATES = st.sampled_from(["complete", "begun", "failed", "absent"])


@given(CUTS, st.data(), st.integers(1, 9))
def test_whatever_was_done_by_any_split_every_trial_is_played_once(cuts, data, split):
    edges = [0, *cuts, 40]
    there = []
    for low, high in pairwise(edges):
        state = data.draw(STATES)
        if state != "absent":
            words = ("x=1", f"seed={low}", f"trials={high - low}")
            job = found("f", *words, seed=low, trials=high - low, complete=state == "complete",
                        begun=state == "begun")  # fmt: skip
            there.append(job)
    plan = make_plan([wanted("x=1", "seed=0", "trials=40", trials=40)], there, split, CONF)
    assert sorted(seeds_of(plan.jobs)) == [*range(40)]
    done = {s for job in there if job.complete for s in job.request.seeds}
    assert sorted(seeds_of(plan.launch)) == sorted(set(range(40)) - done)
    again = [found("f", *job, seed=int(job[-2][5:]), trials=int(job[-1][7:])) for job in plan.jobs]
    assert not make_plan([wanted("x=1", trials=40)], again, split + 1, CONF).launch
