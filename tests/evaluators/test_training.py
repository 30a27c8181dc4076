import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from toys import ToyEvaluator

from nasrun.benchmarks.trainings import TrainingLog
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.evaluators.training_session import at_once
from nasrun.evaluators.zero_cost import ZeroCost
from nasrun.hardware.measured import MeasuredLatency
from nasrun.nets import fused_cell, workers
from nasrun.nets.footprint import footprint
from nasrun.nets.recipe import Precision, Recipe, recipe_id
from nasrun.nets.representatives import representatives
from nasrun.nets.trainer import Trainer
from nasrun.spaces.constrained import ConstrainedSpace
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Protocol, Scale, Task
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

SPACE = NB201()
STREAMS = Streams([0])
RECIPE = recipe_id(Recipe(batch=32, learning_rate=0.05))


def task_of(name="made_up", **changes):
    return SyntheticImages(
        name, 3, 8, "made-up-valid", "made-up", 48, 96, test_images=48, **changes
    )


def settings(tmp_path, **changes):
    values = {
        "recipe": Recipe(batch=32, learning_rate=0.05), "epochs": 3, "score_epochs": 2,
        "score_seeds": [1, 2], "channels": 4, "cells": 1, "device": "cpu", "threads": 1,
        "precision": Precision.float32, "cache_dir": str(tmp_path),
    }  # fmt: skip
    return Training(**{**values, **changes})


def training(tmp_path, space=SPACE, task=None, **changes):
    return settings(tmp_path, **changes).opened(space, task or task_of())


def measured(evaluator, archs, epochs=None):
    full = evaluator.fidelities[-1] if epochs is None else epochs
    asked = np.broadcast_to(np.asarray(full, np.int64), len(archs))
    return evaluator.evaluate(archs, epochs=asked, streams=STREAMS)


def archs(*numbers):
    return SPACE.at(np.array(numbers))


@dataclass
class NotEmpty(ConstrainedSpace, NB201):
    """Cells with an operation; the first encoding, of zeros, has none and cannot be built."""

    def exists(self, archs):
        return super().exists(archs) & (archs > 0).any(axis=1)

    def build(self, arch, task, scale):
        assert self.exists(arch[None])[0]
        return super().build(arch, task, scale)


def test_a_space_whose_first_encoding_does_not_exist(tmp_path):
    found = measured(training(tmp_path, NotEmpty(), epochs=1), archs(9000))
    assert found.score[0] >= 0
    score = ZeroCost(channels=2, cells=1, device="cpu").opened(NotEmpty(), task_of())
    assert np.isfinite(score.features(archs(9000), ["synflow"])).all()


def test_it_trains_and_measures_the_cost(tmp_path):
    evaluator = training(tmp_path)
    found = measured(evaluator, archs(9000, 3))
    assert ((found.score >= 0) & (found.score <= 100)).all()
    assert (found.cost_s > 0).all()
    assert np.isnan(found.reward).all()
    assert evaluator.fidelities == (1, 2, 3)
    assert evaluator.protocol == Protocol(
        split="made-up-valid",
        fidelity=f"val@3; 96+48 images, 8 px, recipe {RECIPE}; C=4 N=1 cpu/float32",
        run="777",
        clock="measured: 3 epochs + 1 validation pass",
    )
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert [row.epoch for row in rows] == [1, 2, 3] * 2
    assert {row.task for row in rows} == {"made_up"}
    assert not list((tmp_path / "trainings" / "checkpoints").glob("*.pt"))


@pytest.mark.parametrize(("charged", "cost_s"), [(True, 5.5), (False, 5.0)])
def test_a_training_costs_its_epochs_and_a_validation_pass_if_that_is_charged(
    tmp_path, charged, cost_s
):
    curve = [SimpleNamespace(train_s=2.0, valid_s=1.0), SimpleNamespace(train_s=3.0, valid_s=0.5)]
    assert training(tmp_path, charge_validation=charged)._cost_s(curve) == cost_s


