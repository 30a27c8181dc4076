"""What a run writes down about the images that it read."""

import json
from dataclasses import replace

from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.spec import Task
from nasrun.tasks.synthetic_images import SyntheticImages


class TrainsByItself(RandomSearch):
    trains = True


def made(name="made"):
    sizes = {"train_images": 8, "valid_images": 8, "test_images": 8}
    return SyntheticImages(name, 4, 8, name, name, **sizes)


def images_of(experiment, folder):
    with Recorder(folder, "toy") as recorder:
        run(experiment.opened(), recorder, dict)
    return json.loads((folder / "provenance.json").read_text())["images"]


def test_where_images_come_from_stands_in_the_provenance(tmp_path):
    task = made()
    task.load()
    experiment = replace(toy_experiment(RandomSearch(), trials=1), task=task, final_tasks=[task])
    wanted = {"made": "made up from seed 0; split drawn by seed 0"}
    assert images_of(experiment, tmp_path) == wanted


def test_a_run_that_read_none_says_none(tmp_path):
    experiment = replace(toy_experiment(RandomSearch(), trials=1), task=made())
    assert images_of(experiment, tmp_path) is None


def test_the_files_of_a_method_that_trains_by_itself_are_the_tasks():
    class FromFile(SyntheticImages):
        def load(self):
            return replace(super().load(), files={"pictures": "hash"})

    task: Task = FromFile("made", 4, 8, "made", "made", 8, 8, test_images=8)
    own = replace(toy_experiment(TrainsByItself()), task=task)
    assert own.opened().files == {"pictures": "hash"}
    assert replace(own, algorithm=RandomSearch()).opened().files == {}
