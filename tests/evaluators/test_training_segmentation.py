"""Segmentation from files to figures: a space with maps of all stages, a task with masks."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nasrun.benchmarks.trainings import TrainingLog
from nasrun.evaluators.training import Training
from nasrun.nets.device import Device
from nasrun.nets.loader import load_batches
from nasrun.nets.recipe import Optimizer, Precision, Recipe
from nasrun.nets.segmentation import SCALES
from nasrun.nets.segmentation_heads import HEADS
from nasrun.nets.trainer import judged
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.residual import Residual
from nasrun.spaces.residual_skeleton import Block
from nasrun.spec import Scale
from nasrun.streams import Streams
from nasrun.tasks.decoding import Fit
from nasrun.tasks.nuclei import Nuclei
from nasrun.tasks.segmentation_folder import SegmentationFolder
from nasrun.tasks.segmentation_task import Head

CPU = Device("cpu", Precision.float32, threads=1)


def small_space(base=8, depth=3):
    # Of 4 channels, PyTorch's strided 1x1 convolution corrupts the memory, channels last, on a CPU.
    return Residual(
        base_channels=[base], depths=[depth], stages=[3], doublings=2, block=Block.basic,
        stem_stride=2,
    )  # fmt: skip


def session(folder, space, task, **changes):
    recipe = Recipe(
        learning_rate=0.01, batch=8, optimizer=Optimizer.adamw, scale=[0.8, 1.25], weight_decay=1e-4
    )
    values = {
        "recipe": recipe, "epochs": 12, "score_epochs": None, "score_seeds": [1], "device": "cpu",
        "threads": 1, "precision": Precision.float32, "cache_dir": str(folder),
    }  # fmt: skip
    return Training(**{**values, **changes}).opened(space, task)


def stripes(tmp_path, **settings):
    """Forty pictures twice as wide as high, trained on in square crops."""
    root = tmp_path / "data"
    for number in range(40):
        classes = np.broadcast_to((np.arange(32) + number) * 3 // 32 % 3, (16, 32)).astype(np.uint8)
        for name, pixels in (("images", 80 * classes + 40), ("masks", classes)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    own = {"image_px": 16, "size": [16, 32], "head_width": 8, "cache_dir": str(tmp_path)}
    return SegmentationFolder(path=str(root), **{**own, **settings}).make(None)


@pytest.mark.parametrize("head", Head)
def test_a_backbone_is_trained_with_the_tasks_head(tmp_path, head):
    space, task = small_space(), stripes(tmp_path, head=head, hard=0.7, head_width=16)
    network = space.build(space.sample(Streams([0]))[0], task, Scale())
    assert isinstance(network.classifier, HEADS[head.value])
    evaluator = session(tmp_path, space, task, score_epochs=1)
    archs = space.sample(Streams([0]))
    found = evaluator.evaluate(archs, epochs=np.array([12]), streams=Streams([0]))
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert {row.metric for row in rows} == {"miou_pct"}
    assert rows[-1].loss < rows[0].loss
    assert found.score[0] > 60  # a third of the pixels right by chance is 20
    assert evaluator.score(archs, task).params_m[0] > 0


def test_a_space_without_maps_of_its_stages_has_a_plain_head(tmp_path):
    evaluator = session(tmp_path, NB201(), stripes(tmp_path), channels=4, cells=1, epochs=1)
    found = evaluator.evaluate(
        NB201().at(np.array([7777])), epochs=np.array([1]), streams=Streams([0])
    )
    assert 0 < found.score[0] < 100


def test_scores_are_those_of_whole_pictures_and_their_settings_name_them(tmp_path):
    """Two judgements of one network may not share a row on record."""
    space, task = small_space(), stripes(tmp_path)
    archs = space.sample(Streams([0]))
    assert task.load().search_valid.pixels.shape[2:] == (16, 32)
    one = session(tmp_path, space, task, epochs=1)
    several = session(tmp_path, space, replace(task, scales=[1.0, 2.0], mirrored=True), epochs=1)
    for each in (one, several):
        each.evaluate(archs, epochs=np.array([1]), streams=Streams([0]))
    rows = TrainingLog(tmp_path / "trainings" / "trainings.csv").all()
    assert len({row.training for row in rows}) == 2
    assert rows[0].loss == rows[1].loss
    assert rows[0].val_score != rows[1].val_score


@pytest.mark.slow
@pytest.mark.data
def test_a_segmenter_learns_to_find_nuclei(data_dir, tmp_path):
    """At least 0.85 in twenty epochs, about a CPU minute; more with several scales and mirrors."""
    if not (data_dir / "dense/nuclei.zip").exists():
        pytest.skip("nuclei.zip is not at hand")
    task = Nuclei(
        "nuclei", 2, 128, "v", "t", 53, 211, test_images=66, data_dir=str(data_dir),
        cache_dir=str(tmp_path), folders=["dense"], fit=Fit.squash, head_width=16,
    )  # fmt: skip
    space = small_space(16, 5)
    recipe = Recipe(learning_rate=0.004, batch=16, optimizer=Optimizer.adamw, weight_decay=1e-4)
    own = session(tmp_path, space, task, recipe=recipe, score_epochs=20, score_seeds=[777])
    arch = space.parse("16_11-21-2")
    scored = own.score(arch[None], task)
    print(scored)
    assert scored.test_score[0] >= 85
    splits = task.load()
    test = load_batches(splits.final_test, splits.mean, splits.std, 16)
    network, objective = own.network(arch, task), task.objective
    assert objective is not None
    assert judged(network, objective, test, CPU) == pytest.approx(scored.test_score[0], abs=1e-6)
    several = judged(network, replace(objective, scales=SCALES, mirrored=True), test, CPU)
    print(several)
    assert several > 80
