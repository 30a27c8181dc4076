"""Sweeps by the installed command: split, launched by plug-ins, killed, and gone on with."""

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command import NASRUN, environment, rows

from nasrun.spaces.nb201 import NB201

PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
}
FILES = ("trials.csv", "summary.csv")


def installed(launcher):
    try:
        return importlib.util.find_spec(PLUGINS[launcher]) is not None
    except ModuleNotFoundError:
        return False


def need(launcher):
    if not installed(launcher):
        pytest.skip(f"the plug-in of hydra/launcher={launcher} is not installed")


def joined(folder):
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_seeds_trials_and_splits_give_the_same_bytes(swept, tmp_path):
    swept("-m", "seed=0", "trials=6", "hydra.sweep.dir=one")
    sweeps = {"seeds": ["seed=range(0,6)"], "split": ["trials=6", "sweep.split=4"]}
    for name, arguments in sweeps.items():
        swept("-m", *arguments, f"hydra.sweep.dir={name}")
        assert joined(tmp_path / name) == joined(tmp_path / "one"), name


@pytest.mark.parametrize(
    "launcher", ["joblib", pytest.param("submitit_local", marks=pytest.mark.slow)]
)
def test_launchers_give_the_same_bytes(nasrun, swept, tmp_path, launcher):
    need(launcher)
    command = ["-m", "trials=6", "sweep.split=2", "report=null"]
    swept(*command, "hydra.sweep.dir=one")
    nasrun(*command, f"hydra/launcher={launcher}", "hydra.sweep.dir=launched")
    assert joined(tmp_path / "launched") == joined(tmp_path / "one")


def test_a_split_makes_a_sweep_without_being_told(swept):
    answer = swept("trials=5", "sweep.split=2")
    assert "5 rows of 2 finished jobs" in answer.stdout