def test_final_scores_are_means_over_the_seeds_of_each_network(tmp_path, monkeypatch):
    evaluator, last = training(tmp_path), [1.0, 3.0, 5.0, 9.0, 2.0, 4.0]
    curves = [[None, SimpleNamespace(val_score=10 * own, test_score=own)] for own in last]
    monkeypatch.setattr(evaluator, "_curves", lambda requests: curves)
    score = evaluator.score(archs(9000, 3, 77), task_of())
    assert score.test_score.tolist() == [2.0, 7.0, 3.0]
    assert score.val_score.tolist() == [20.0, 70.0, 30.0]


def test_learning_curves_are_those_on_record(tmp_path, monkeypatch):
    evaluator = training(tmp_path, judged=[2])
    found = measured(evaluator, archs(77, 78), [3, 2])
    monkeypatch.setattr(Trainer, "__init__", lambda *_: pytest.fail("trained again"))
    epochs = np.array([3, 2])
    scores = evaluator.curve(archs(77, 78), epochs=epochs)
    np.testing.assert_allclose(scores[[0, 1], [2, 1]], found.score)
    assert np.isnan(scores).tolist() == [[True, False, False], [True, False, True]]  # judged at 2
    losses = evaluator.curve(archs(77, 78), epochs=epochs, figure="train_loss")
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert losses[~np.isnan(losses)].tolist() == [row.loss for row in rows]
    with pytest.raises(UnsupportedError, match="curves of val_loss, and the evaluator has only"):
        evaluator.curve(archs(77), epochs=epochs[:1], figure="val_loss")


def test_nothing_is_trained_twice(tmp_path, monkeypatch):
    first = measured(training(tmp_path), archs(9000))
    monkeypatch.setattr(Trainer, "train", None)
    again = measured(training(tmp_path), archs(9000, 9000))
    assert (again.score == first.score[0]).all()
    assert (again.cost_s == first.cost_s[0]).all()
    with pytest.raises(TypeError):
        measured(training(tmp_path, seed=888), archs(9000))


def test_all_strings_of_one_cell_are_one_training(tmp_path, monkeypatch):
    def cell(one, other):
        return SPACE.parse(f"|{one}~0|+|none~0|none~1|+|skip_connect~0|none~1|{other}~2|")

    same = np.array([cell("nor_conv_3x3", "none"), cell("skip_connect", "none")])
    assert SPACE.canonical(same[0]) == SPACE.canonical(same[1])
    # Whichever is asked for first, and in folders of their own.
    one = measured(training(tmp_path / "a"), same[:1])
    two = measured(training(tmp_path / "b"), same[1:])
    assert one.score == two.score
    assert (two.archs == same[1:]).all()
    monkeypatch.setattr(Trainer, "train", None)
    measured(training(tmp_path / "a"), same[1:])


def test_networks_of_one_text_that_are_built_otherwise_are_trained_apart(tmp_path):
    for auxiliary in (True, False):
        space = DARTS(nodes=1, operations=["skip_connect", "max_pool_3x3"], auxiliary=auxiliary)
        measured(training(tmp_path, space, epochs=1), space.at(np.array([0])))
    trained = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert [row.arch for row in trained] == [trained[0].arch] * 2
    assert trained[0].loss != trained[1].loss


def test_representatives_have_the_same_canonical_form():
    represent = representatives(SPACE)
    for arch in archs(*np.random.default_rng(0).integers(SPACE.size, size=50)):
        assert SPACE.canonical(represent(arch)) == SPACE.canonical(arch)
        assert SPACE.index(represent(arch)) <= SPACE.index(arch)


def test_a_longer_training_goes_on_from_the_checkpoint(tmp_path, monkeypatch):
    whole = measured(training(tmp_path / "whole"), archs(9000))
    evaluator, counted = training(tmp_path / "parts"), []
    plain = Trainer._epoch
    monkeypatch.setattr(
        Trainer, "_epoch", lambda self, *rest: counted.append(self.done) or plain(self, *rest)
    )
    short = measured(evaluator, archs(9000), 1)
    assert list((tmp_path / "parts" / "trainings" / "checkpoints").glob("*.pt"))
    longer = measured(evaluator, archs(9000))
    assert counted == [0, 1, 2]
    assert longer.score == whole.score
    assert longer.cost_s > short.cost_s


