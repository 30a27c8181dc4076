import math

import pytest
from composed import trace
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.tournament import Tournament
from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.streams import Streams

SPACE = ToySpace((4, 3, 4, 2))


def scalar(seed, initial, share, evaluations):
    """Members of one trial in the order of their birth; every one of them may be a rival."""
    streams, members = Streams([seed]), []
    while len(members) < evaluations:
        if len(members) < initial:
            members.append(SPACE.sample(streams)[0])
            continue
        rivals = streams.subsets(len(members), math.ceil(share * len(members)))[0]
        parent = max((members[at] for at in rivals), key=SPACE.index)
        members.append(SPACE.mutate(parent[None], streams)[0])
    return [member.tolist() for member in members]


@pytest.mark.parametrize(("initial", "share"), [(10, 0.05), (3, 0.5), (1, 1.0)])
def test_a_cohort_is_what_a_list_gives(initial, share):
    algorithm = Tournament(initial=initial, share=share)
    experiment = toy_experiment(algorithm, space=SPACE, evaluator=ToyEvaluator())
    archs = trace(experiment, seeds=range(20, 24), budget=Budget(evaluations=70)).archs
    for trial, seed in enumerate(range(20, 24)):
        assert archs[:, trial].tolist() == scalar(seed, initial, share, 70)


def test_a_failed_member_wins_against_nobody():
    evaluator = ToyEvaluator(fails_below=95)  # the last of 96 architectures alone has a reward
    experiment = toy_experiment(Tournament(initial=96, share=1.0), space=SPACE, evaluator=evaluator)
    played = trace(experiment, seeds=range(40), budget=Budget(evaluations=97))
    found = (played.reward[:96] == 95).any(axis=0)
    assert found.any()
    near = (played.archs[96] != SPACE.at(95)).sum(axis=1) == 1
    assert near[found].all()


@pytest.mark.parametrize("fields", [{"initial": 0}, {"share": 0.0}, {"share": 1.1}], ids=str)
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match=r"algorithm\."):
        Tournament(**fields)


def test_the_first_members_are_the_startup():
    assert Tournament(initial=7).startup_steps == 7
