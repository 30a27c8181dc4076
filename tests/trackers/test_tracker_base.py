from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import UnsupportedError
from nasrun.files import write_csv
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.trackers.base import Finished, Tracker, flat, read_curve


class Notes(Tracker):
    """Keeps what it is handed."""

    package, extra = "numpy", "notes"

    def __init__(self):
        super().__init__()
        self.runs: list[Finished] = []

    def track(self, run):
        self.runs.append(run)


class Absent(Notes):
    package, extra = "no_such_package", "absent"


def play(folder, **budget):
    experiment = toy_experiment(RandomSearch(), trials=4, seed=7, **budget)
    with Recorder(folder, "hash") as recorder:
        run(experiment.opened(), recorder, lambda: {"commit": "abc", "nasrun": "0"})
    (folder / ".hydra").mkdir()
    config = {"seed": 7, "algorithm": {"name": "random", "widths": [1, 2]}, "report": None}
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")


def job_of(folder):
    return OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}}})


def test_a_finished_job_is_handed_over_with_all_that_it_has(tmp_path):
    play(tmp_path / "run")
    tracker = Notes()
    tracker.on_job_end(job_of(tmp_path / "run"), SimpleNamespace())
    (run,) = tracker.runs
    assert run.name == "random-toy-seed7"
    assert run.folder == tmp_path / "run"
    assert run.config["algorithm"]["name"] == "random"
    assert run.provenance["commit"] == "abc"
    assert run.metrics["toy/evaluations"] == 6.0
    assert {"toy/reward", "toy/reward_std", "toy/rank"} <= set(run.metrics)
    assert len(run.curve.mean) == 6
    assert (np.diff(run.curve.mean) >= 0).all()
    assert (np.diff(run.curve.quartiles, axis=0) >= 0).all()
    assert run.curve.mean[-1] == pytest.approx(run.metrics["toy/reward"])


def test_an_unfinished_job_is_not_handed_over(tmp_path):
    tracker = Notes()
    with Recorder(tmp_path / "run", "hash"):
        pass
    tracker.on_job_end(job_of(tmp_path / "run"), SimpleNamespace())
    tracker.on_job_end(job_of(tmp_path / "nowhere"), SimpleNamespace())
    assert tracker.runs == []


def test_a_missing_package_is_one_sentence_that_names_the_extra():
    with pytest.raises(UnsupportedError, match=r'no_such_package.*pip install "nasrun\[absent\]"'):
        Absent()


def test_the_curve_of_trials_of_unequal_length(tmp_path):
    rows = [
        ("1", "search", "10"), ("1", "search", "30"), ("1", "search", "20"),
        ("2", "search", ""), ("2", "search", "50"), ("2", "meta_train", "99"),
    ]  # fmt: skip
    write_csv(tmp_path / "evaluations.csv", ("seed", "phase", "reward"), rows)
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [1, 2, 3]
    assert curve.mean.tolist() == [10.0, 40.0, 40.0]
    assert curve.quartiles[1].tolist() == [10.0, 40.0, 40.0]


def test_a_step_of_the_curve_is_an_evaluation_and_no_row(tmp_path):
    rows = [
        # Generations of 5; the second trial has one of 3 before it, and ends early.
        ("1", "search", "10", 5), ("1", "search", "30", 10), ("1", "search", "20", 15),
        ("2", "search", "50", 3), ("2", "search", "40", 8),
        # Repeats that are not charged.
        ("3", "search", "60", 5), ("3", "search", "60", 5), ("3", "search", "90", 10),
    ]  # fmt: skip
    write_csv(tmp_path / "evaluations.csv", ("seed", "phase", "reward", "evaluations"), rows)
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [3, 5, 8, 10, 15]
    # The first has 10, 10, 30, 30 from 5 on, the second 50 throughout, the third 60, 60, 90, 90.
    assert curve.mean.tolist() == pytest.approx([50.0, 40.0, 40.0, 170 / 3, 170 / 3])
    assert curve.quartiles[1].tolist() == [50.0, 50.0, 50.0, 50.0, 50.0]


def test_a_config_is_flat_texts():
    assert flat({"a": {"b": [1, 2], "c": None}, "d": "x", "e": {}}) == {
        "a.b": "[1, 2]", "a.c": "null", "d": "x", "e": "{}",
    }  # fmt: skip