def test_a_failed_training_scores_nothing_and_costs_its_time(tmp_path):
    evaluator = training(tmp_path, recipe=Recipe(batch=32, learning_rate=1e20))
    found = measured(evaluator, archs(9000, 9001))
    assert np.isnan(found.score).all()
    assert (found.cost_s > 0).all()
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    last = {row.training: row for row in rows}
    assert len(last) == 2
    assert all(row.failure for row in last.values())
    again = measured(training(tmp_path, recipe=Recipe(batch=32, learning_rate=1e20)), archs(9000))
    assert again.cost_s == found.cost_s[0]


class NoZeros(NB201):
    """A space in which a cell that begins with `none` is no architecture."""

    def exists(self, archs):
        return archs[:, 0] != 0


def test_what_does_not_exist_is_not_trained(tmp_path):
    space = NoZeros()
    both = np.array([[0, 1, 2, 3, 1, 1], [3, 1, 2, 3, 1, 1]])
    found = measured(training(tmp_path, space=space), both)
    assert np.isnan(found.score).tolist() == [True, False]
    assert found.cost_s[0] == 0.0 < found.cost_s[1]
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.arch for row in rows} == {space.text(both[1])}
    small = {"channels": 4, "cells": 1, "device": "cpu", "threads": 1}
    scores = measured(ZeroCost(**small, batch=8).opened(space, task_of()), both)
    assert np.isnan(scores.score).tolist() == [True, False]
    device = MeasuredLatency(**small, runs=1, warm_up=0, target_ms=1.0).opened(space, task_of())
    assert np.isnan(device.latency_ms(both)).tolist() == [True, False]


def test_processes_find_what_one_finds(tmp_path):
    wanted = measured(training(tmp_path / "one"), archs(9000, 3, 700))
    side_by_side = training(tmp_path / "two", parallel=2)
    found = measured(side_by_side, archs(9000, 3, 700))
    np.testing.assert_array_equal(found.score, wanted.score)


def test_networks_together_find_what_each_finds_alone(tmp_path):
    gentle = {"recipe": Recipe(batch=32, learning_rate=0.01)}  # float32 stays close
    asked = archs(9001, 3, 701, 9004, 15001)
    wanted = measured(training(tmp_path / "one", **gentle), asked)
    together = training(tmp_path / "two", together=3, **gentle)
    found = measured(together, asked)
    np.testing.assert_allclose(found.score, wanted.score, atol=100 / 96 + 1e-9)  # an image of 96
    rows = TrainingLog(tmp_path / "two" / "trainings" / "trainings.csv").all()
    assert [row.epoch for row in rows] == [1, 2, 3] * 5
    how = {row.arch: row.device.partition("; ")[2] for row in rows}
    # The second is a cell whose input does not reach its output, and so trains alone.
    assert [how[SPACE.text(representatives(SPACE)(arch))] for arch in asked] == [
        "2 networks together", "", "2 networks together", "2 networks together",
        "2 networks together",
    ]  # fmt: skip
    assert not list((tmp_path / "two" / "trainings" / "checkpoints").glob("*.pt"))


def test_seeds_of_a_final_training_train_together(tmp_path):
    together = training(tmp_path, together=16)
    score = together.score(archs(9001), task_of())
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.device for row in rows} == {"cpu/float32; 2 networks together"}
    last = [row.test_score for row in rows if row.epoch == 2]
    assert score.test_score == np.mean(last)
    assert len(list((tmp_path / "trainings" / "checkpoints").glob("*.pt"))) == 2


def test_rungs_of_different_lengths_are_cohorts_of_their_own(tmp_path):
    found = measured(training(tmp_path, together=4), archs(9004, 9001, 15001), [1, 3, 3])
    assert np.isfinite(found.score).all()
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert [row.epoch for row in rows if "together" not in row.device] == [1]
    assert [row.epoch for row in rows if "2 networks together" in row.device] == [1, 2, 3] * 2


