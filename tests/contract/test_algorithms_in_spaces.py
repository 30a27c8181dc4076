"""Every sample-based algorithm in every kind of space: what it asks for exists, or it refuses."""

from functools import cache

import numpy as np
import pytest
from composed import ALGORITHMS, make
from toy_spaces import TASK, TOY_SPACES, ByText

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
SAMPLES_AND_MUTATES = ("random", "rea", "hyperband")  # which is enough for genomes


every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
every_pair = pytest.mark.parametrize(
    ("name", "space"), [(name, space) for name in ALGORITHMS for space in TOY_SPACES]
)


def searched(name, space, seeds=SEEDS, failing=0.2, algorithm=None):
    """What each trial measured, as texts and rewards, and what it found."""
    algorithm, seeds = algorithm or make(name), np.array(seeds)
    if not algorithm.cohort and len(seeds) > 1:
        alone = [searched(name, space, [seed], failing, algorithm) for seed in seeds]
        return [trial for [trial] in alone]
    space = TOY_SPACES[space]()
    streams, history = Streams(seeds.tolist()), History(seeds)
    session = ByText(failing=failing).opened(space, TASK)
    problem = problem_of(space, TASK, session, NoHardware().opened(space, TASK), streams)
    learns = algorithm.learns_to_search or hasattr(algorithm, "predictor")
    budget = Budget(evaluations=LEARNERS if learns else EVALUATIONS)
    outcome = play(algorithm, problem, budget, streams, Phase.SEARCH, history)
    assert space.exists(outcome.archs).all()
    rows = history.columns(space, session.metric, session.protocol)
    lines = list(zip(rows["seed"], rows["arch"], rows["reward"], strict=True))
    measured = [[(text, reward) for own, text, reward in lines if own == seed] for seed in seeds]
    return list(zip(measured, texts(space, outcome.archs), strict=True))


@cache
def plain(name, space):
    """One search that several tests look at."""
    return searched(name, space)


@cache
def refusal(name, space):
    """The sentence in which an algorithm refuses a space of genomes; None: it does not."""
    try:
        searched(name, space, seeds=[0])
    except UnsupportedError as error:
        return str(error) if space == "bits" else None
    return None


@pytest.fixture
def served(name, space):
    if refusal(name, space):
        pytest.skip("refuses genomes")
    return space


@every_algorithm
def test_genomes_are_searched_or_refused_in_a_sentence(name):
    sentence = refusal(name, "bits")
    if name in SAMPLES_AND_MUTATES:
        assert sentence is None
    elif sentence is not None:
        assert sentence.startswith("space=toy_bits has genomes of any length")


@every_pair
def test_what_is_measured_exists(name, served):
    """The evaluator refuses what does not; many different architectures are measured."""
    different = {text for measured, _ in plain(name, served) for text, _ in measured}
    assert len(different) > 10


@every_pair
def test_a_trial_is_the_same_alone_in_a_cohort_and_after_another_search(name, served):
    used, together = make(name), plain(name, served)
    assert together[2:3] == searched(name, served, SEEDS[2:3], algorithm=used)
    assert together == searched(name, served, algorithm=used)
    assert together[1:2] == searched(name, served, SEEDS[1:2])


@every_pair
def test_a_search_in_which_every_measurement_fails_ends_in_the_space(name, served):
    assert all(found for _, found in searched(name, served, failing=1.0))
