"""The README's every command, in its order, in an empty folder: reduced where it takes long.

A command that is in no table below is played as it stands. One that needs data, which few people
have, is a test of its own, which says so where they are missing.
"""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from command import environment

from nasrun.__main__ import CONF
from nasrun.record.rows import EVALUATION_COLUMNS, TRIAL_COLUMNS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.partition("  #")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.replace("\\\n", " ").splitlines()
]
TINY = (  # in place of hours
    "evaluator.channels=2 evaluator.cells=1 evaluator.epochs=1 evaluator.recipe.batch=16 "
    "evaluator.score_epochs=1 evaluator.score_seeds=[777] budget.evaluations=2 "
    "algorithm.population=2"
)
FEW = "task.train_images=32 task.valid_images=32 task.test_images=32"
FEW_STEPS = (
    "scale=small scale.epochs=1 scale.train_images=64 scale.valid_images=64 scale.channels=2"
)
INSTALL = "pip install -e . -c constraints.txt && "
NOT_HERE = {  # what a test cannot do, and why
    'pip install -e ".[dev]" -c constraints.txt && pytest': "installs packages",
    "export NASRUN_DATA=~/nasrun-data": "names a folder of the reader's own",
    "nasrun convert NAS-Bench-201-v1_1-096897.pth ~/nasrun-data/nb201.safetensors":
        "a file of 2 GB; tests/benchmarks/test_convert.py has a small one",
}  # fmt: skip
if find_spec("nasrun.rerun") is None:
    NOT_HERE["nasrun rerun outputs/local"] = "is being written"
REDUCED = {  # what is added to a command
    "nasrun -m algorithm=rea,random": "seed=0,1 task=cifar10 report.figures=[box]",
    "nasrun algorithm=catch task=cifar100 trials=500":
        "trials=2 budget.evaluations=5 meta.agents=1 meta.epochs=1 meta.networks=4",
    "trials=500 sweep.split=8 hydra/launcher=joblib":
        "trials=2 sweep.split=2 hydra.launcher.n_jobs=2 report=null",
    "nasrun -m hydra/sweeper=tune":
        "hydra.sweeper.configurations=2 trials=2 budget.evaluations=5 report=null",
    "nasrun +experiment=catch_fig3":
        "algorithm=random task=cifar10 trials=2 budget.evaluations=5 report=null",
}  # fmt: skip
WITH_DATA = {  # the same, of commands that need a folder of data
    "nasrun hardware=nb201_latency": "",
    "nasrun evaluator.reward=val@12 'retrain": "",
    "nasrun hardware=latency_table": "",
    "nasrun algorithm=rea task=cifar10 evaluator=training": f"{TINY} {FEW}",
    "nasrun algorithm=rea task=cifar10 evaluator=screened":
        # Of seed 0 all are turned away.
        f"{TINY.replace('evaluator.', 'evaluator.then.').replace('=2', '=8')} {FEW} "
        "evaluator.sample=3 evaluator.share=0.1 seed=3",
    "nasrun algorithm=gdas task=cifar10": FEW_STEPS,
    "nasrun algorithm=gdas task=cifar10 scale=small": FEW_STEPS,
    "nasrun +experiment=catch_table1_oneshot":
        f"{FEW_STEPS} algorithm=gdas,rsps trials=1 report=null",
    "nasrun +experiment=nb201_baselines": "algorithm=random,rea trials=2 report.figures=[]",
}  # fmt: skip


def of(table, command):
    """The entry of a table for a command: that of the longest beginning."""
    found = [key for key in table if command.startswith(key) or f" {key}" in f" {command}"]
    return max(found, key=len, default=None)


PLAYED = [command for command in COMMANDS if of({**NOT_HERE, **WITH_DATA}, command) is None]
DATA = [command for command in COMMANDS if of(WITH_DATA, command) is not None]


def words(command, more):
    """The arguments of nasrun."""
    own = shlex.split(command.removeprefix(INSTALL))
    assert own[0] == "nasrun", command
    return [*own[1:], *shlex.split(more)]


def test_no_entry_is_about_a_command_that_is_gone():
    for table in (NOT_HERE, REDUCED, WITH_DATA):
        assert {of(table, command) for command in COMMANDS} - {None} == set(table)


@pytest.mark.slow
def test_the_commands_one_after_the_other(here, tmp_path, cache_dir):
    pytest.importorskip("optuna")
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for command in PLAYED:
        key = of(REDUCED, command)
        arguments = words(command, REDUCED[key] if key else "")
        if "joblib" in command:  # its workers would outlive the test in this process
            play = [sys.executable, "-m", "nasrun", *arguments]
            subprocess.run(play, check=True, capture_output=True, env=environment(cache_dir))
        else:
            here(*arguments)
    assert {"best.png", "trials.csv"} <= {
        path.name for path in (tmp_path / "outputs/local").iterdir()
    }
    assert {"report.html", "report.tex"} <= {p.name for p in (tmp_path / "outputs/two").iterdir()}
    assert (tmp_path / "cell.svg").exists()
    for block in (block for language, block in BLOCKS if language == "python"):
        exec(block, names := {})
        assert names["best"].text
        assert len(names["results"].trials) == 4


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("command", DATA)
def test_a_command_that_needs_data(here, command, data_dir, monkeypatch):
    monkeypatch.setenv("NASRUN_DATA", str(data_dir))
    here(*words(command, WITH_DATA[of(WITH_DATA, command)]))


@pytest.mark.parametrize(
    ("file", "columns"),
    [("trials.csv", TRIAL_COLUMNS), ("evaluations.csv", EVALUATION_COLUMNS)],
)
def test_the_columns_of_a_runs_files_are_those_it_has(file, columns):
    listed = re.search(rf"^\| `{file}` \|[^`]*`([^`]*)`", README, re.MULTILINE)[1]
    assert tuple(listed.split(", ")) == columns


def test_each_column_that_says_how_figures_came_about_is_explained():
    explained = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|.*\| .* \|$", README, re.MULTILINE)
    named = {name for cell in explained for name in re.findall(r"\w+", cell)}
    assert {*TRIAL_COLUMNS[TRIAL_COLUMNS.index("device") :], "metric"} <= named


GROUPS = ("space", "algorithm", "task", "evaluator", "hardware", "meta", "predictor", "features",
          "study", "scale", "experiment")  # fmt: skip
BETWEEN = {"nb1shot1_2"}  # of `nb1shot1_1` to `nb1shot1_3`


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_options_names_every_file_of_a_group(group):
    options = (CONF / "README.md").read_text(encoding="utf-8")
    [row] = [line for line in options.splitlines() if line.startswith(f"| `{group}` |")]
    named = re.findall(r"`[^`]+`", re.sub(r"extra `[^`]+`", "", row))
    assert row.count(" | ") == 1
    assert {name for name in named if named.count(name) > 1} == set()
    files = {path.stem for path in (CONF / group).glob("*.yaml")} - BETWEEN
    assert {name for name in files if f"`{name}`" not in row} == set()