def test_networks_are_trained_in_processes_or_together():
    with pytest.raises(ConfigError, match=r"parallel=2 .*\.together=3 in one"):
        Training(parallel=2, together=3)


def test_sixteen_train_together_where_there_are_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(fused_cell, "available", lambda where: True)
    device = SimpleNamespace(on_gpu=True, processor=torch.device("cpu"))
    wide = SPACE.build(SPACE.at(np.array([9001]))[0], task_of(), Scale(16, 1))
    narrow = SPACE.build(SPACE.at(np.array([9001]))[0], task_of(), Scale(4, 1))
    others = [narrow, torch.nn.Linear(1, 1)]  # not all of its cells, or none, have kernels
    assert at_once(settings(tmp_path), device, wide) == 16
    assert [at_once(settings(tmp_path), device, other) for other in others] == [1, 1]
    for changes in ({"parallel": 2}, {"deterministic": True}, {"together": 1}):
        assert at_once(settings(tmp_path, **changes), device, wide) == 1
    assert at_once(settings(tmp_path, together=3), device, others[0]) == 3
    device.on_gpu = False
    assert at_once(settings(tmp_path), device, wide) == 1


def test_small_networks_have_one_thread_in_a_process_of_many_too(tmp_path, monkeypatch):
    arguments = []
    monkeypatch.setattr(workers, "ProcessPoolExecutor", lambda *given: arguments.extend(given[3]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    training(tmp_path, parallel=2, threads=None)
    _, device, threads, *_ = arguments
    assert threads == 4
    assert device.threads is None  # by which a cache knows that nobody asked for a number
    arguments.clear()
    training(tmp_path, parallel=2, threads=6)
    assert arguments[1].threads == arguments[2] == 3


def test_only_the_epochs_asked_for_are_judged(tmp_path):
    evaluator = training(tmp_path, judged=[2])
    assert evaluator.fidelities == (2, 3)
    measured(evaluator, archs(9000))
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert [np.isnan(row.val_score) for row in rows] == [True, False, False]


def test_the_score_is_the_mean_of_full_trainings_on_the_final_split(tmp_path):
    evaluator = training(tmp_path)
    score = evaluator.score(archs(9000, 3), task_of())
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {(row.part, row.epochs, row.seed) for row in rows} == {("final", 2, 1), ("final", 2, 2)}
    last = [row.test_score for row in rows if row.epoch == 2]
    np.testing.assert_allclose(score.test_score, [np.mean(last[:2]), np.mean(last[2:])])
    assert np.isnan(score.val_score).all()  # those images were trained on
    assert score.final == (
        f"2 epochs; 144+48 images, 8 px, recipe {RECIPE}; C=4 N=1 cpu/float32; seeds 1+2"
    )
    assert len(list((tmp_path / "trainings" / "checkpoints").glob("*.pt"))) == 4
    np.testing.assert_allclose(
        score.params_m,
        [footprint(SPACE.build(a, task_of(), Scale(4, 1)), 8)[0] for a in archs(9000, 3)],
    )


class Halved(SyntheticImages):
    """Trains on the same images in the end."""

    def load(self):
        splits = super().load()
        return replace(splits, final_train=splits.search_train)


def test_images_that_the_final_training_leaves_out_validate_it(tmp_path):
    task = Halved("halved", 3, 8, "halved", "halved", 48, 96, test_images=48)
    evaluator = training(tmp_path)
    evaluator.check_final(task)
    score = evaluator.score(archs(9000), task)
    assert (score.val_score >= 0).all()


def test_no_final_training_leaves_the_figures_empty(tmp_path):
    score = training(tmp_path, score_epochs=None).score(archs(9000), task_of())
    assert np.isnan(score.test_score).all()
    assert score.final == "not trained"


def test_footprints_are_the_tables_at_full_scale():
    task = Task("toy", 10, 32, "toy", "toy", 1, 1)
    arch = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
                       "|avg_pool_3x3~0|nor_conv_3x3~1|skip_connect~2|")  # fmt: skip
    expected = np.ravel(SPACE.footprint(arch[None], task))
    np.testing.assert_allclose(footprint(SPACE.build(arch, task, Scale()), 32), expected)


def test_opening_for_another_task_leaves_a_session_as_it_was(tmp_path):
    recipe, other = settings(tmp_path), task_of("other", data_seed=5)
    evaluator = recipe.opened(SPACE, task_of())
    before = evaluator.protocol
    own = recipe.opened(SPACE, other)
    measured(own, archs(9000))
    measured(evaluator, archs(9000))
    assert evaluator.protocol == before
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.task for row in rows} == {"made_up", "other"}
    assert len({row.images for row in rows}) == 2


