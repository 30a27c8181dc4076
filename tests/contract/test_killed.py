"""Whatever is played may be killed at any change of the disk: the next start ends as if it had not.

The same files with the same bytes, and none that a killed process was about to write.
"""

import os
import sys
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
from killing import content, is_killed_at
from toys import toy_experiment

from nasrun import job  # noqa: F401  so that a forked process has all imports behind it
from nasrun.__main__ import main
from nasrun.algorithms.rea import REA
from nasrun.benchmarks.trainings import TrainingLog
from nasrun.evaluators.training import Training
from nasrun.nets.recipe import Precision, Recipe
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.record.status import STATUS
from nasrun.resume import RUN, SWEEP
from nasrun.spaces.nb201 import NB201
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
OWN = (STATUS,)  # says how long a run took, and which process wrote it
# What was typed, when and how it went, and what a sweep that was started again told its jobs.
AS_STARTED = (
    *OWN, "provenance.json", "nasrun.log", ".hydra", "config.yaml", "hydra.yaml", "overrides.yaml",
    "multirun.yaml", "report.html", "journal.log", ".data.json",
)  # fmt: skip


def play(folder):
    """Five trials, two at a time."""
    request = Request(("trials=5",), "conf", "composed", "data", 0, 5)
    with Recorder(folder, "one", request) as recorder:
        run(
            toy_experiment(REA(population=3, sample=2), trials=5, cohort=2).opened(), recorder, dict
        )


def test_a_run_killed_at_any_change_of_the_disk_ends_with_the_same_bytes(tmp_path):
    play(tmp_path / "whole")
    expected = content(tmp_path / "whole", OWN)
    assert {"trials.csv", "evaluations.csv", "summary.csv"} <= expected.keys()
    for change in range(1, 1000):
        folder = tmp_path / str(change)
        killed = is_killed_at(change, folder, lambda folder=folder: play(folder))
        play(folder)
        assert content(folder, OWN) == expected, f"killed at change {change}"
        if not killed:
            break
    assert 30 < change < 200  # every file, several times over


def command(folder, *arguments):
    """The command line: the first time in ``folder``, then by ``resume=`` alone."""
    begun = any((folder / name).exists() for name in (RUN, SWEEP))
    place = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
    given = [f"resume={folder}"] if begun else [*arguments, f"{place}={folder}"]
    sys.argv = ["nasrun", *given]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main()


def unbroken(folder, *arguments):
    """What a command leaves that nothing interrupts, played in a process of its own."""
    assert not is_killed_at(10**9, folder, lambda: command(folder, *arguments))
    return content(folder, AS_STARTED)


def require_the_same(tmp_path, arguments, changes):
    """Kill a command at each of ``changes``, go on, and compare; returns whether it got so far."""
    expected = unbroken(tmp_path / "whole", *arguments)
    for change in changes:
        folder = tmp_path / str(change)
        killed = is_killed_at(change, folder, lambda folder=folder: command(folder, *arguments))
        assert unbroken(folder, *arguments) == expected, f"killed at change {change}"
        if not killed:
            return False
    return True


RUNS = {
    "run": ("algorithm=rea", "trials=4", "cohort=2", "budget.evaluations=15"),
    "sweep": (
        "-m", "algorithm=rea,random", "trials=3", "sweep.split=2", "cohort=1", "report=null",
        "budget.evaluations=12",
    ),
    "tuning": (
        "-m", "hydra/sweeper=tune", "algorithm.population=range(5,40)", "trials=2", "report=null",
        "budget.evaluations=12", "hydra.sweeper.tasks=[cifar10]",
        "hydra.sweeper.report_tasks=[cifar100]", "hydra.sweeper.trials=2",
        "hydra.sweeper.startup=2", "hydra.sweeper.configurations=2",
    ),
}  # fmt: skip


# Changes from one kill to the next: prime, and as many as leave some twenty kills of each command.
# With 1 in their place every change is tried, which takes an hour.
STRIDES = {"run": 3, "sweep": 13, "tuning": 17}


@pytest.mark.parametrize(
    ("name", "change"), [("run", 25), pytest.param("sweep", 61, marks=pytest.mark.slow)]
)
def test_resume_alone_ends_a_command_killed_once(name, change, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.delenv("NASRUN_DATA", raising=False)
    assert require_the_same(tmp_path, RUNS[name], [change])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_resume_alone_ends_a_command_killed_all_along(name, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.delenv("NASRUN_DATA", raising=False)
    assert not require_the_same(tmp_path, RUNS[name], range(1, 1000, STRIDES[name]))


def train(folder):
    """A search's training of two epochs, whose weights go, and a final one, whose weights stay."""
    task = SyntheticImages("made_up", 3, 8, "made-up", "made-up", 48, 64, test_images=48)
    evaluator = Training(
        recipe=Recipe(batch=32), epochs=2, channels=4, cells=1, device="cpu", threads=1,
        precision=Precision.float32, score_epochs=1, score_seeds=[1], cache_dir=str(folder),
    )  # fmt: skip
    session, arch = evaluator.opened(NB201(), task), NB201().at(np.array([9000]))
    session.evaluate(arch, epochs=np.array([2]), streams=Streams([0]))
    session.score(arch, task)


def trained(folder):
    """The files of a training and its figures, without the seconds that it took."""
    names = [name for name in content(folder, ("trainings.csv",)) if "/pictures/" not in name]
    rows = TrainingLog(folder / "trainings" / "trainings.csv").all()
    return names, [replace(row, train_s=0.0, valid_s=0.0) for row in rows]


@pytest.mark.slow  # what is at stake is a quick test in tests/evaluators/test_training_killed.py
def test_a_training_killed_all_along_is_done_once(tmp_path):
    train_in = lambda folder: is_killed_at(10**9, folder, lambda: train(folder))  # noqa: E731
    assert not train_in(tmp_path / "whole")
    expected = trained(tmp_path / "whole")
    assert len(expected[1]) == 3
    for change in range(1, 100, 3):
        folder = tmp_path / str(change)
        killed = is_killed_at(change, folder, lambda folder=folder: train(folder))
        assert not train_in(folder)
        assert trained(folder) == expected, f"killed at change {change}"
        if not killed:
            break
    assert 10 < change < 60
