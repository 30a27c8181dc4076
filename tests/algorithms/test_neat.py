"""Species and their shares by hand, and the end of a search."""

from types import SimpleNamespace

import numpy as np
from composed import CONF, composed, trace

from nasrun.algorithms.neat import NEAT, UNCHANGED
from nasrun.algorithms.species import Species, breeding, divided, shares
from nasrun.budget import Budget
from nasrun.config import check
from nasrun.spec import Differences


def played(*overrides, seeds=range(3), **limits):
    made = check(composed("algorithm=neat", "space=genome", *overrides), [CONF / "task"])
    return trace(made, seeds=seeds, budget=Budget(**limits))


def test_genomes_join_the_first_species_that_is_near_and_found_others():
    def distance(archs, other):
        return np.abs(archs - other)[:, 0].astype(float)

    before = [Species(np.array([10]), best=7.0, stagnant=3), Species(np.array([100]))]
    found = divided(np.array([[1], [9], [2], [12], [13]]), before, distance, threshold=3.0)
    assert [one.members for one in found] == [[1, 3], [0, 2], [4]]  # 100 is extinct
    assert (found[0].best, found[0].stagnant) == (7.0, 3)
    assert found[1].representative.tolist() == [1]


def test_offspring_are_shared_by_mean_fitness_with_the_largest_remainders():
    species = [Species(np.zeros(1), members) for members in ([0, 1], [2], [3])]
    fitness = np.array([1.0, 3.0, 4.0, 1.0])  # means 2, 4 and 1
    assert shares(species, fitness, 14) == [4, 8, 2]
    assert shares(species, fitness, 10) == [3, 6, 1]  # of 2.86, 5.71 and 1.43
    assert shares(species, np.zeros(4), 6) == [2, 2, 2]


def test_stagnating_species_do_not_breed():
    species = [Species(np.zeros(1), [at], best, old) for at, (best, old) in
               enumerate([(5.0, 9), (1.0, 2), (3.0, 0)])]  # fmt: skip
    assert breeding(species, patience=9, stuck=False) == species[1:]
    assert breeding(species, patience=9, stuck=True) == [species[0], species[2]]
    assert breeding(species[:1], patience=9, stuck=False) == species[:1]


def test_a_species_notes_when_it_improves():
    one = Species(np.zeros(1), [0, 2])
    for fitness, stagnant in (([1, 9, 2], 0), ([2, 9, 1], 1), ([1, 9, 3], 0)):
        one.take(np.array(fitness, float))
        assert one.stagnant == stagnant
    assert one.best == 3.0


def test_the_distance_of_genomes_by_hand():
    pairs = Differences(np.array([3, 6]), np.array([0.5, 2.0]), np.array([19, 30]))
    algorithm = NEAT(unmatched=2.0, weight=0.4, small=20)
    algorithm.problem = SimpleNamespace(space=SimpleNamespace(differences=lambda a, b: pairs))
    found = algorithm._distance(np.zeros((2, 4), int), np.zeros(4, int))
    np.testing.assert_allclose(found, [2.0 * 3 + 0.4 * 0.5, 2.0 * 6 / 30 + 0.4 * 2.0])


def test_champions_of_species_go_on_unchanged():
    """Of the first generation's, all of which breed; a population of one species has but one."""
    algorithm = check(
        composed("algorithm=neat", "space=genome", "task=double_pole", "algorithm.population=12",
                 "algorithm.champion=1"), [CONF / "task"]
    ).algorithm  # fmt: skip
    made = check(composed("algorithm=neat", "space=genome", "task=double_pole"), [CONF / "task"])
    trace(made, algorithm=algorithm, seeds=[1], budget=Budget(evaluations=12))
    [trial], fitness = algorithm._trials, algorithm._fitness[0]
    champions = [max(own.members, key=lambda at: fitness[at]) for own in trial.species]
    grown, before = algorithm.ask()[0].tolist(), algorithm._archs[0].tolist()
    assert [before[champion] in grown for champion in champions] == [True] * len(champions)
    assert sum(child in before for child in grown) < 6  # most of the others are mutants
    planned = algorithm._parents(trial, fitness, np.full((12, 6), 0.5))
    assert planned.count((champions[0], UNCHANGED)) == 1


def test_a_search_ends_where_its_first_generation_solves_the_task():
    """All of its trials are done then, and none has species."""
    easy = ("task=double_pole", "task.actions=1", "task.trial=1", "algorithm.population=4")
    found = played(*easy, evaluations=100)
    assert found.outcome.evaluations.tolist() == [4, 4, 4]