def test_global_random_numbers_stay_as_they_are(tmp_path):
    torch.random.manual_seed(3)
    before = torch.random.get_rng_state()
    evaluator = training(tmp_path)
    torch.random.set_rng_state(before)
    measured(evaluator, archs(9000))
    evaluator.score(archs(9000), task_of())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_tasks_without_images_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="has no images"):
        training(tmp_path, task=Task("toy", 10, 32, "toy", "toy", 1, 1))


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"score_epochs": 0}, {"score_seeds": []}, {"seed": -1}, {"judged": [4]},
     {"parallel": 0}, {"together": 0}, {"channels": 0}],
)  # fmt: skip
def test_counts_that_mean_nothing_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError):
        training(tmp_path, **wrong)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_final_network_is_exported(tmp_path):
    evaluator = training(tmp_path)
    evaluator.check_export(["weights"])
    score = evaluator.score(archs(9000), task_of())
    evaluator.export(archs(9000)[0], task_of(), tmp_path / "seed-0", ["weights", "torchscript"])
    exported = torch.jit.load(str(tmp_path / "seed-0.torchscript"))
    splits = task_of().load()
    logits = exported(torch.from_numpy(splits.final_test.pixels))  # normalised in the graph
    right = logits.argmax(dim=1) == torch.from_numpy(splits.final_test.labels)
    first = [r.test_score for r in TrainingLog(tmp_path / "trainings" / "trainings.csv").all()]
    assert 100 * right.float().mean().item() == pytest.approx(first[1], abs=1e-4)
    assert score.test_score > 0
    with safe_open(tmp_path / "seed-0.safetensors", "pt") as file:
        about = file.metadata()
    assert about["arch"] == SPACE.text(archs(9000)[0])
    assert about["task"] == task_of().name
    assert json.loads(about["mean"]) == list(splits.mean)


def test_what_cannot_be_exported_is_refused_before_the_search(tmp_path):
    with pytest.raises(ConfigError, match="score_epochs is null"):
        training(tmp_path, score_epochs=None).check_export(["weights"])
    with pytest.raises(UnsupportedError, match="trains no network to export"):
        ToyEvaluator().check_export(["weights"])


class Undrawn(SyntheticImages):
    """Its published cut is missing."""

    def load(self):
        words = "made up; split drawn by seed 0 as list.txt is not at hand"
        return replace(super().load(), source=words)


def test_rows_say_that_the_published_cut_is_missing(tmp_path):
    task = Undrawn("made_up", 3, 8, "a", "b", 48, 96, test_images=48)
    label = training(tmp_path, task=task, recipe=Recipe()).protocol.fidelity
    assert f"recipe nb201/{recipe_id(Recipe())}, split drawn by seed 0 as list.txt" in label


def test_the_record_says_that_memory_halved_the_batches(tmp_path, monkeypatch):
    plain, calls = Trainer._pass, []

    def short_of_memory(self, *rest):
        calls.append(self.parts)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return plain(self, *rest)

    monkeypatch.setattr(Trainer, "_pass", short_of_memory)
    found = measured(training(tmp_path), archs(9000))
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.device for row in rows} == {"cpu/float32; halved batches"}
    assert not np.isnan(found.score).any()
