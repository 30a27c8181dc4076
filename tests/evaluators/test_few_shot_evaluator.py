from functools import cache

import numpy as np
import pytest

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators import few_shot_session
from nasrun.evaluators.few_shot import FewShotEvaluator, Order
from nasrun.evaluators.training import Training
from nasrun.nets.maml import InnerLoop
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale
from nasrun.streams import Streams
from nasrun.tasks.few_shot import FewShotMaker
from nasrun.tasks.synthetic_images import SyntheticImages

SPACE = NB201()
CELL = SPACE.parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|")
QUICK = {
    "steps": 2, "judged_steps": 2, "episodes": 2, "batches": 2, "epochs": 1, "score_epochs": 1,
    "judged_on": 6, "channels": 2, "device": "cpu", "threads": 1,
}  # fmt: skip


@cache
def source(noise=0.1):
    return SyntheticImages(
        "made_up", 20, 4, "s", "s", 120, 40, test_images=80, noise=noise, mean=3 * [128.0],
        std=3 * [70.0],
    )  # fmt: skip


def task_of(**fields):
    return FewShotMaker(of="made_up", **{"ways": 2, "queries": 3, **fields}).make(
        lambda *_: source()
    )


def session(task=None, **changes):
    return FewShotEvaluator(**{**QUICK, **changes}).opened(SPACE, task or task_of())


def measured(own, *archs):
    epochs = np.full(len(archs), own.fidelities[-1])
    return own.evaluate(np.stack(archs), epochs=epochs, streams=Streams(range(len(archs))))


def test_scores_and_costs_and_words():
    own, task = session(), task_of()
    found = measured(own, CELL)
    assert 0 <= found.score[0] <= 100
    assert found.cost_s[0] > 0
    assert own.protocol.split == "made_up, 13+3 classes drawn by seed 0"
    assert "MAML second order, 2 meta-batches of 2, 2 steps at 0.01" in own.protocol.fidelity
    final = own.score(CELL[None], task)
    assert 0 <= final.test_score[0] <= 100
    assert final.final.endswith("seeds 777")
    assert own.final_training == "1 epochs of 2 meta-batches"


def test_a_search_never_draws_from_the_test_classes(monkeypatch):
    drawn = []
    real = few_shot_session.EpisodeMaker

    def noted(images, *rest):
        drawn.append(images)
        return real(images, *rest)

    monkeypatch.setattr(few_shot_session, "EpisodeMaker", noted)
    task = task_of()
    own, splits = session(task), task.load()
    measured(own, CELL)
    assert [images is splits.search_train for images in drawn] == [True, False]
    assert drawn[1] is splits.search_valid
    own.score(CELL[None], task)
    assert drawn[-1] is splits.final_test


def test_nothing_is_trained_twice_and_results_repeat(monkeypatch):
    own = session()
    first, final = measured(own, CELL), own.score(CELL[None], task_of())
    monkeypatch.setattr(few_shot_session.MetaTraining, "train", None)
    again = measured(own, CELL, CELL)
    assert again.score.tolist() == 2 * first.score.tolist()
    assert again.cost_s.tolist() == 2 * first.cost_s.tolist()
    assert own.score(CELL[None], task_of()).test_score == final.test_score
    monkeypatch.undo()
    assert session().score(CELL[None], task_of()).test_score == final.test_score


def test_seeds_of_the_final_training_are_averaged():
    alone = [session(score_seeds=[s]).score(CELL[None], task_of()).test_score[0] for s in (1, 2)]
    both = session(score_seeds=[1, 2]).score(CELL[None], task_of())
    assert both.test_score[0] == pytest.approx(np.mean(alone))


def test_networks_are_as_wide_as_the_limit_allows():
    own, limit = session(channels=None, params_k=12.0), 12_000
    heavy = np.full(6, 3)  # six 3x3 convolutions
    plain = own._open(task_of())[1]
    for arch in (own._represent(CELL), heavy):
        sizes = [
            sum(each.numel() for each in SPACE.build(arch, plain, Scale(c, 1)).parameters())
            for c in range(1, 12)
        ]
        fits = max(size for size in sizes if size <= limit)
        found = own._network(arch, task_of())
        assert sum(each.numel() for each in found.parameters()) == fits
        assert own.score(arch[None], task_of()).params_m[0] == pytest.approx(fits / 1e6)


def test_a_network_of_exactly_as_many_parameters_is_allowed():
    plain = session()._open(task_of())[1]
    five = sum(own.numel() for own in SPACE.build(CELL, plain, Scale(5, 1)).parameters())
    own = session(channels=None, params_k=five / 1000)
    assert own._widest(CELL, plain) == 5


def test_judging_is_part_of_the_cost(monkeypatch):
    monkeypatch.setattr(few_shot_session, "judged", lambda *_: (50.0, 1000.0))
    assert measured(session(), CELL).cost_s[0] > 1000


def test_what_diverges_has_no_score():
    own = session(meta_rate=1e30, batches=3)
    assert np.isnan(measured(own, CELL).score).all()
    assert measured(own, CELL).cost_s[0] > 0
    assert np.isnan(own.score(CELL[None], task_of()).test_score).all()


@pytest.mark.parametrize("order", Order)
def test_the_meta_training_is_as_the_settings_say(monkeypatch, order):
    asked = []
    real = few_shot_session.MetaTraining

    def noted(*settings):
        asked.append(settings)
        return real(*settings)

    monkeypatch.setattr(few_shot_session, "MetaTraining", noted)
    changes = {"order": order, "rate": 0.2, "meta_rate": 0.03, "epochs": 1, "score_epochs": 2}
    own = session(**changes)
    measured(own, CELL)
    own.score(CELL[None], task_of())
    inner = InnerLoop(2, 0.2, second_order=order is Order.second)
    assert asked == [(inner, 0.03, 2, 2), (inner, 0.03, 4, 2)]


def test_other_tasks_and_evaluators_are_refused():
    with pytest.raises(UnsupportedError, match=r"use task=few_shot task\.of=made_up, or evaluator"):
        session(source())
    with pytest.raises(UnsupportedError, match="use evaluator=few_shot"):
        Training(channels=2, cells=1, device="cpu").opened(SPACE, task_of())
    with pytest.raises(UnsupportedError, match=r"use task=few_shot task\.of=made_up"):
        session().check_final(source())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "evaluator.steps must be at least 1"),
        ({"rate": 0.0}, "evaluator.rate must be positive"),
        ({"params_k": -1.0}, "evaluator.params_k must be positive"),
        ({"score_seeds": []}, "at least one seed"),
        ({"score_seeds": [1, 1]}, "each seed once"),
        ({"channels": 0}, "evaluator.channels must be at least 1"),
    ],
)
def test_bad_settings_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FewShotEvaluator(**changes)


def test_without_a_final_training_there_is_no_figure():
    final = session(score_epochs=None).score(CELL[None], task_of())
    assert np.isnan(final.test_score).all()
    assert final.params_m[0] > 0
    assert final.final == "not trained"
