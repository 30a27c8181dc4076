from collections import deque

import pytest
from composed import trace
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.rea import REA
from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.streams import Streams

SPACE = ToySpace((4, 3, 4, 2))


def scalar_rea(seed, population, sample, evaluations):
    """Algorithm 1 of Real et al. for one trial: the architectures in the order of their birth."""
    streams = Streams([seed])
    alive, born = deque(), []
    while len(born) < evaluations:
        if len(alive) < population:
            child = SPACE.sample(streams)[0]
        else:
            places = streams.integers(population, sample)[0]
            # A ring holds the members in another order than a queue does: by birth, modulo size.
            oldest = len(born) % population
            rivals = [alive[(place - oldest) % population] for place in places]
            parent = max(rivals, key=lambda member: member[1])[0]
            child = SPACE.mutate(parent[None], streams)[0]
            alive.popleft()
        alive.append((child, float(SPACE.index(child))))
        born.append(child.tolist())
    return born


@pytest.mark.parametrize(("population", "sample"), [(10, 3), (4, 8), (1, 1)])
def test_a_cohort_is_what_a_queue_gives(population, sample):
    algorithm = REA(population=population, sample=sample)
    experiment = toy_experiment(algorithm, space=SPACE, evaluator=ToyEvaluator())
    archs = trace(experiment, seeds=range(20, 26), budget=Budget(evaluations=60)).archs
    for trial, seed in enumerate(range(20, 26)):
        assert archs[:, trial].tolist() == scalar_rea(seed, population, sample, 60)


def test_children_differ_from_a_living_parent_in_one_decision():
    experiment = toy_experiment(REA(population=5), space=SPACE)
    archs = trace(experiment, seeds=range(3), budget=Budget(evaluations=40)).archs
    for step in range(5, 40):
        differing = (archs[step - 5 : step] != archs[step]).sum(axis=-1)
        assert (differing.min(axis=0) <= 1).all()


@pytest.mark.parametrize("fields", [{"population": 0}, {"sample": 0}])
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match="at least 1"):
        REA(**fields)


def test_startup_is_the_population():
    assert REA(population=7).startup_steps == 7