def test_a_launcher_makes_a_sweep_without_being_told(nasrun):
    need("joblib")
    answer = nasrun("trials=2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "report=null")
    assert "2 rows of 1 finished jobs" in answer.stdout


def test_a_tuning_is_one_without_being_told(swept):
    answer = swept("trials=2", "hydra/sweeper=tune", code=2)
    assert "hydra.sweeper.tasks must name tasks" in answer.stderr


@pytest.mark.slow
def test_a_split_goes_with_experiments_and_other_swept_values(swept, tmp_path):
    experiment = [
        "+experiment=catch_fig3", "algorithm=rea,random", "task=cifar10", "trials=4",
        "budget.evaluations=5",
    ]  # fmt: skip
    swept(*experiment, "hydra.sweep.dir=one")
    answer = swept(*experiment, "hydra.sweep.dir=split", "sweep.split=2")
    assert "8 rows of 4 finished jobs" in answer.stdout
    assert joined(tmp_path / "split") == joined(tmp_path / "one")


@pytest.mark.slow
def test_fronts_of_several_algorithms_are_joined_however_the_trials_are_split(swept, tmp_path):
    space = NB201()
    lines = [f"{space.text(space.at(np.array(n)))},{1 + n % 97}" for n in range(0, 15625, 2)]
    (tmp_path / "latency.csv").write_text("\n".join(["arch,toy", *lines]))
    arguments = [
        "-m", "algorithm=nsga2,rea", "hardware=latency_table", "hardware.device=toy",
        f"hardware.path={tmp_path}/latency.csv", "trials=5", "retrain.tasks=[cifar10,cifar100]",
    ]  # fmt: skip
    swept(*arguments, "hydra.sweep.dir=one")
    swept(*arguments, "hydra.sweep.dir=split", "sweep.split=2")
    for name in (*FILES, "pareto.csv"):
        assert (tmp_path / "split" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    fronts = rows(tmp_path / "one/pareto.csv")
    # The table that comes with pip has no test figures, hence by the words for their origin.
    scored = {(row["algorithm"], row["task"], row["final"] != "") for row in fronts}
    assert scored == {
        ("nsga2", "cifar10", True), ("nsga2", "cifar100", True), ("rea", "cifar10", False),
    }  # fmt: skip
    covered = [
        (row["algorithm"], row["task"], row["n"])
        for row in rows(tmp_path / "one/summary.csv")
        if row["figure"] == "hypervolume"
    ]
    tasks = ("cifar10", "cifar100")
    assert covered == [(name, task, "5") for name in ("nsga2", "rea") for task in tasks]


def test_globs_ranges_and_lists_make_jobs(swept, tmp_path):
    swept(
        "-m", "algorithm=glob(re*,exclude=[*n*,*_*])", "seed=range(0,2)",
        "retrain.tasks=[cifar10,cifar100]", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    found = [
        (row["algorithm"], row["seed"], row["task"]) for row in rows(tmp_path / "sweep/trials.csv")
    ]
    assert found == [("rea", seed, task) for seed in "01" for task in ("cifar10", "cifar100")]


def test_what_is_done_is_not_launched_again(swept, tmp_path):
    arguments = ("-m", "algorithm=rea,random", "trials=3")
    swept(*arguments, "hydra.sweep.dir=sweep")
    before = joined(tmp_path / "sweep")
    answer = swept(*arguments, "resume=sweep")
    assert "2 jobs, 2 of them done" in answer.stdout
    assert "#0" not in answer.stdout
    assert joined(tmp_path / "sweep") == before
    assert (
        "2 jobs, 1 of them done"
        in swept("-m", "algorithm=rea,local_search", "trials=3", "resume=sweep").stdout
    )


def test_a_sweep_goes_on_with_another_split_and_plays_no_trial_twice(swept, tmp_path):
    swept("-m", "trials=9", "hydra.sweep.dir=whole")
    swept("-m", "trials=9", "sweep.split=3", "hydra.sweep.dir=sweep")
    shutil.rmtree(next((tmp_path / "sweep").glob("*-seed3-*")))
    answer = swept("-m", "trials=9", "sweep.split=2", "resume=sweep")
    assert "4 jobs, 2 of them done" in answer.stdout
    assert joined(tmp_path / "sweep") == joined(tmp_path / "whole")


def test_a_sweep_does_not_go_on_with_other_data_files(swept, tmp_path):
    swept("-m", "trials=4", "sweep.split=2", "hydra.sweep.dir=sweep")
    first, second = sorted((tmp_path / "sweep").glob("*-seed*"))
    shutil.rmtree(second)
    for name, key, value in (("status.json", "request", "data"), ("provenance.json", "data", None)):
        content = json.loads((first / name).read_text())
        for each in [value] if value else list(content[key]):
            content[key][each] = "of other files"
        content.pop("bytes", None)  # a file with other words is not cut off
        (first / name).write_text(json.dumps(content))
    answer = swept("-m", "trials=4", "sweep.split=2", "resume=sweep", code=1)
    assert f"{first.name} holds trials of this search on other data files" in answer.stderr
    answer = swept("-m", "algorithm=random", "trials=4", "resume=sweep")
    assert f"{first.name} was played on another " in answer.stdout


def test_resume_goes_on_in_the_folder_of_a_run(swept, tmp_path):
    swept("trials=3", "hydra.run.dir=run")
    swept("trials=3", "resume=run")
    assert "holds another run" in swept("trials=4", "resume=run", code=1).stderr
    for mode in ([], ["-m"]):
        assert "resume=none holds no " in swept(*mode, "resume=none", code=2).stderr
        assert not (tmp_path / "none").exists()
    swept("-m", "trials=3", "hydra.sweep.dir=sweep")
    assert "resume=sweep holds no run" in swept("trials=3", "resume=sweep", code=2).stderr


def test_a_run_and_a_sweep_do_not_share_a_folder(swept, tmp_path):
    swept("trials=2", "hydra.run.dir=run")
    swept("-m", "trials=2", "hydra.sweep.dir=sweep")
    before = contents(tmp_path)
    for launch in ([], ["hydra/sweeper=basic"]):
        answer = swept("-m", "trials=3", "hydra.sweep.dir=run", *launch, code=1)
        assert "run holds a run, whose files this sweep would replace" in answer.stderr
    answer = swept("trials=3", "hydra.run.dir=sweep", code=1)
    assert "sweep holds a sweep, whose files this run would replace" in answer.stderr
    assert contents(tmp_path) == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MISTAKES = {
    "sweep.split=0": "sweep.split must be a whole number of at least 1, got 0",
    "sweep.split=2,4": "sweep.split cannot be swept over",
    "seed=0,1": "two jobs of this sweep would play seed 1 of the same search",
}


@pytest.mark.parametrize(("argument", "sentence"), MISTAKES.items(), ids=MISTAKES)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(swept, tmp_path, argument, sentence):
    answer = swept("-m", "trials=2", argument, "hydra.sweep.dir=sweep", code=2)
    assert sentence in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def test_a_refused_command_leaves_a_sweep_as_it_is(swept, tmp_path):
    swept("-m", "trials=2", "hydra.sweep.dir=sweep")
    for name in FILES:
        (tmp_path / "sweep" / name).unlink()
    before = sorted((tmp_path / "sweep").iterdir())
    for mistake in ("sweep.split=0", "algorithm=rea,nope", "hydra/sweeper=tune"):
        assert "wrote" not in swept("-m", "trials=2", mistake, "resume=sweep", code=2).stdout
    swept("trials=2", "resume=sweep", code=2)
    assert sorted((tmp_path / "sweep").iterdir()) == before


def test_a_split_that_the_sweeper_would_ignore_is_refused(swept, tmp_path):
    command = ["trials=4", "sweep.split=2", "hydra/sweeper=basic", "hydra.sweep.dir=sweep"]
    for mode in ([], ["-m"]):
        answer = swept(*mode, *command, code=2)
        assert "sweep.split=2 would be ignored by hydra/sweeper=basic" in answer.stderr
        assert answer.stderr.count("\n") == 1
        assert not (tmp_path / "sweep").exists()
    answer = swept(*command, "sweep.split=1")
    assert "4 rows of 1 finished jobs" in answer.stdout


def test_a_sweep_of_mistakes_alone_ends_like_a_mistake(swept, tmp_path):
    swept("-m", "algorithm.population=0,-1", "hydra.sweep.dir=sweep", code=2)
    assert len(rows(tmp_path / "sweep" / "failed.csv")) == 2


def test_a_mistake_that_was_mended_does_not_fail_the_sweep_for_ever(swept, tmp_path):
    swept("-m", "algorithm.population=0", "trials=2", "hydra.sweep.dir=sweep", code=2)
    answer = swept("-m", "algorithm.population=10", "trials=2", "resume=sweep")
    assert "failed: " in answer.stderr  # of the earlier command: told, but no part of this one
    assert len(rows(tmp_path / "sweep" / "trials.csv")) == 2


def test_config_files_may_change_as_long_as_they_come_to_the_same(swept, tmp_path):
    conf = tmp_path / "mine" / "algorithm"
    conf.mkdir(parents=True)
    text = "_target_: nasrun.algorithms.rea.REA\nname: mine\npopulation: 5\n"
    command = ["-m", f"hydra.searchpath=[file://{tmp_path}/mine]", "algorithm=mine", "trials=2"]
    (conf / "mine.yaml").write_text(text)
    swept(*command, "hydra.sweep.dir=sweep")
    (conf / "mine.yaml").write_text(text + "# a remark\n")
    assert "1 jobs, 1 of them done" in swept(*command, "resume=sweep").stdout
    (conf / "mine.yaml").write_text(text.replace("5", "7"))
    answer = swept(*command, "resume=sweep", code=1)
    assert "holds another run" in answer.stderr
    assert "1 of 1 jobs are not done" in answer.stderr


def test_the_extra_of_a_missing_plug_in_is_named(nasrun):
    missing = [name for name in PLUGINS if not installed(name)]
    if not missing:
        pytest.skip("all plug-ins are installed")
    answer = nasrun("-m", f"hydra/launcher={missing[0]}", "seed=0", code=2)
    extra = missing[0].partition("_")[0]
    assert answer.stderr.endswith(f'not installed: pip install "nasrun[{extra}]"\n')


NOTING = """
import os, sys
from dataclasses import dataclass
from nasrun.algorithms.rea import REA

@dataclass
class Noting(REA):
    name: str = "noting"

    def start(self, *arguments):
        gpu, threads = (os.environ[key] for key in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"))
        with open(os.environ["NOTES"], "a") as notes:
            print(os.getpid(), gpu, threads, "torch" in sys.modules, file=notes)
        super().start(*arguments)
"""


@pytest.mark.slow
def test_every_process_has_one_gpu_and_its_share_of_cores_before_torch(nasrun, tmp_path):
    need("joblib")
    (tmp_path / "noting.py").write_text(NOTING)
    (tmp_path / "mine" / "algorithm").mkdir(parents=True)
    (tmp_path / "mine" / "algorithm" / "noting.yaml").write_text(
        "_target_: noting.Noting\nname: noting\n"
    )
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nfor n in 0 1 2; do echo GPU $n: a fake one; done\n")
    tool.chmod(0o755)
    nasrun(
        "-m", f"hydra.searchpath=[file://{tmp_path}/mine]", "algorithm=noting", "seed=range(0,6)",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "report=null",
        env={"PYTHONPATH": str(tmp_path), "NOTES": str(tmp_path / "notes"),
             "PATH": f"{tool.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert len(notes) == 6
    pinned = {pid: {gpu for own, gpu, *_ in notes if own == pid} for pid, *_ in notes}
    assert all(len(gpus) == 1 for gpus in pinned.values()), pinned
    used = [gpu for gpus in pinned.values() for gpu in gpus]
    assert len(set(used)) == len(used) <= 2
    assert set(used) <= {"0", "1", "2"}
    assert {(threads, torch) for *_, threads, torch in notes} == {
        (str(max(1, len(os.sched_getaffinity(0)) // 2)), "False")
    }


def start(arguments, folder, cache_dir):
    return subprocess.Popen(
        [NASRUN, *arguments], cwd=folder, env=environment(cache_dir), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_two_that_start_the_same_sweep_play_every_trial_once(nasrun, tmp_path, cache_dir):
    arguments = [
        "-m",
        "seed=0,50",
        "trials=50",
        "cohort=10",
        "report=null",
        "hydra.sweep.dir=shared",
    ]
    both = [start(arguments, tmp_path, cache_dir) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(rows(tmp_path / "shared" / "trials.csv")) == 100


JOBS = ("-m", "algorithm=rea,random", "task=cifar10,cifar100,imagenet16_120",
        "trials=40", "cohort=10", "sweep.split=2", "report=null")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_killed_three_times_ends_with_the_same_bytes(nasrun, tmp_path, cache_dir, launcher):
    if launcher != "basic":
        need(launcher)
    nasrun(*JOBS, "hydra.sweep.dir=whole")
    moments = random.Random(0)
    done = []
    for kill in range(3):
        folder = "hydra.sweep.dir=killed" if kill == 0 else "resume=killed"
        process = start([*JOBS, folder, f"hydra/launcher={launcher}"], tmp_path, cache_dir)
        wait_for_jobs(tmp_path / "killed", len(done) + 2)
        time.sleep(moments.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = finished(tmp_path / "killed")
        assert len(done) < 12, "killed too late to show anything"
    times = {job: (job / "trials.csv").stat().st_mtime_ns for job in done}
    nasrun(*JOBS, "resume=killed")
    assert joined(tmp_path / "killed") == joined(tmp_path / "whole")
    assert len(finished(tmp_path / "killed")) == 12
    assert times == {job: (job / "trials.csv").stat().st_mtime_ns for job in done}


def finished(folder: Path):
    states = {path.parent: json.loads(path.read_text()) for path in folder.glob("*/status.json")}
    return [job for job, status in states.items() if status["state"] == "complete"]


def wait_for_jobs(folder, count):
    for _ in range(6000):  # a guard against hanging: a loaded machine takes minutes to import
        if len(finished(folder)) >= count:
            return
        time.sleep(0.05)
    pytest.fail(f"{folder} does not get {count} finished jobs within five minutes")
