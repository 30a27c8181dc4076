from collections import deque

import numpy as np
import pytest
from composed import trace
from omegaconf import OmegaConf
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.algorithms.rea import REA
from nasrun.budget import Budget
from nasrun.config import build
from nasrun.errors import ConfigError
from nasrun.files import CONF
from nasrun.spec import Measured, SearchSpace
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


class NoisyBits(ToyEvaluator):
    """Share of ones, measured with a normal error of 0.01."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        noisy = archs.mean(axis=1) + 0.01 * streams.normal()[:, 0]
        return Measured.scored(archs, epochs, noisy, epochs.astype(float))


@pytest.mark.parametrize(
    ("algorithm", "share"), [(REA(population=100, sample=10), 0.891), (RandomSearch(), 0.656)]
)
def test_the_toy_of_the_authors_notebook(algorithm, share):
    """100 bits, 1,000 evaluations: measured of the authors' own code over 50 seeds."""
    experiment = toy_experiment(algorithm, space=ToySpace((2,) * 100), evaluator=NoisyBits())
    outcome = trace(experiment, seeds=range(50), budget=Budget(evaluations=1000)).outcome
    assert outcome.archs.mean() == pytest.approx(share, abs=0.008)  # two standard errors of 0.02


@pytest.mark.parametrize("identity", [0.0, 0.3, 1.0])
def test_children_are_their_parents_as_often_as_asked(identity):
    algorithm = REA(population=1, sample=1, identity=identity)
    experiment = toy_experiment(algorithm, space=SPACE)
    archs = trace(experiment, seeds=range(20), budget=Budget(evaluations=51)).archs
    same = (archs[1:] == archs[:-1]).all(axis=-1).mean()  # of 1,000 children
    assert abs(same - identity) <= 0.03


def test_amoebanets_mutations_change_a_state_or_an_operation_of_either_cell():
    """Each of the 40 decisions as often as the others: Real et al., section 3."""
    space = build(OmegaConf.load(CONF / "space" / "amoebanet.yaml"), SearchSpace, "space")
    parents = space.sample(Streams(range(4000)))
    changed = (space.mutate(parents, Streams(range(4000), "children")) != parents).mean(axis=0)
    np.testing.assert_allclose(changed, 1 / 40, atol=0.0125)  # five standard deviations
