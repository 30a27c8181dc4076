"""The baselines that transfer without learning to search: a warm start, and a mean rank."""

from dataclasses import replace

import numpy as np
import pytest
from toys import TASK, ToySpace, toy_problem

from nasrun.algorithms.mean_rank import MeanRank
from nasrun.algorithms.rea import REA
from nasrun.algorithms.rea_warm import WarmREA
from nasrun.errors import ConfigError
from nasrun.spec import Phase
from nasrun.streams import Streams

SPACE = ToySpace((4, 3, 4, 2))
NUMBERS = SPACE.index
TASKS = {  # the best architectures are the last, the first and one between
    "up": lambda archs: NUMBERS(archs),
    "down": lambda archs: -NUMBERS(archs),
    "middle": lambda archs: -abs(NUMBERS(archs) - 40.0),
}
AGENTS = 2


def problem(task, trials):
    return replace(toy_problem(TASKS[task], trials, SPACE), task=replace(TASK, name=task))


def played(algorithm, task, seeds, steps, phase=Phase.SEARCH, key=""):
    """``(steps, T, L)`` what was measured, and its rewards."""
    algorithm.start(problem(task, len(seeds)), Streams(seeds, key), phase)
    measured = [algorithm.step() for _ in range(steps)]
    return np.stack([m.archs for m in measured]), np.stack([m.reward for m in measured])


def meta_trained(algorithm, tasks, epochs, networks=15):
    """What the algorithm learnt, and by task the best architecture that each agent measured."""
    best = {}
    for epoch in range(epochs):
        task = tasks[epoch % len(tasks)]
        archs, reward = played(
            algorithm, task, range(AGENTS), networks, Phase.META_TRAIN, f"meta/{epoch}"
        )
        for agent in range(AGENTS):
            at = reward[:, agent].argmax()
            found = (reward[at, agent], archs[at, agent].tolist())
            best[task, agent] = max(best.get((task, agent), found), found)
    algorithm.end_meta_training()
    return algorithm.learnt(), best


def test_a_warm_start_is_the_best_that_was_found_on_each_task():
    learnt, best = meta_trained(WarmREA(), ["up", "down"], epochs=4)
    algorithm = WarmREA()
    algorithm.load_learnt(learnt)
    assert algorithm.learnt()["cells"].tolist() == learnt["cells"].tolist()
    archs, _ = played(algorithm, "middle", range(5), 12)
    for trial in range(5):
        first = [best[task, trial % AGENTS][1] for task in ("up", "down")]
        assert archs[:2, trial].tolist() == first


def test_what_two_tasks_share_is_measured_once():
    algorithm = WarmREA()
    same = SPACE.at(np.array([7, 7, 9]))
    algorithm.load_learnt({"cells": np.stack([same])})
    archs, _ = played(algorithm, "up", range(6), 3)
    numbers = NUMBERS(archs)
    assert (numbers[0] == 7).all()
    assert (numbers[2] == 9).all()
    assert (numbers[1] != 7).any()


def test_more_tasks_than_members_fill_the_population_alone():
    algorithm = WarmREA(population=2)
    algorithm.load_learnt({"cells": np.stack([SPACE.at(np.array([7, 8, 9, 10]))])})
    archs, _ = played(algorithm, "up", range(3), 2)
    assert NUMBERS(archs)[:, 0].tolist() == [7, 8]


def test_without_meta_training_it_is_rea():
    cold, _ = played(WarmREA(), "middle", range(4), 40)
    plain, _ = played(REA(), "middle", range(4), 40)
    assert cold.tolist() == plain.tolist()


def test_the_mean_rank_of_opposite_tasks_says_nothing_and_of_like_ones_all():
    """With every architecture known on the meta task, the order is that task's."""
    algorithm = MeanRank(candidates=2000, penalty=1e-3)
    algorithm.load_learnt(meta_trained(MeanRank(), ["up"], epochs=4, networks=60)[0])
    archs, _ = played(algorithm, "down", range(4), 10)  # no measurement changes the order
    assert (NUMBERS(archs)[0] >= SPACE.size - 3).all()
    assert (NUMBERS(archs)[:10].mean(axis=0) > 0.8 * SPACE.size).all()
    different = [len({tuple(arch) for arch in archs[:, trial].tolist()}) for trial in range(4)]
    assert different == [10] * 4


def test_the_prediction_is_kernel_ridge_regression():
    learnt, _ = meta_trained(MeanRank(penalty=0.7), ["up", "middle"], epochs=2, networks=9)
    archs, weights = learnt["archs"][0], learnt["weights"][0]
    assert archs.shape == (18, 4)
    scores = []
    for part, task in ((archs[:9], "up"), (archs[9:], "middle")):
        reward = TASKS[task](part)
        rank = (reward[:, None] > reward).sum(1) + (reward[:, None] == reward).sum(1) / 2
        scores += ((rank - rank.mean()) / rank.std()).tolist()
    kernel = np.array([[(1 + (a == b).sum()) ** 2 for b in archs] for a in archs])
    np.testing.assert_allclose((kernel + 0.7 * np.eye(18)) @ weights, scores, atol=1e-9)


def test_failed_measurements_weigh_nothing():
    algorithm = MeanRank()
    failing = replace(
        toy_problem(lambda a: np.where(a[:, 0] == 0, np.nan, NUMBERS(a)), AGENTS, SPACE),
        task=replace(TASK, name="up"),
    )
    algorithm.start(failing, Streams(range(AGENTS)), Phase.META_TRAIN)
    for _ in range(20):
        algorithm.step()
    learnt = algorithm.learnt()
    failed = learnt["archs"][..., 0] == 0
    assert failed.any()
    assert (learnt["weights"][failed] == 0).all()
    assert (learnt["weights"][~failed] != 0).any()


def test_when_the_candidates_are_used_up_random_ones_follow():
    algorithm = MeanRank(candidates=1)
    algorithm.load_learnt(meta_trained(MeanRank(), ["up"], epochs=1)[0])
    archs, _ = played(algorithm, "up", range(3), 12)
    assert len(np.unique(NUMBERS(archs)[1:])) > 10


@pytest.mark.parametrize("fields", [{"candidates": 0}, {"penalty": 0.0}])
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match="algorithm"):
        MeanRank(**fields)
