"""Every file of conf/task: images where they are at hand, and one sentence where they are not."""

import sys
from dataclasses import fields

import numpy as np
import pytest
from composed import composed
from omegaconf import OmegaConf

from nasrun.__main__ import CONF
from nasrun.config import build, check, named_task
from nasrun.errors import ConfigError, DataError
from nasrun.identity import identity
from nasrun.spec import Task, TaskMaker
from nasrun.tasks.base import ImageTask, ValidFrom

TASKS = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))
# Made of what the user names.
OWN = {
    "coco_folder", "few_shot", "image_folder", "subset", "rotation", "jigsaw_puzzle",
    "colourisation", "segmentation_folder", "vectors_cifar10",
}  # fmt: skip


def task(name, *overrides):
    config = composed(f"task={name}", *overrides)
    contract = TaskMaker if "_target_" in config.task else Task
    return build(config.task, contract, "task").make(
        lambda other, settings: named_task(other, config, [CONF / "task"], "task.of", settings)
    )


def parts(splits):
    return {
        "train_images": splits.search_train,
        "valid_images": splits.search_valid,
        "test_images": splits.final_test,
    }


def reads_files(name):
    """Whether a task has images that lie somewhere: not made up, and not none at all."""
    own = OmegaConf.load(CONF / "task" / f"{name}.yaml")
    return bool(OmegaConf.to_container(own).get("data_dir"))  # composing all takes nine seconds


WITH_FILES = sorted(filter(reads_files, set(TASKS) - OWN))


@pytest.mark.parametrize("name", ["subset", *WITH_FILES])
def test_without_data_there_is_one_sentence(name, tmp_path):
    places = [f"data_dir={tmp_path / 'data'}", f"cache_dir={tmp_path / 'cache'}"]
    if name == "fashion_mnist":
        places.append("task.folders=[fashion-mnist]")  # not where the system may hold it
    with pytest.raises(DataError, match=str(tmp_path)) as refusal:
        task(name, *places).load()
    assert "\n" not in str(refusal.value)
    assert f"task={'cifar10' if name == 'subset' else name} finds no" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_what_is_made_up_needs_no_data(tmp_path):
    assert task("synthetic_images", f"cache_dir={tmp_path}").load().source
    assert not list(tmp_path.iterdir())


def test_a_folder_has_to_be_named():
    with pytest.raises(ConfigError, match=r"task\.path must name a folder"):
        task("image_folder")


@pytest.mark.data
@pytest.mark.parametrize("name", ["synthetic_images", *WITH_FILES])
def test_with_data_the_sizes_are_those_of_the_file(name, data_dir, tmp_path):
    own = task(name, f"data_dir={data_dir}", f"cache_dir={tmp_path}")
    assert isinstance(own, ImageTask)
    try:
        splits = own.load()
    except DataError as refusal:
        pytest.skip(f"the images are not at hand: {refusal}")
    for key, images in parts(splits).items():
        assert len(images) == getattr(own, key)
        assert images.pixels.shape == (len(images), 3, own.image_px, own.image_px)
        assert images.pixels.dtype == np.uint8
        assert np.unique(images.labels).tolist() == list(range(own.classes))
    joined = own.train_images + (own.valid_images if own.valid_from is ValidFrom.train else 0)
    assert len(splits.final_train) == joined
    assert len(splits.mean) == len(splits.std) == 3
    assert all(len(digest) == 64 for digest in splits.files.values())


@pytest.mark.data
@pytest.mark.parametrize("name", ["cifar10", "in16"])
def test_no_picture_stands_in_two_parts(name, data_dir, tmp_path):
    """The data sets hold a few equal pictures; the parts may not share a tenth of a percent."""
    splits = task(name, f"data_dir={data_dir}", f"cache_dir={tmp_path}").load()
    found = [{p.tobytes() for p in images.pixels} for images in parts(splits).values()]
    for at, own in enumerate(found):
        for other in found[at + 1 :]:
            shared = len(own & other)
            assert shared <= 0.001 * min(len(own), len(other)), shared


def test_a_subset_is_made_of_the_task_that_it_names(tmp_path):
    own = task("subset", "task.of=synthetic_images", "task.classes=[3,1]", f"cache_dir={tmp_path}")
    assert own.name == "synthetic_images[3,1]"
    splits = own.load()
    assert set(splits.search_train.labels.tolist()) == {0, 1}


def test_a_subset_hands_on_whether_to_download():
    for asked in (True, False):
        own = task("subset", "task.of=svhn", f"task.download={asked}")
        assert own.source.download is asked


def test_a_subset_sets_values_of_the_other_task(tmp_path):
    settings = ("+task.settings.train_images=40", "+task.settings.image_px=6")
    own = task("subset", "task.of=synthetic_images", "task.count=2", *settings)
    assert own.load().search_train.pixels.shape == (20, 3, 6, 6)
    with pytest.raises(ConfigError, match=r"task/svhn\.yaml.*no_such_key"):
        task("subset", "task.of=svhn", "+task.settings.no_such_key=1")
    for name in ("cat", "dog", "owl"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    photos = f"+task.settings.path={tmp_path}"
    assert task("subset", "task.of=image_folder", "task.count=2", photos).classes == 2


def test_a_final_task_is_read_with_the_runs_folders(tmp_path):
    """``retrain.tasks`` names files, whose interpolations lead into the run's config."""
    config = composed(
        "task=cifar10", "retrain.tasks=[cifar10,cifar100]", f"data_dir={tmp_path}",
        "task.download=true", "task.cache_dir=/elsewhere",
    )  # fmt: skip
    searched, other = check(config, [CONF / "task"]).final_tasks
    assert (searched.name, other.name) == ("cifar10", "cifar100")
    assert other.data_dir == str(tmp_path)
    assert other.download
    assert other.cache_dir == "/elsewhere"


def test_an_unknown_final_task_is_refused():
    with pytest.raises(ConfigError, match=r"retrain\.tasks names 'nothing', which is none of"):
        check(composed("retrain.tasks=[nothing]"), [CONF / "task"])


def test_places_and_downloads_are_no_part_of_a_runs_identity():
    here = composed("task=cifar10")
    there = composed("task=cifar10", "data_dir=/x", "cache_dir=/y", "task.download=true")
    assert identity(here, {}) == identity(there, {})
    assert identity(here, {}) != identity(composed("task=cifar10", "task.seed=1"), {})


@pytest.mark.parametrize("name", sorted(set(TASKS) - OWN - {"synthetic_images"}))
def test_a_file_names_every_field_of_its_task(name):
    node = composed(f"task={name}").task
    assert set(node) - {"_target_"} == {field.name for field in fields(task(name))}


@pytest.mark.parametrize("name", TASKS)
def test_values_carry_a_comment(name):
    lines = (CONF / "task" / f"{name}.yaml").read_text().splitlines()
    plain = ("_target_:", "name:", "classes:", "std:", "valid_images:", "test_images:", "#")
    silent = [line for line in lines if "#" not in line and not line.startswith(plain)]
    assert not silent


def test_a_search_by_a_table_reads_no_images():
    """Neither Pillow nor torch is imported by a module of nasrun.tasks."""
    import subprocess

    names = [path.stem for path in (CONF.parent / "nasrun" / "tasks").glob("*.py")]
    imports = "; ".join(f"import nasrun.tasks.{name}" for name in names if name != "__init__")
    heavy = "{'torch', 'torchvision', 'PIL', 'scipy', 'pandas', 'requests', 'pooch', 'rich'}"
    code = f"import sys; {imports}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
