"""Bender's one-shot model: path dropout, decay of live paths, ranking and training of the best.

Statistical statements: 4,000 draws with a fixed seed; a share lies within 3 standard errors of its
probability in each of 4 cases (a true sampler fails that with a probability below 0.02).
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_supernet import tiny, worth
from torch import nn
from toys import ToySpace

from nasrun.algorithms.one_shot_bender import OneShotBender, paths_by_row

DRAWS = 4000


def bender(**fields):
    method = tiny_without_logits(OneShotBender(**{"epochs": 10} | fields))
    method.prepare()
    return method


def tiny_without_logits(made):
    method = tiny(made)
    method.network.groups = ()
    return method


def test_paths_into_a_node_are_counted_over_its_edges():
    rows = (("none", "a", "b"), ("none", "a"), ("none", "c", "d"))
    assert paths_by_row(rows, ((0,), (1, 2))) == [2, 3, 3]
    assert paths_by_row(rows, ()) == [2, 1, 2]


@pytest.mark.parametrize("groups", [(), ((0, 1),)])
def test_all_paths_into_a_node_vanish_as_often_as_asked(groups):
    """At the end of the schedule: both rows on their own, or together where they meet."""
    method = bender(drop=0.3)
    method.paths = paths_by_row(method.network.rows, groups)
    method.progress = 10.0
    gone = np.array([[float(row.sum()) == 0 for row in method.left()] for _ in range(DRAWS)])
    shares = [gone.all(axis=1).mean()] if groups else gone.mean(axis=0)
    for share in shares:
        assert abs(share - 0.3) < 3 * math.sqrt(0.3 * 0.7 / DRAWS)


def test_the_rate_rises_linearly_from_zero():
    method = bender(drop=0.3)
    method.progress = 0.0
    assert all(bool(row.all()) for _ in range(200) for row in method.left())
    method.progress = 5.0
    kept = np.array([float(method.left()[0].mean()) for _ in range(DRAWS)]).mean()
    wanted = 1 - 0.5 * 0.3**0.5
    assert abs(kept - wanted) < 3 * math.sqrt(wanted * (1 - wanted) / (2 * DRAWS))


def test_every_ghost_batch_has_paths_of_its_own():
    method = bender(ghost=2, weight_decay=0.0, drop=0.5)
    method.progress = 8.0
    x = torch.tensor([1.0, 2.0, 4.0, 5.0, 7.0])
    method.update(x, torch.zeros(5, dtype=torch.int64))
    again = bender(drop=0.5)
    again.progress = 8.0
    patterns = [again.left() for _ in range(3)]
    assert [[row.tolist() for row in rows] for rows in method.seen] == [
        [row.tolist() for row in rows] for rows in patterns
    ]
    assert len({str(rows) for rows in patterns}) > 1
    worths = [worth(rows) for rows in patterns for _ in range(2)][:5]
    wanted = 2.0 - sum(each * w for each, w in zip(x, worths, strict=True)) / 5
    torch.testing.assert_close(method.network.weight.detach(), wanted)


def test_filters_of_dropped_paths_do_not_decay():
    """By hand: a convolution with a live and a dead filter, a bias and a weight without slope."""
    method = OneShotBender(weight_decay=0.5, max_gradient=None)
    filters = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    bias, idle = nn.Parameter(torch.tensor([6.0, 8.0])), nn.Parameter(torch.tensor([5.0]))
    method.weights, method.learning_rate = [filters, bias, idle], 1.0
    method.weight_optimizer = method._optimizer()
    for group in method.weight_optimizer.param_groups:
        group |= {"momentum": 0.0, "nesterov": False}
    method.weight_step(filters[0, 1] * 0.1 + bias[1] * 0.2)
    assert filters.tolist() == [[0.5, pytest.approx(0.9)], [3.0, 4.0]]
    assert bias.tolist() == [6.0, pytest.approx(3.8)]
    assert idle.tolist() == [5.0]


# Ranking and training

SPACE = ToySpace((4, 3))


def judged(epoch, rewards=None, **fields):
    """A method whose sub-models' shared accuracy is their first decision."""
    method = OneShotBender(**{"epochs": 3, "candidates": 30} | fields)
    method.epoch, method._trained = epoch, []
    drawn = np.random.default_rng(0)
    method.random_arch = lambda: drawn.integers((4, 3))
    method.data = SimpleNamespace(judging=lambda: None)
    method.accuracy = lambda arch, batches: float(arch[0])

    def evaluate(archs):
        method._trained.append(archs[0].tolist())
        return SimpleNamespace(reward=np.array([rewards(archs[0])]))

    method.problem = SimpleNamespace(space=SPACE, evaluate=evaluate)
    return method


def test_the_best_by_shared_weights_is_derived_before_the_end():
    method = judged(1)
    assert method.derive()[0] == 3
    assert method._trained == []


def test_in_the_end_the_best_are_trained_and_the_best_of_these_is_derived():
    method = judged(2, lambda arch: float(arch[1] == 1), finalists=4)
    assert method.derive().tolist() == [3, 1]
    assert len(method._trained) == 4
    assert len(set(map(str, method._trained))) == 4
    assert [arch[0] for arch in method._trained] == [3, 3, 3, 2]


def test_a_network_that_is_found_twice_keeps_its_better_place():
    method = judged(2, lambda arch: float(arch[0]), finalists=2)
    ranked = [np.array(arch) for arch in ([3, 0], [2, 0], [1, 0], [3, 0])]
    assert method.best_trained(ranked).tolist() == [3, 0]
    assert method._trained == [[3, 0], [2, 0]]


def test_a_training_that_fails_is_passed_over():
    method = judged(2, lambda arch: math.nan if arch[1] == 1 else float(arch[1]), finalists=3)
    assert method.derive().tolist() == [3, 2]


def test_one_finalist_is_not_trained():
    method = judged(2, finalists=1)
    assert method.derive()[0] == 3
    assert method._trained == []
