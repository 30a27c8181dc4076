"""Every sample-based algorithm in every kind of space: what it asks for exists, or it refuses."""

import numpy as np
import pytest
from composed import ALGORITHMS, make
from toy_spaces import TASK, TOY_SPACES, Bits, ByText

from nasrun.budget import Budget
from nasrun.errors import UnsupportedError
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.play import play
from nasrun.record.history import History, texts
from nasrun.spec import Phase
from nasrun.streams import Streams

SEEDS = range(100, 104)
EVALUATIONS, LEARNERS = 40, 12  # of methods that learn with networks fewer, because they take long
SERVED_GENOMES = {"random", "rea", "hyperband"}  # some of those that only sample and mutate

every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
every_space = pytest.mark.parametrize("space", TOY_SPACES)


def searched(name, space, seeds=SEEDS, failing=0.2, algorithm=None):
    """What each trial measured, as texts and rewards, and what it found."""
    algorithm, seeds = algorithm or make(name), np.array(seeds)
    space = TOY_SPACES[space]()
    streams, history = Streams(seeds.tolist()), History(seeds)
    session = ByText(failing=failing).opened(space, TASK)
    problem = problem_of(space, TASK, session, NoHardware().opened(space, TASK), streams)
    budget = Budget(evaluations=LEARNERS if algorithm.learns_to_search else EVALUATIONS)
    try:
        outcome = play(algorithm, problem, budget, streams, Phase.SEARCH, history)
    except UnsupportedError as error:
        assert isinstance(space, Bits), error
        assert name not in SERVED_GENOMES, error
        assert "space=toy_bits has genomes" in str(error)
        pytest.skip("refuses genomes")
    assert space.exists(outcome.archs).all()
    found = texts(space, outcome.archs)
    archs, rewards = history._stack("archs"), history._stack("reward")
    measured = [texts(space, archs[:, trial]) for trial in range(len(seeds))]
    counted = history.counted
    return [
        (
            np.array(measured[i])[counted[:, i]].tolist(),
            rewards[counted[:, i], i].tobytes(),
            found[i],
        )
        for i in range(len(seeds))
    ]


@every_algorithm
@every_space
def test_what_is_measured_exists(name, space):
    """The evaluator refuses what does not; many different architectures are measured."""
    different = {text for measured, *_ in searched(name, space) for text in measured}
    assert len(different) > 10


@every_algorithm
@every_space
def test_a_trial_is_the_same_alone_in_a_cohort_and_after_another_search(name, space):
    used = make(name)
    together = searched(name, space, algorithm=used)
    assert together == searched(name, space, algorithm=used)
    assert together[1:3] == [searched(name, space, [seed])[0] for seed in SEEDS[1:3]]


@every_algorithm
@every_space
def test_a_search_in_which_every_measurement_fails_ends_in_the_space(name, space):
    assert all(found for *_, found in searched(name, space, failing=1.0))
