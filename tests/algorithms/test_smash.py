from types import SimpleNamespace

import numpy as np
import pytest
from composed import CONF, composed
from toys import ToyEvaluator

from nasrun.algorithms.smash import SMASH
from nasrun.config import check
from nasrun.errors import ConfigError
from nasrun.pipeline import search

SMALL = (
    "algorithm=smash", "space=memory_bank", "task=synthetic_images", "scale.channels=4",
    "scale.train_images=64", "scale.valid_images=64", "scale.epochs=2", "scale.candidates=5",
    "space.blocks=2", "space.slots=2", "space.banks=3", "space.hidden=16",
)  # fmt: skip


@pytest.fixture
def made():
    made = check(composed(*SMALL), [CONF / "task"])
    made.algorithm.perturbations, made.algorithm.climbs = 300, 200
    return made


def test_it_searches_memory_banks_with_written_weights(made):
    """Random ones first, then changes of the best, then single changes that are better."""
    algorithm = made.algorithm
    from dataclasses import replace

    outcome, history = search(
        replace(made, evaluator=ToyEvaluator()).opened(), np.array([0]), None, None
    )
    space = algorithm.problem.space
    assert space.exists(outcome.archs).all()
    assert len(history._measured) == 2
    good = space.parse("[op(0, 4, 7, 2, 0+1)] [op(0, 4, 7, 2, 0+1)]")
    asked = []

    def accuracy(arch, batches):
        asked.append(arch)
        return -float(np.abs(arch - good).sum())

    algorithm.accuracy = accuracy
    found = algorithm.derive()
    assert len(asked) == 5 + (1 + 3) + 2  # in the proportion of 5 of 500 candidates
    asked = list(asked)  # asking again appends to the other one
    scores = [-float(np.abs(arch - good).sum()) for arch in asked]
    assert -float(np.abs(found - good).sum()) == max(scores)
    best = asked[int(np.argmax(scores[:5]))]
    assert (asked[5] == best).all()


def test_changes_are_of_the_best_so_far_and_only_better_ones_are_kept():
    """By hand: 1 is the best of 0 to 2, its change 4 is better, and 6 is the only better climb."""
    accuracy = dict(enumerate([10.0, 30.0, 20.0, 25.0, 35.0, 35.0, 40.0, 38.0, 39.0]))
    parents, new, batch = [], iter(range(9)), ("images", "labels")

    def mutate(archs, draws):
        parents.append(int(archs[0, 0]))
        return np.array([[next(new)]])

    def judged(arch, batches):
        assert list(batches) == [batch]
        return accuracy[int(arch[0])]

    algorithm = SMASH(candidates=3, perturbations=2, climbs=4)
    algorithm.data = SimpleNamespace(glimpse=lambda draws: iter([batch]))
    algorithm.draws = SimpleNamespace(uniform=lambda count: np.full((1, count), 0.9))
    space = SimpleNamespace(sample=lambda draws: np.array([[next(new)]]), mutate=mutate)
    algorithm.problem, algorithm.accuracy = SimpleNamespace(space=space), judged
    assert algorithm.derive().tolist() == [6]
    assert parents == [1, 1, 4, 4, 6, 6]


@pytest.mark.parametrize(("uniforms", "changes"), [([0.01, 0.5, 0.04, 0.05], 2), ([0.9] * 4, 1)])
def test_each_decision_is_changed_with_the_given_probability_and_one_at_least(uniforms, changes):
    algorithm = SMASH(change=0.05)
    algorithm.draws = SimpleNamespace(uniform=lambda count: np.array([uniforms[:count]]))
    space = SimpleNamespace(mutate=lambda archs, streams: archs + 1)
    algorithm.problem = SimpleNamespace(space=space)
    assert algorithm._perturbed(np.zeros(4, int)).tolist() == [changes] * 4


def test_a_share_of_changes_lies_between_none_and_all():
    algorithm = SMASH()
    assert algorithm.candidates == 500
    with pytest.raises(ConfigError, match=r"algorithm\.change must be in"):
        SMASH(change=0.0)
