"""ENAS on a text: below the perplexity of single words."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from composed import composed

from nasrun.__main__ import CONF
from nasrun.algorithms.enas_rnn import ENASRNN
from nasrun.config import check
from nasrun.nets.language_supernet import SharedLanguageNetwork
from nasrun.pipeline import search
from nasrun.spaces.rnn_cell import ACTIVATIONS, RNNCell


def searched(folder, *more):
    (folder / "own.txt").write_text("one two three four five six seven eight nine ten " * 400)
    config = composed(
        "task=text", "space=rnn_cell", "space.nodes=3", "algorithm=enas_rnn", "scale=small_text",
        f"task.path={folder / 'own.txt'}", "task.classes=12", "task.train_images=128",
        "task.valid_images=32", "task.test_images=16", "scale.channels=16", "scale.epochs=3",
        "scale.train_images=128", "scale.valid_images=32", "scale.candidates=4",
        "algorithm.batch=16", "algorithm.updates=2", "algorithm.samples=3",
        "algorithm.max_gradient=0.25", "evaluator=training", "evaluator.score_epochs=null",
        f"cache_dir={folder}", *more,
    )  # fmt: skip
    _, history = search(check(config, [CONF / "task"]).opened(), np.array([0]), None)
    return history._measured


def test_shared_weights_learn_a_text(tmp_path):
    """Ten words in turn, of which each foretells the next: single words have a perplexity of 10."""
    steps = searched(tmp_path)
    perplexities = [float(each.score[0]) for each in steps]
    assert perplexities[-1] < 5.0
    assert steps[-1].reward[0] == -perplexities[-1]


def test_a_perplexity_beyond_all_numbers_is_no_divergence(tmp_path, monkeypatch, caplog):
    """The weights are finite, and the next epoch may have a perplexity again."""
    accuracy = ENASRNN.accuracy
    monkeypatch.setattr(
        ENASRNN, "accuracy", lambda own, *at: accuracy(own, *at) if own.epoch else math.nan
    )
    scores = [float(each.score[0]) for each in searched(tmp_path, "scale.epochs=2")]
    assert np.isnan(scores).tolist() == [True, False]
    assert "not finite" not in caplog.text


@pytest.mark.parametrize(("perplexity", "reward"), [(40.0, 2.0), (math.nan, 0.0)])
def test_a_reward_is_80_over_the_perplexity_and_always_a_number(monkeypatch, perplexity, reward):
    """A perplexity is NaN beyond all numbers; as a reward it would undo the controller."""
    monkeypatch.setattr(ENASRNN, "accuracy", lambda *_: perplexity)
    monkeypatch.setattr(ENASRNN, "valid_batch", lambda _: None)
    assert ENASRNN()._reward(np.zeros(4, np.int64)) == reward


def test_the_cell_of_the_least_perplexity_is_best():
    """Each is judged on a glimpse of its own; one beyond all numbers is worse than any."""
    method, judged = ENASRNN(), []
    perplexities = iter([math.nan, 90.0, 40.0, 70.0])
    method.accuracy = lambda arch, batches: judged.append(batches) or next(perplexities)
    glimpses = iter("abcd")
    method.data, method.draws = SimpleNamespace(glimpse=lambda draws: next(glimpses)), None
    archs = [np.array([number]) for number in range(4)]
    assert method.best_of(archs).tolist() == [2]
    assert judged == list("abcd")


def test_far_nodes_are_read_less_by_a_sixth_of_the_squared_distance():
    """A controller of zeros otherwise; the third node reads node 0, 1 or 2."""
    method = ENASRNN()
    method.problem = SimpleNamespace(space=RNNCell(nodes=3))
    method.network = SharedLanguageNetwork.__new__(SharedLanguageNetwork)
    made = method.made_controller()
    for weight in made.parameters():
        weight.data.zero_()
    archs = torch.tensor([[0, 0, 1, 0, third, 0] for third in range(3)])
    log_p = made.judge(archs, method.problem.space.legal).log_p
    second = torch.log_softmax(torch.tensor([-4.0, -1.0]) / 6.0, 0)[1]
    third = torch.log_softmax(torch.tensor([-9.0, -4.0, -1.0]) / 6.0, 0)
    torch.testing.assert_close(log_p, second + third - 3.0 * math.log(len(ACTIVATIONS)))
